"""The conformance suite of deletes that were judged by a version as it was seen."""

from __future__ import annotations

from core.deletion import DeleteItem, DeleteResult
from core.errors import PreconditionFailed
from core.listing import ObjectVersion, VersionListQuery
from core.types import Bucket, ObjectAttributes, ObjectChanges
from tests.contract.world import Body, World, enabled, key, put, put_version


async def see(world: World, bucket: Bucket, name: str) -> list[ObjectVersion]:
    page = await world.store.list_versions(bucket, VersionListQuery(prefix=name))
    return list(page.versions)


async def remove(
    world: World, bucket: Bucket, seen: ObjectVersion, *, by_id: bool
) -> DeleteResult | Exception:
    info = seen.info
    item = DeleteItem(info.key, info.version_id if by_id else None, seen=seen)
    return (await world.store.delete_many(bucket, [item]))[0]


class JudgedDeleteContract:
    """A delete is refused if what it was judged by has changed."""

    async def test_unchanged(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", b"1")
        (seen,) = await see(world, bucket, "k")
        assert isinstance(await remove(world, bucket, seen, by_id=False), DeleteResult)
        assert await see(world, bucket, "k") == []
        gone = await remove(world, bucket, seen, by_id=False)
        assert isinstance(gone, PreconditionFailed)

    async def test_overwritten_with_the_same_bytes(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", b"1")
        (seen,) = await see(world, bucket, "k")
        world.clock.advance(0.001)
        await put(world.store, bucket, "k", b"1")
        refused = await remove(world, bucket, seen, by_id=False)
        assert isinstance(refused, PreconditionFailed)

    async def test_tagged(self, world: World) -> None:
        bucket = await world.new_bucket()
        tagged = ObjectAttributes(tags={"a": "1"})
        await world.store.put(bucket, key("k"), Body(b"1"), attributes=tagged)
        (seen,) = await see(world, bucket, "k")
        await world.store.update_object(bucket, key("k"), ObjectChanges(tags={}))
        refused = await remove(world, bucket, seen, by_id=False)
        assert isinstance(refused, PreconditionFailed)

    async def test_marks_only_what_is_still_current(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put_version(world.store, bucket, "k", b"1")
        (seen,) = await see(world, bucket, "k")
        await put_version(world.store, bucket, "k", b"2")
        refused = await remove(world, bucket, seen, by_id=False)
        assert isinstance(refused, PreconditionFailed)
        newest, old = await see(world, bucket, "k")
        made = await remove(world, bucket, newest, by_id=False)
        assert isinstance(made, DeleteResult)
        assert made.is_delete_marker
        assert isinstance(await remove(world, bucket, old, by_id=True), DeleteResult)

    async def test_a_version_that_became_the_latest(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put_version(world.store, bucket, "k", b"1")
        marker = await world.store.delete(bucket, key("k"))
        _, old = await see(world, bucket, "k")
        await world.store.delete(bucket, key("k"), version_id=marker.version_id)
        refused = await remove(world, bucket, old, by_id=True)
        assert isinstance(refused, PreconditionFailed)

    async def test_a_marker_that_is_the_latest_no_more(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await world.store.delete(bucket, key("k"))
        (marker,) = await see(world, bucket, "k")
        await world.store.delete(bucket, key("k"))
        refused = await remove(world, bucket, marker, by_id=True)
        assert isinstance(refused, PreconditionFailed)
        newest, old = await see(world, bucket, "k")
        assert isinstance(await remove(world, bucket, old, by_id=True), DeleteResult)
        assert isinstance(await remove(world, bucket, newest, by_id=True), DeleteResult)
        assert await see(world, bucket, "k") == []
