"""The conformance suite of versions that come of copies, of uploads, and of writers at once.

Source: AWS, CopyObject; Restoring previous versions; CompleteMultipartUpload.
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from core.configs.versioning import DefaultRetention, Retention, RetentionMode
from core.deletion import DeleteResult
from core.errors import (
    KeyIsDeleted,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PreconditionFailed,
    StoreError,
    VersionIsDeleteMarker,
)
from core.listing import ListQuery
from core.names import UserId
from core.types import (
    NULL_VERSION,
    BoundedRange,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    Conditions,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
    PartRange,
)
from core.uploads import CompletedPart
from tests.contract.uploading import PARTS, WHOLE, add, add_all, begin, finish
from tests.contract.world import (
    PLAIN,
    START_NS,
    USER,
    Body,
    World,
    enabled,
    etag_of,
    history,
    key,
    lockable,
    mark_deleted,
    pattern,
    put,
    put_version,
    read,
    read_all,
    read_version,
    suspended,
)

SIZES = [10, 200_000]
DAY_NS = 86_400 * 10**9
LOCKED = ObjectAttributes(
    headers={"content-type": "text/plain"},
    user_metadata={"colour": "grün"},
    owner_id=USER.user_id,
    acl=CannedAcl.PUBLIC_READ,
    tags={"team": "räder", "empty": ""},
    retention=Retention(RetentionMode.GOVERNANCE, START_NS + DAY_NS),
    legal_hold=True,
)
ABSENT = Conditions(if_none_match=("*",))


class VersionCopyContract:
    """Copies from versions, to versions, and of locked versions."""

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_copy_makes_a_version(self, world: World, size_bytes: int) -> None:
        plain = await world.new_bucket()
        bucket = enabled(await world.new_bucket())
        await put(world.store, plain, "k", pattern(size_bytes))
        ids = []
        for _ in range(2):
            info = await world.store.copy(plain, key("k"), bucket, key("copy"))
            assert await world.store.head(bucket, key("copy")) == info
            ids.append(info.version_id)
        assert await history(world.store, bucket, "copy") == ids[::-1]
        assert NULL_VERSION not in ids
        for version_id in ids:
            found = await read_version(world.store, bucket, "copy", version_id)
            assert found == pattern(size_bytes)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_copy_of_a_version(self, world: World, size_bytes: int) -> None:
        plain = await world.new_bucket()
        bucket = enabled(plain)
        await put(world.store, plain, "k", pattern(size_bytes))
        old = await put_version(world.store, bucket, "k", pattern(size_bytes, 1))
        await put_version(world.store, bucket, "k", b"current")
        for version_id, seed in ((NULL_VERSION, 0), (old.version_id, 1)):
            info = await world.store.copy(
                bucket, key("k"), plain, key("copy"), source_version_id=version_id
            )
            assert info.version_id == NULL_VERSION
            assert info.etag == etag_of(pattern(size_bytes, seed))
            assert await read(world.store, plain, "copy") == pattern(size_bytes, seed)
        for version_id in (NULL_VERSION, old.version_id):
            await world.store.delete(bucket, key("k"), version_id=version_id)
        await world.settle()
        assert not world.leftovers()
        assert await read(world.store, plain, "copy") == pattern(size_bytes, 1)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_copy_of_an_old_version_restores_it(self, world: World, size_bytes: int) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", pattern(size_bytes))
        marker = await mark_deleted(world.store, bucket, "k")
        world.clock.advance(9)
        info = await world.store.copy(
            bucket, key("k"), bucket, key("k"), source_version_id=old.version_id
        )
        assert info.modified_ns == START_NS + 9 * 10**9
        ids = [info.version_id, marker, old.version_id]
        assert await history(world.store, bucket, "k") == ids
        await world.store.delete(bucket, key("k"), version_id=old.version_id)
        await world.settle()
        assert await read(world.store, bucket, "k") == pattern(size_bytes)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_copy_onto_itself(self, world: World, size_bytes: int) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", pattern(size_bytes))
        other = ObjectAttributes(user_metadata={"new": "yes"}, owner_id=USER.user_id)
        info = await world.store.copy(bucket, key("k"), bucket, key("k"), attributes=other)
        assert info.attributes == other
        assert await history(world.store, bucket, "k") == [info.version_id, old.version_id]
        found = await world.store.head(bucket, key("k"), version_id=old.version_id)
        assert found.attributes == PLAIN
        await world.store.delete(bucket, key("k"), version_id=old.version_id)
        await world.settle()
        assert not world.leftovers()
        assert await read(world.store, bucket, "k") == pattern(size_bytes)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_null_version_copied_onto_itself_stays_the_only_one(
        self, world: World, size_bytes: int
    ) -> None:
        plain = await world.new_bucket()
        bucket = suspended(plain)
        await put(world.store, plain, "k", pattern(size_bytes))
        other = ObjectAttributes(user_metadata={"new": "yes"}, owner_id=USER.user_id)
        await world.store.copy(bucket, key("k"), bucket, key("k"), attributes=other)
        assert await history(world.store, bucket, "k") == [NULL_VERSION]
        assert await read(world.store, bucket, "k") == pattern(size_bytes)
        # From beneath another version to the top.
        made = await put_version(world.store, enabled(plain), "k", b"x")
        await world.store.copy(
            bucket, key("k"), bucket, key("k"), source_version_id=NULL_VERSION, attributes=PLAIN
        )
        assert await history(world.store, bucket, "k") == [NULL_VERSION, made.version_id]
        assert await read(world.store, bucket, "k") == pattern(size_bytes)
        await world.settle()
        assert not world.leftovers()

    async def test_copies_refused(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", b"x")
        marker = await mark_deleted(world.store, bucket, "k")
        upload = await begin(world, bucket, "target")
        cases: list[tuple[type[StoreError], str, str | None]] = [
            (KeyIsDeleted, "k", None),
            (VersionIsDeleteMarker, "k", marker),
            (NoSuchVersion, "k", "other"),
            (NoSuchVersion, "k", NULL_VERSION),
            (NoSuchVersion, "absent", made.version_id),
            (NoSuchKey, "absent", None),
        ]
        for error, name, version_id in cases:
            with pytest.raises(error):
                await world.store.copy(
                    bucket, key(name), bucket, key("copy"), source_version_id=version_id
                )
            with pytest.raises(error):
                await world.store.upload_part_copy(
                    bucket,
                    key(name),
                    bucket,
                    key("target"),
                    upload.upload_id,
                    1,
                    source_version_id=version_id,
                )
        assert await history(world.store, bucket, "copy") == []

    async def test_conditions_of_a_copy(self, world: World) -> None:
        """Of the source they are those of the version named, of the target those of its current object."""
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"old")
        new = await put_version(world.store, bucket, "k", b"new")

        async def copy(source: Conditions, target: Conditions = ABSENT) -> ObjectInfo:
            return await world.store.copy(
                bucket,
                key("k"),
                bucket,
                key("copy"),
                source_version_id=old.version_id,
                source_conditions=source,
                conditions=target,
            )

        with pytest.raises(PreconditionFailed):
            await copy(Conditions(if_match=(new.etag,)))
        await copy(Conditions(if_match=(old.etag,)))
        with pytest.raises(PreconditionFailed):
            await copy(Conditions())
        await mark_deleted(world.store, bucket, "copy")
        with pytest.raises(NoSuchKey):
            await copy(Conditions(), Conditions(if_match=("*",)))
        await copy(Conditions())
        assert len(await history(world.store, bucket, "copy")) == 3

    async def test_copy_keeps_tags_and_no_lock(self, world: World) -> None:
        """A lock is the version's own; the copy gets what its bucket gives."""
        plain = await world.new_bucket()
        source = lockable(await world.new_bucket())
        await world.store.put(source, key("k"), Body(b"x"), attributes=LOCKED)
        info = await world.store.copy(source, key("k"), plain, key("copy"), owner_id=UserId("new"))
        assert info.attributes == dataclasses.replace(
            LOCKED,
            owner_id=UserId("new"),
            acl=CannedAcl.PRIVATE,
            retention=None,
            legal_hold=None,
        )
        assert await world.store.head(plain, key("copy")) == info
        target = lockable(plain, DefaultRetention(RetentionMode.COMPLIANCE, days=2))
        info = await world.store.copy(source, key("k"), target, key("copy"))
        kept = Retention(RetentionMode.COMPLIANCE, START_NS + 2 * DAY_NS)
        assert (info.attributes.retention, info.attributes.legal_hold) == (kept, None)
        info = await world.store.copy(source, key("k"), target, key("copy"), attributes=LOCKED)
        assert info.attributes == LOCKED
        assert await world.store.head(target, key("copy")) == info

    async def test_part_copy_of_a_version(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "source", pattern(100_000))
        await put_version(world.store, bucket, "source", b"current")
        upload = await begin(world, bucket)
        part = await world.store.upload_part_copy(
            bucket,
            key("source"),
            bucket,
            key("k"),
            upload.upload_id,
            1,
            source_version_id=old.version_id,
            source_range=BoundedRange(10, 80_000),
            source_conditions=Conditions(if_match=(old.etag,)),
        )
        await finish(world, bucket, upload, [CompletedPart(1, part.etag)])
        assert await read(world.store, bucket, "k") == pattern(100_000)[10:80_001]


