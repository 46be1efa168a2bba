"""The conformance suite of what native clients need beyond S3: generations, new user metadata, parts of any size."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from core.checksums import XXH64, digest_sync
from core.errors import DigestMismatch, NoSuchKey, ObjectLocked, PreconditionFailed
from core.listing import MAX_LISTED, Detail, ListQuery, VersionListQuery
from core.types import (
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectChanges,
)
from tests.contract.uploading import add_all, begin
from tests.contract.world import (
    PLAIN,
    USER,
    Body,
    World,
    as_listed,
    enabled,
    key,
    lockable,
    mark_deleted,
    pattern,
    put,
    put_version,
    read,
    read_all,
)

SIZES = [10, 200_000]
TINY = [b"one", b"", b"three"]


class NativeContract:
    """What every store keeps and promises for the native API."""

    # --- generations ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_generation_counts_writes(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        for generation in (1, 2, 3):
            data = pattern(size_bytes, generation)
            info = await world.store.put(bucket, key("k"), Body(data), attributes=PLAIN)
            assert info.generation == generation
            assert (await world.store.head(bucket, key("k"))).generation == generation
        page = await world.store.list_objects(bucket, ListQuery())
        assert [info.generation for info in page.entries] == [3]
        reader = await world.store.get(bucket, key("k"))
        assert reader.info.generation == 3
        await read_all(reader)

    async def test_generation_of_copies_and_uploads(self, world: World) -> None:
        bucket = await world.new_bucket()
        store = world.store
        for name in ("source", "source", "target"):
            await put(store, bucket, name, b"data of " + name.encode())
        copied = await store.copy(bucket, key("source"), bucket, key("target"))
        fresh = await store.copy(bucket, key("source"), bucket, key("fresh"))
        assert (copied.generation, fresh.generation) == (2, 1)
        own = await store.copy(
            bucket, key("target"), bucket, key("target"), attributes=ObjectAttributes({"a": "b"})
        )
        assert own.generation == 3
        upload = await begin(world, bucket, "target")
        named = await add_all(world, bucket, upload)
        made = await store.complete_upload(bucket, upload.key, upload.upload_id, named)
        again = await store.complete_upload(bucket, upload.key, upload.upload_id, named)
        assert (made.generation, again.generation) == (4, 4)
        assert (await store.head(bucket, key("target"))).generation == 4

    async def test_generation_starts_anew_after_delete(self, world: World) -> None:
        bucket = await world.new_bucket()
        for _ in range(3):
            await put(world.store, bucket, "k", b"x")
        await world.store.delete(bucket, key("k"))
        assert (await put_version(world.store, bucket, "k", b"y")).generation == 1

    async def test_generation_outlives_changes_and_restarts(self, world: World) -> None:
        bucket = await world.new_bucket()
        for _ in range(2):
            await put(world.store, bucket, "k", b"x")
        changed = await world.store.update_object(bucket, key("k"), ObjectChanges(tags={"a": "b"}))
        assert changed.generation == 2
        await world.restart()
        assert (await world.store.head(bucket, key("k"))).generation == 2

    async def test_generation_of_versions(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = [await put_version(world.store, bucket, "k", b"x%d" % n) for n in range(3)]
        assert [info.generation for info in made] == [1, 2, 3]
        page = await world.store.list_versions(bucket, VersionListQuery())
        assert [entry.info.generation for entry in page.versions] == [3, 2, 1]
        await mark_deleted(world.store, bucket, "k")
        assert (await put_version(world.store, bucket, "k", b"y")).generation == 1

    # --- user metadata ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_user_metadata_is_replaced(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        data = pattern(size_bytes)
        attributes = ObjectAttributes({"content-type": "a/b"}, {"old": "1"}, tags={"t": "v"})
        before = await world.store.put(bucket, key("k"), Body(data), attributes=attributes)
        after = await world.store.update_object(
            bucket, key("k"), ObjectChanges(user_metadata={"new": "2"})
        )
        assert after.attributes.user_metadata == {"new": "2"}
        assert after.attributes.headers == {"content-type": "a/b"}
        assert after.attributes.tags == {"t": "v"}
        assert (after.etag, after.modified_ns) == (before.etag, before.modified_ns)
        await world.restart()
        assert await world.store.head(bucket, key("k")) == after
        assert await read(world.store, bucket, "k") == data
        untouched = await world.store.update_object(bucket, key("k"), ObjectChanges(tags={}))
        assert untouched.attributes.user_metadata == {"new": "2"}

    async def test_user_metadata_conditions(self, world: World) -> None:
        bucket = await world.new_bucket()
        changes = ObjectChanges(user_metadata={"a": "b"})
        with pytest.raises(NoSuchKey):
            await world.store.update_object(bucket, key("k"), changes)
        await put(world.store, bucket, "k", b"x")
        with pytest.raises(PreconditionFailed):
            await world.store.update_object(
                bucket, key("k"), changes, conditions=Conditions(if_match=("other",))
            )
        assert not (await world.store.head(bucket, key("k"))).attributes.user_metadata

    async def test_user_metadata_is_merged(self, world: World) -> None:
        bucket = await world.new_bucket()
        attributes = ObjectAttributes(user_metadata={"a": "1", "b": "2"})
        await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        changes = ObjectChanges(user_metadata={"b": "3", "c": "4"}, keeps_other_metadata=True)
        info = await world.store.update_object(bucket, key("k"), changes)
        assert info.attributes.user_metadata == {"a": "1", "b": "3", "c": "4"}

    async def test_metadata_of_what_is_locked_stays(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        attributes = ObjectAttributes(user_metadata={"a": "1"}, legal_hold=True)
        await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        changes = ObjectChanges(user_metadata={"a": "2"})
        with pytest.raises(ObjectLocked):
            await world.store.update_object(bucket, key("k"), changes)
        await world.store.update_object(bucket, key("k"), ObjectChanges(legal_hold=False))
        info = await world.store.update_object(bucket, key("k"), changes)
        assert info.attributes.user_metadata == {"a": "2"}

    # --- parts and digests ---

    async def test_small_parts_where_allowed(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload, TINY)
        info = await world.store.complete_upload(
            bucket, upload.key, upload.upload_id, named, allows_small_parts=True
        )
        assert [part.size_bytes for part in info.parts] == [3, 0, 5]
        assert await read(world.store, bucket, "k") == b"onethree"
        await world.settle()
        assert not world.leftovers()

    @pytest.mark.parametrize("size_bytes", SIZES)
    @pytest.mark.parametrize("algorithm", [XXH64, "sha512"])
    async def test_native_digests(self, world: World, size_bytes: int, algorithm: str) -> None:
        bucket = await world.new_bucket()
        data = pattern(size_bytes)
        claim = ExpectedDigest(algorithm, digest_sync(algorithm, data), "checksum")
        await world.store.put(bucket, key("k"), Body(data, claims=[claim]), attributes=PLAIN)
        with pytest.raises(DigestMismatch):
            await world.store.put(
                bucket, key("k"), Body(b"!" + data, claims=[claim]), attributes=PLAIN
            )
        upload = await world.store.create_upload(
            bucket,
            key("u"),
            attributes=PLAIN,
            initiator=bucket.owner,
            checksum_algorithm=ChecksumAlgorithm.CRC32C,
        )
        with pytest.raises(DigestMismatch):
            await world.store.upload_part(
                bucket, key("u"), upload.upload_id, 1, Body(b"!" + data, claims=[claim])
            )
        await world.store.upload_part(
            bucket, key("u"), upload.upload_id, 1, Body(data, claims=[claim])
        )
        assert await read(world.store, bucket, "k") == data

    # --- the flag of shards that have an index ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_shard_index_flag_is_set_and_cleared(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        info = await put_version(world.store, bucket, "a.tar", pattern(size_bytes))
        assert not info.has_shard_index
        for is_set in (True, False, True):
            same = Conditions(if_match=(info.etag,), if_size=info.size_bytes)
            changes = ObjectChanges(has_shard_index=is_set)
            changed = await world.store.update_object(
                bucket, key("a.tar"), changes, conditions=same
            )
            assert changed == dataclasses.replace(info, has_shard_index=is_set)
            assert await world.store.head(bucket, key("a.tar")) == changed
        tagged = ObjectChanges(tags={"a": "b"})
        assert (await world.store.update_object(bucket, key("a.tar"), tagged)).has_shard_index
        await world.restart()
        page = await world.store.list_objects(bucket, ListQuery())
        assert [entry.has_shard_index for entry in page.entries] == [True]
        assert await read(world.store, bucket, "a.tar") == pattern(size_bytes)

    async def test_shard_index_flag_is_of_one_write(self, world: World) -> None:
        bucket = await world.new_bucket()
        info = await put_version(world.store, bucket, "a.tar", b"one")
        changes = ObjectChanges(has_shard_index=True)
        await world.store.update_object(bucket, key("a.tar"), changes)
        copied = await world.store.copy(bucket, key("a.tar"), bucket, key("b.tar"))
        assert not copied.has_shard_index
        again = await put_version(world.store, bucket, "a.tar", b"two")
        assert not again.has_shard_index
        with pytest.raises(PreconditionFailed):
            await world.store.update_object(
                bucket, key("a.tar"), changes, conditions=Conditions(if_match=(info.etag,))
            )
        assert not (await world.store.head(bucket, key("a.tar"))).has_shard_index

    # --- listings ---

    @pytest.mark.parametrize("detail", list(Detail))
    async def test_listings_tell_what_was_asked_for(self, world: World, detail: Detail) -> None:
        bucket = await world.new_bucket()
        attributes = ObjectAttributes(
            {"content-type": "a/b"}, {"c": "d"}, owner_id=USER.user_id, tags={"e": "f"}
        )
        sizes = [0, 1, 127, 128, 255, 256, 65_535, 65_536, 200_000]
        written = []
        for size in sizes:
            body = Body(pattern(size, size))
            name = key(f"k{size:06}")
            written.append(await world.store.put(bucket, name, body, attributes=attributes))
        page = await world.store.list_objects(bucket, ListQuery(detail=detail))
        assert [info.key for info in page.entries] == [info.key for info in written]
        if detail is not Detail.NAME:
            assert [info.size_bytes for info in page.entries] == sizes
        if detail in (Detail.SUMMARY, Detail.WHOLE):
            assert [as_listed(info) for info in page.entries] == [as_listed(i) for i in written]
        if detail is Detail.WHOLE:
            assert page.entries == written

    @pytest.mark.parametrize("detail", [Detail.NAME, Detail.WHOLE])
    async def test_long_pages(self, world: World, detail: Detail) -> None:
        bucket = await world.new_bucket()
        names = [f"{index:04}" for index in range(1100)]
        await asyncio.gather(*(put(world.store, bucket, name, b"") for name in names))
        page = await world.store.list_objects(bucket, ListQuery(limit=MAX_LISTED, detail=detail))
        assert [info.key for info in page.entries] == names
        assert not page.is_truncated
        page = await world.store.list_objects(bucket, ListQuery(limit=1050, detail=detail))
        assert len(page.entries) == 1050
        assert page.next_after == names[1049]