class VersionUploadContract:
    """Uploads to buckets that keep versions."""

    async def test_completion_makes_a_version(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = []
        for parts in (PARTS, PARTS[:2], [b"only"]):
            world.clock.advance(1)
            upload = await begin(world, bucket)
            named = await add_all(world, bucket, upload, parts)
            made.append(await finish(world, bucket, upload, named))
        ids = [info.version_id for info in made]
        assert NULL_VERSION not in ids
        await world.restart()
        assert await history(world.store, bucket, "k") == ids[::-1]
        for info, parts in zip(made, (PARTS, PARTS[:2], [b"only"]), strict=True):
            found = await world.store.head(bucket, key("k"), version_id=info.version_id)
            assert found == info
            data = await read_version(world.store, bucket, "k", info.version_id)
            assert data == b"".join(parts)
        reader = await world.store.get(bucket, key("k"), version_id=ids[0], byte_range=PartRange(5))
        assert await read_all(reader) == PARTS[2]
        await world.store.delete(bucket, key("k"), version_id=ids[0])
        assert await world.store.delete(bucket, key("k"), version_id=ids[2]) == DeleteResult(
            key("k"), ids[2]
        )
        assert await world.store.head(bucket, key("k")) == made[1]
        await world.settle()
        assert not world.leftovers()

    async def test_completion_while_suspended_replaces_the_null_version(self, world: World) -> None:
        plain = await world.new_bucket()
        upload = await begin(world, plain)
        await finish(world, plain, upload, await add_all(world, plain, upload))
        made = await put_version(world.store, enabled(plain), "k", b"version")
        for parts in (PARTS[:2], PARTS[2:]):
            upload = await begin(world, plain)
            named = await add_all(world, plain, upload, parts)
            info = await finish(world, suspended(plain), upload, named)
            assert info.version_id == NULL_VERSION
            assert await history(world.store, plain, "k") == [NULL_VERSION, made.version_id]
            assert await read(world.store, plain, "k") == b"".join(parts)
            await world.settle()
            assert not world.leftovers()

    async def test_the_bucket_counts_as_it_is_at_completion(self, world: World) -> None:
        plain = await world.new_bucket()
        upload = await begin(world, plain)
        named = await add_all(world, plain, upload)
        info = await finish(world, enabled(plain), upload, named)
        assert await history(world.store, plain, "k") == [info.version_id] != [NULL_VERSION]

    async def test_completion_conditions_below_a_marker(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", b"x")
        await mark_deleted(world.store, bucket, "k")
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)

        async def complete(conditions: Conditions) -> None:
            await world.store.complete_upload(
                bucket, key("k"), upload.upload_id, named, conditions=conditions
            )

        with pytest.raises(NoSuchKey):
            await complete(Conditions(if_match=(made.etag,)))
        await complete(ABSENT)
        assert await read(world.store, bucket, "k") == WHOLE

    async def test_completion_sent_again(self, world: World) -> None:
        """It answers as before while the version that it made is the key's current object, and only then."""
        bucket = enabled(await world.new_bucket())
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)
        info = await finish(world, bucket, upload, named)
        await world.restart()
        assert await finish(world, bucket, upload, named) == info
        assert await history(world.store, bucket, "k") == [info.version_id]
        newer = await put_version(world.store, bucket, "k", b"newer")
        with pytest.raises(NoSuchUpload):
            await finish(world, bucket, upload, named)
        await world.store.delete(bucket, key("k"), version_id=newer.version_id)
        assert await finish(world, bucket, upload, named) == info
        marker = await mark_deleted(world.store, bucket, "k")
        with pytest.raises(NoSuchUpload):
            await finish(world, bucket, upload, named)
        await world.store.delete(bucket, key("k"), version_id=marker)
        assert await finish(world, bucket, upload, named) == info
        await world.store.delete(bucket, key("k"), version_id=info.version_id)
        with pytest.raises(NoSuchUpload):
            await finish(world, bucket, upload, named)

    async def test_completion_sent_again_after_a_change(self, world: World) -> None:
        for bucket in (await world.new_bucket(), enabled(await world.new_bucket())):
            upload = await begin(world, bucket)
            named = await add_all(world, bucket, upload)
            await finish(world, bucket, upload, named)
            changed = await world.store.update_object(
                bucket, key("k"), ObjectChanges(tags={"a": "b"})
            )
            assert await finish(world, bucket, upload, named) == changed
            assert await world.store.head(bucket, key("k")) == changed

    async def test_equal_completions_make_versions_of_their_own(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        uploads = [await begin(world, bucket) for _ in range(2)]
        named = [await add_all(world, bucket, upload) for upload in uploads]
        first = await finish(world, bucket, uploads[0], named[0])
        second = await finish(world, bucket, uploads[1], named[1])
        assert await history(world.store, bucket, "k") == [second.version_id, first.version_id]
        assert await finish(world, bucket, uploads[1], named[1]) == second
        with pytest.raises(NoSuchUpload):
            await finish(world, bucket, uploads[0], named[0])

    async def test_same_completion_at_once(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)
        outcomes = await asyncio.gather(*(finish(world, bucket, upload, named) for _ in range(5)))
        assert all(outcome == outcomes[0] for outcome in outcomes)
        assert await history(world.store, bucket, "k") == [outcomes[0].version_id]

    async def test_default_retention_of_a_completion(self, world: World) -> None:
        bucket = await world.new_bucket()
        default = DefaultRetention(RetentionMode.GOVERNANCE, days=1)
        upload = await begin(world, bucket)
        part = await add(world, bucket, upload, 1, b"x")
        world.clock.advance(60)
        named = [CompletedPart(1, part.etag)]
        info = await finish(world, lockable(bucket, default), upload, named)
        until_ns = START_NS + 60 * 10**9 + DAY_NS
        kept = Retention(RetentionMode.GOVERNANCE, until_ns)
        assert info.attributes.retention == kept
        assert await world.store.head(bucket, key("k")) == info

    async def test_checksum_of_a_version_in_parts(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        upload = await world.store.create_upload(
            bucket,
            key("k"),
            attributes=LOCKED,
            initiator=USER,
            checksum_algorithm=ChecksumAlgorithm.CRC32,
        )
        named = await add_all(world, bucket, upload)
        info = await finish(world, bucket, upload, named)
        await put(world.store, bucket, "k", b"newer")
        await world.restart()
        found = await world.store.head(bucket, key("k"), version_id=info.version_id)
        assert found == info
        assert found.attributes == LOCKED
        assert found.checksum is not None
        assert [part.checksum is not None for part in found.parts] == [True] * len(PARTS)


class VersionRaceContract:
    """Writers at once, and callers whose idea of the bucket is old."""

    async def test_writers_at_once_leave_every_version(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())

        async def write(seed: int) -> ObjectInfo:
            data = pattern(10 + seed if seed % 3 else 150_000 + seed, seed)
            return await put_version(world.store, bucket, "k", data)

        made = await asyncio.gather(*(write(seed) for seed in range(15)))
        listed = await history(world.store, bucket, "k")
        assert sorted(listed) == sorted(info.version_id for info in made)
        for seed, info in enumerate(made):
            data = await read_version(world.store, bucket, "k", info.version_id)
            assert data == pattern(info.size_bytes, seed)
        for _ in range(2):
            assert (await world.store.head(bucket, key("k"))).version_id == listed[0]
            assert await history(world.store, bucket, "k") == listed
            await world.restart()
        # The order in which they fall back is the same one.
        for place, version_id in enumerate(listed[:-1]):
            await world.store.delete(bucket, key("k"), version_id=version_id)
            current = await world.store.head(bucket, key("k"))
            assert current.version_id == listed[place + 1]

    async def test_order_holds_when_one_write_follows_another(self, world: World) -> None:
        """Whatever their sizes, and so the ways that their bytes go; and when the clock goes back."""
        bucket = enabled(await world.new_bucket())
        ids = []
        for size_bytes in (10, 200_000, 20, 0, 300_000, 5):
            ids.append(
                (await put_version(world.store, bucket, "k", pattern(size_bytes))).version_id
            )
            world.clock.advance(-1)
            ids.append(await mark_deleted(world.store, bucket, "k"))
            upload = await begin(world, bucket)
            named = await add_all(world, bucket, upload, [pattern(size_bytes)])
            ids.append((await finish(world, bucket, upload, named)).version_id)
            ids.append((await world.store.copy(bucket, key("k"), bucket, key("k"))).version_id)
        assert await history(world.store, bucket, "k") == ids[::-1]
        await world.restart()
        assert await history(world.store, bucket, "k") == ids[::-1]

    async def test_order_holds_where_a_slow_write_began_first(self, world: World) -> None:
        """The order is that of the commits: what is acknowledged first is the older version."""
        bucket = enabled(await world.new_bucket())
        body = Body(pattern(400_000), chunk_bytes=1000)
        slow = asyncio.create_task(world.store.put(bucket, key("k"), body, attributes=PLAIN))
        await asyncio.sleep(0)
        quick = await put_version(world.store, bucket, "k", b"quick")
        assert not slow.done()
        later = await slow
        assert await history(world.store, bucket, "k") == [later.version_id, quick.version_id]
        await world.restart()
        assert await history(world.store, bucket, "k") == [later.version_id, quick.version_id]

    async def test_writes_and_deletes_at_once(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        puts = [put_version(world.store, bucket, "k", pattern(100, seed)) for seed in range(8)]
        deletes = [world.store.delete(bucket, key("k")) for _ in range(8)]
        infos, results = await asyncio.gather(asyncio.gather(*puts), asyncio.gather(*deletes))
        expected = [info.version_id for info in infos]
        expected += [result.version_id or "" for result in results]
        listed = await history(world.store, bucket, "k")
        assert sorted(listed) == sorted(expected)
        removals = (world.store.delete(bucket, key("k"), version_id=each) for each in listed)
        await asyncio.gather(*removals)
        assert await world.store.is_empty(bucket)
        await world.settle()
        assert not world.leftovers()

    async def test_null_version_is_one_whoever_races(self, world: World) -> None:
        bucket = suspended(await world.new_bucket())
        puts = [put_version(world.store, bucket, "k", pattern(100_000, seed)) for seed in range(6)]
        deletes = [world.store.delete(bucket, key("k")) for _ in range(3)]
        await asyncio.gather(*puts, *deletes)
        assert await history(world.store, bucket, "k") == [NULL_VERSION]
        await world.settle()
        assert not world.leftovers()

    async def test_one_of_many_racing_creators_wins(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put(world.store, bucket, "k", b"old")
        await mark_deleted(world.store, bucket, "k")

        async def create(seed: int) -> str | None:
            body = Body(pattern(100 if seed % 2 else 100_000, seed))
            try:
                info = await world.store.put(
                    bucket, key("k"), body, attributes=PLAIN, conditions=ABSENT
                )
            except PreconditionFailed:
                return None
            return info.version_id

        made = [each for each in await asyncio.gather(*map(create, range(8))) if each is not None]
        assert len(made) == 1
        assert len(await history(world.store, bucket, "k")) == 3

    async def test_one_of_many_racing_conditional_deletes_wins(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", b"x")
        right = Conditions(if_match=(made.etag,))
        outcomes = await asyncio.gather(
            *(world.store.delete(bucket, key("k"), conditions=right) for _ in range(5)),
            return_exceptions=True,
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, NoSuchKey)]
        assert len(refused) == 4
        assert len(await history(world.store, bucket, "k")) == 2

    async def test_callers_from_before_the_versions_harm_none(self, world: World) -> None:
        """A request may begin before versions are enabled and end after."""
        plain = await world.new_bucket()
        bucket = enabled(plain)
        made = [await put_version(world.store, bucket, "k", pattern(9, seed)) for seed in (0, 1)]
        ids = [info.version_id for info in made[::-1]]
        await put_version(world.store, plain, "k", b"old caller")
        assert await history(world.store, bucket, "k") == [NULL_VERSION, *ids]
        await world.store.delete(plain, key("k"))
        assert (await history(world.store, bucket, "k"))[-2:] == ids
        for version_id in ids:
            await world.store.head(bucket, key("k"), version_id=version_id)

    async def test_listing_of_objects_while_versions_come(self, world: World) -> None:
        bucket: Bucket = enabled(await world.new_bucket())
        for name in ("a", "b", "c"):
            await put(world.store, bucket, name, b"x")

        async def churn() -> None:
            for _ in range(10):
                await put(world.store, bucket, "b", b"y")

        async def look() -> None:
            for _ in range(10):
                page = await world.store.list_objects(bucket, ListQuery())
                assert [entry.key for entry in page.entries] == ["a", "b", "c"]
                await asyncio.sleep(0)

        await asyncio.gather(churn(), look(), churn())
