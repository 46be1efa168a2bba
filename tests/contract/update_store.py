"""The conformance suite of what changes after a version was written: tags, ACLs, and the locks that keep it.

Source: AWS, Categorizing your storage using tags; Locking objects with Object Lock.
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from core.configs.versioning import DefaultRetention, Retention, RetentionMode
from core.deletion import DeleteItem, DeleteResult
from core.errors import (
    KeyIsDeleted,
    NoSuchKey,
    NoSuchVersion,
    ObjectLocked,
    PreconditionFailed,
    VersionIsDeleteMarker,
)
from core.listing import ListQuery, VersionListQuery
from core.names import UserId
from core.types import (
    NULL_VERSION,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    Conditions,
    Grant,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
    PartRange,
    Permission,
)
from tests.contract.uploading import PARTS, WHOLE, add_all, begin, finish
from tests.contract.world import (
    PLAIN,
    START_NS,
    USER,
    Body,
    World,
    as_listed,
    enabled,
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
HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
RICH = ObjectAttributes(
    headers={"content-type": "text/plain"},
    user_metadata={"colour": "grün"},
    owner_id=USER.user_id,
    acl=CannedAcl.PUBLIC_READ,
    tags={"a": "b"},
)
TAGS = {"k" * 128: "ü" * 256, "empty": "", "/+-=._:@ ": "\U00010000"}
GRANTS = (
    Grant(Permission.FULL_CONTROL, USER.user_id),
    Grant(Permission.READ, UserId("someone")),
)
GOVERNED = Retention(RetentionMode.GOVERNANCE, START_NS + DAY_NS)
COMPLIANT = Retention(RetentionMode.COMPLIANCE, START_NS + DAY_NS)


async def put_rich(world: World, bucket: Bucket, data: bytes) -> ObjectInfo:
    body = Body(data, wanted=ChecksumAlgorithm.CRC32)
    return await world.store.put(bucket, key("k"), body, attributes=RICH)


def with_attributes(info: ObjectInfo, **changes: object) -> ObjectInfo:
    attributes = dataclasses.replace(info.attributes, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(info, attributes=attributes)


class UpdateContract:
    """Changes of a version that leave all else as it is."""

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_change_of_each_attribute(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        expected = await put_rich(world, bucket, pattern(size_bytes))
        world.clock.advance(5)
        cases: list[tuple[ObjectChanges, dict[str, object]]] = [
            (ObjectChanges(tags=TAGS), {"tags": TAGS}),
            (ObjectChanges(acl=GRANTS), {"acl": GRANTS}),
            (ObjectChanges(acl=CannedAcl.PRIVATE), {"acl": CannedAcl.PRIVATE}),
            (ObjectChanges(legal_hold=True), {"legal_hold": True}),
            (ObjectChanges(retention=GOVERNED), {"retention": GOVERNED}),
            (ObjectChanges(), {}),
            (ObjectChanges(legal_hold=False), {"legal_hold": False}),
            (ObjectChanges(tags={}), {"tags": {}}),
            (ObjectChanges(tags={"x": "y"}, acl=()), {"tags": {"x": "y"}, "acl": ()}),
        ]
        for changes, attributes in cases:
            expected = with_attributes(expected, **attributes)
            assert await world.store.update_object(bucket, key("k"), changes) == expected
            assert await world.store.head(bucket, key("k")) == expected
            assert await read(world.store, bucket, "k") == pattern(size_bytes)
        await world.restart()
        assert await world.store.head(bucket, key("k")) == expected
        page = await world.store.list_objects(bucket, ListQuery())
        assert [as_listed(entry) for entry in page.entries] == [as_listed(expected)]
        assert await read(world.store, bucket, "k") == pattern(size_bytes)
        await world.settle()
        assert not world.leftovers()

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_change_of_every_version(self, world: World, size_bytes: int) -> None:
        """Each keeps its place, whichever was changed last."""
        plain = await world.new_bucket()
        bucket = enabled(plain)
        made = [await put_rich(world, plain, pattern(size_bytes))]
        made += [await put_rich(world, bucket, pattern(size_bytes, seed)) for seed in (1, 2)]
        ids = [info.version_id for info in made]
        expected = []
        for place in (0, 2, 1):
            changes = ObjectChanges(tags={"place": str(place)})
            info = await world.store.update_object(bucket, key("k"), changes, version_id=ids[place])
            assert info == with_attributes(made[place], tags={"place": str(place)})
            expected.append(info)
        expected.sort(key=lambda info: ids.index(info.version_id), reverse=True)
        for _ in range(2):
            page = await world.store.list_versions(bucket, VersionListQuery())
            assert [version.info for version in page.versions] == expected
            for place, version_id in enumerate(ids):
                found = await read_version(world.store, bucket, "k", version_id)
                assert found == pattern(size_bytes, place)
            await world.restart()
        await world.settle()
        assert not world.leftovers()
        # What comes to the top again has what it was changed to.
        for info in expected:
            assert await world.store.head(bucket, key("k")) == info
            await world.store.delete(bucket, key("k"), version_id=info.version_id)
        assert await world.store.is_empty(bucket)
        await world.settle()
        assert not world.leftovers()

    async def test_change_of_a_version_below_a_marker(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_rich(world, bucket, pattern(100_000))
        marker = await mark_deleted(world.store, bucket, "k")
        changes = ObjectChanges(tags=TAGS)
        with pytest.raises(KeyIsDeleted):
            await world.store.update_object(bucket, key("k"), changes)
        with pytest.raises(VersionIsDeleteMarker):
            await world.store.update_object(bucket, key("k"), changes, version_id=marker)
        info = await world.store.update_object(
            bucket, key("k"), changes, version_id=made.version_id
        )
        assert await history(world.store, bucket, "k") == [marker, made.version_id]
        await world.store.delete(bucket, key("k"), version_id=marker)
        assert await world.store.head(bucket, key("k")) == info

    async def test_changes_of_what_is_not_there(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_rich(world, bucket, b"x")
        changes = ObjectChanges(tags=TAGS)
        with pytest.raises(NoSuchKey):
            await world.store.update_object(bucket, key("absent"), changes)
        for name, version_id in (("k", "other"), ("k", NULL_VERSION), ("absent", made.version_id)):
            with pytest.raises(NoSuchVersion):
                await world.store.update_object(bucket, key(name), changes, version_id=version_id)
        assert await world.store.head(bucket, key("k")) == made
        assert await history(world.store, bucket, "absent") == []

    async def test_conditions_of_a_change(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"old")
        await put_version(world.store, bucket, "k", b"new")
        changes = ObjectChanges(tags=TAGS)
        right = Conditions(if_match=(old.etag,))
        with pytest.raises(PreconditionFailed):
            await world.store.update_object(bucket, key("k"), changes, conditions=right)
        info = await world.store.update_object(
            bucket, key("k"), changes, version_id=old.version_id, conditions=right
        )
        assert info.attributes.tags == TAGS

    async def test_change_of_an_object_in_parts(self, world: World) -> None:
        for state in (enabled, suspended):
            bucket = state(await world.new_bucket())
            upload = await begin(world, bucket)
            named = await add_all(world, bucket, upload)
            made = info = await finish(world, bucket, upload, named)
            for number in range(3):
                tags = {"number": str(number)}
                info = await world.store.update_object(bucket, key("k"), ObjectChanges(tags=tags))
                assert info == with_attributes(made, tags=tags)
            await world.restart()
            assert await world.store.head(bucket, key("k")) == info
            assert await read(world.store, bucket, "k") == WHOLE
            reader = await world.store.get(bucket, key("k"), byte_range=PartRange(5))
            assert await read_all(reader) == PARTS[2]
            await put(world.store, bucket, "k", b"newer")
            changes = ObjectChanges(tags=TAGS)
            if state is enabled:
                await world.store.update_object(
                    bucket, key("k"), changes, version_id=made.version_id
                )
                found = await read_version(world.store, bucket, "k", made.version_id)
                assert found == WHOLE
                await world.store.delete(bucket, key("k"), version_id=made.version_id)
            await world.settle()
            assert not world.leftovers()

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_overwriting_what_was_changed(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        for seed in range(2):
            await put_rich(world, bucket, pattern(size_bytes, seed))
            for number in range(3):
                changes = ObjectChanges(tags={"number": str(number)})
                await world.store.update_object(bucket, key("k"), changes)
        await world.settle()
        assert not world.leftovers()
        info = await put_version(world.store, bucket, "k", b"plain again")
        assert info.attributes == PLAIN
        await world.store.update_object(bucket, key("k"), ObjectChanges(tags=TAGS))
        await world.store.delete(bucket, key("k"))
        await world.settle()
        assert not world.leftovers()
        assert await world.store.is_empty(bucket)

    async def test_copy_has_what_was_changed(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put_rich(world, bucket, pattern(100_000))
        await world.store.update_object(bucket, key("k"), ObjectChanges(tags=TAGS, acl=GRANTS))
        info = await world.store.copy(bucket, key("k"), bucket, key("copy"))
        assert info.attributes == dataclasses.replace(RICH, tags=TAGS, acl=CannedAcl.PRIVATE)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_reader_is_not_disturbed(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        await put_rich(world, bucket, pattern(size_bytes))
        reader = await world.store.get(bucket, key("k"))
        for number in range(3):
            changes = ObjectChanges(tags={"number": str(number)})
            await world.store.update_object(bucket, key("k"), changes)
        await world.settle(0.1)
        assert await read_all(reader) == pattern(size_bytes)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_changes_at_once_are_all_kept(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        made = await put_rich(world, bucket, pattern(size_bytes))
        changes = [
            ObjectChanges(tags=TAGS),
            ObjectChanges(acl=GRANTS),
            ObjectChanges(retention=GOVERNED),
            ObjectChanges(legal_hold=True),
        ]
        await asyncio.gather(
            *(world.store.update_object(bucket, key("k"), each) for each in changes)
        )
        expected = with_attributes(made, tags=TAGS, acl=GRANTS, retention=GOVERNED, legal_hold=True)
        assert await world.store.head(bucket, key("k")) == expected

    async def test_changes_and_writes_at_once(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put_rich(world, bucket, pattern(100_000))

        async def change(number: int) -> None:
            tags = {"number": str(number)}
            await world.store.update_object(bucket, key("k"), ObjectChanges(tags=tags))

        async def write(seed: int) -> None:
            await put_rich(world, bucket, pattern(100_000, seed))

        await asyncio.gather(*map(change, range(5)), *map(write, range(5)))
        info = await world.store.head(bucket, key("k"))
        data = await read(world.store, bucket, "k")
        assert data in [pattern(100_000, seed) for seed in range(5)]
        assert len(data) == info.size_bytes
        await world.settle()
        assert not world.leftovers()


class LockContract:
    """Versions that retentions and legal holds keep."""

    @pytest.mark.parametrize(
        "lock",
        [{"retention": GOVERNED}, {"retention": COMPLIANT}, {"legal_hold": True}],
        ids=["governance", "compliance", "legal-hold"],
    )
    @pytest.mark.parametrize("is_locked_later", [False, True])
    async def test_locked_version_stays(
        self, world: World, lock: dict[str, object], is_locked_later: bool
    ) -> None:
        bucket = lockable(await world.new_bucket())
        attributes = dataclasses.replace(RICH, **lock)  # type: ignore[arg-type]
        made = await world.store.put(
            bucket, key("k"), Body(b"x"), attributes=RICH if is_locked_later else attributes
        )
        if is_locked_later:
            changes = ObjectChanges(**lock)  # type: ignore[arg-type]
            await world.store.update_object(bucket, key("k"), changes)
        named = made.version_id
        newer = await put_version(world.store, bucket, "k", b"newer")
        marker = await mark_deleted(world.store, bucket, "k")
        ids = [marker, newer.version_id, named]
        for _ in range(2):
            with pytest.raises(ObjectLocked):
                await world.store.delete(bucket, key("k"), version_id=named)
            outcomes = await world.store.delete_many(bucket, [DeleteItem(key("k"), named)])
            assert isinstance(outcomes[0], ObjectLocked)
            assert await history(world.store, bucket, "k") == ids
            found = await world.store.head(bucket, key("k"), version_id=named)
            assert found.attributes == attributes
            await world.restart()
        # Nor do other properties of the bucket matter, nor which version of it the caller knows.
        with pytest.raises(ObjectLocked):
            await world.store.delete(enabled(bucket), key("k"), version_id=named)
        assert await read_version(world.store, bucket, "k", named) == b"x"

    async def test_bypass_overcomes_governance_alone(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        cases: list[tuple[Retention | None, bool, bool]] = [
            (GOVERNED, False, True),
            (COMPLIANT, False, False),
            (GOVERNED, True, False),
            (None, True, False),
        ]
        for retention, hold, yields in cases:
            attributes = dataclasses.replace(PLAIN, retention=retention, legal_hold=hold)
            items = []
            for _ in range(2):
                info = await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
                items.append(DeleteItem(key("k"), info.version_id))
            one, other = items
            result = (await world.store.delete_many(bucket, [other], bypass_governance=True))[0]
            if yields:
                assert result == DeleteResult(key("k"), other.version_id)
                await world.store.delete(
                    bucket, key("k"), version_id=one.version_id, bypass_governance=True
                )
            else:
                assert isinstance(result, ObjectLocked)
                with pytest.raises(ObjectLocked):
                    await world.store.delete(
                        bucket, key("k"), version_id=one.version_id, bypass_governance=True
                    )
        assert len(await history(world.store, bucket, "k")) == 6

    async def test_bypass_is_for_named_versions(self, world: World) -> None:
        bucket = await world.new_bucket()
        governed = dataclasses.replace(PLAIN, retention=GOVERNED)
        await world.store.put(bucket, key("k"), Body(b"x"), attributes=governed)
        for state in (bucket, suspended(bucket)):
            with pytest.raises(ObjectLocked):
                await world.store.delete(state, key("k"), bypass_governance=True)
        await world.store.delete(bucket, key("k"), version_id=NULL_VERSION, bypass_governance=True)
        assert await world.store.is_empty(bucket)

    async def test_retention_ends_with_its_time(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        attributes = dataclasses.replace(PLAIN, retention=COMPLIANT)
        made = await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        world.clock.advance(24 * 3600 - 1)
        with pytest.raises(ObjectLocked):
            await world.store.delete(bucket, key("k"), version_id=made.version_id)
        world.clock.advance(1)
        result = await world.store.delete(bucket, key("k"), version_id=made.version_id)
        assert result == DeleteResult(key("k"), made.version_id)
        assert await world.store.is_empty(bucket)

    async def test_clock_set_back_frees_nothing(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        attributes = dataclasses.replace(PLAIN, retention=COMPLIANT)
        made = await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        world.clock.advance(-1000 * 24 * 3600)
        with pytest.raises(ObjectLocked):
            await world.store.delete(bucket, key("k"), version_id=made.version_id)

    async def test_legal_hold_ends_when_it_is_lifted(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", b"x")
        for hold in (True, False):
            info = await world.store.update_object(bucket, key("k"), ObjectChanges(legal_hold=hold))
            assert info.attributes.legal_hold is hold
            if hold:
                with pytest.raises(ObjectLocked):
                    await world.store.delete(bucket, key("k"), version_id=made.version_id)
        await world.store.delete(bucket, key("k"), version_id=made.version_id)
        assert await world.store.is_empty(bucket)

    async def test_locks_hold_neither_writes_nor_markers_back(self, world: World) -> None:
        """A lock keeps a version, not the key: what is newer goes on top of it."""
        bucket = lockable(await world.new_bucket())
        attributes = dataclasses.replace(PLAIN, retention=COMPLIANT, legal_hold=True)
        ids = []
        for _ in range(2):
            info = await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
            ids.append(info.version_id)
            ids.append(await mark_deleted(world.store, bucket, "k"))
        upload = await begin(world, bucket)
        info = await finish(world, bucket, upload, await add_all(world, bucket, upload))
        ids.append(info.version_id)
        ids.append((await world.store.copy(bucket, key("k"), bucket, key("k"))).version_id)
        assert await history(world.store, bucket, "k") == ids[::-1]
        for marker in (ids[1], ids[3]):
            await world.store.delete(bucket, key("k"), version_id=marker)

    async def test_locked_null_version_is_not_replaced(self, world: World) -> None:
        """Buckets with Object Lock cannot suspend versions; the store relies on nobody for it."""
        plain = await world.new_bucket()
        await put_rich(world, plain, pattern(100_000))
        upload = await begin(world, plain)
        named = await add_all(world, plain, upload)
        await world.store.update_object(plain, key("k"), ObjectChanges(retention=COMPLIANT))
        for bucket in (plain, suspended(plain)):
            for size_bytes in SIZES:
                body = Body(pattern(size_bytes, 1))
                with pytest.raises(ObjectLocked):
                    await world.store.put(bucket, key("k"), body, attributes=PLAIN)
            with pytest.raises(ObjectLocked):
                await world.store.copy(bucket, key("k"), bucket, key("k"), attributes=RICH)
            with pytest.raises(ObjectLocked):
                await finish(world, bucket, upload, named)
            with pytest.raises(ObjectLocked):
                await world.store.delete(bucket, key("k"))
            with pytest.raises(ObjectLocked):
                await world.store.delete(bucket, key("k"), version_id=NULL_VERSION)
            outcomes = await world.store.delete_many(bucket, [DeleteItem(key("k"))])
            assert isinstance(outcomes[0], ObjectLocked)
        assert await read(world.store, plain, "k") == pattern(100_000)
        info = await finish(world, enabled(plain), upload, named)
        assert await history(world.store, plain, "k") == [info.version_id, NULL_VERSION]
        await world.settle()
        assert not world.leftovers()

    # --- retention ---

    async def test_default_retention(self, world: World) -> None:
        default = DefaultRetention(RetentionMode.GOVERNANCE, days=1)
        bucket = lockable(await world.new_bucket(), default)
        for size_bytes in SIZES:
            info = await put_version(world.store, bucket, "k", pattern(size_bytes))
            assert info.attributes == dataclasses.replace(PLAIN, retention=GOVERNED)
            found = await world.store.head(bucket, key("k"), version_id=info.version_id)
            assert found == info
            with pytest.raises(ObjectLocked):
                await world.store.delete(bucket, key("k"), version_id=info.version_id)
        own = Retention(RetentionMode.COMPLIANCE, START_NS + 5)
        attributes = dataclasses.replace(PLAIN, retention=own)
        info = await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        assert info.attributes.retention == own
        held = dataclasses.replace(PLAIN, legal_hold=True)
        info = await world.store.put(bucket, key("k"), Body(b"x"), attributes=held)
        assert info.attributes == dataclasses.replace(held, retention=GOVERNED)
        await world.restart()
        found = await world.store.head(bucket, key("k"))
        assert found == info

    async def test_changes_of_a_retention(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", b"x")
        await put_version(world.store, bucket, "k", b"newer")

        async def retain(new: Retention | None, *, bypasses: bool = False) -> Retention | None:
            changes = ObjectChanges(retention=new, removes_retention=new is None)
            info = await world.store.update_object(
                bucket,
                key("k"),
                changes,
                version_id=made.version_id,
                bypass_governance=bypasses,
            )
            found = await world.store.head(bucket, key("k"), version_id=made.version_id)
            assert found == info
            return info.attributes.retention

        shorter = Retention(RetentionMode.GOVERNANCE, GOVERNED.until_ns - HOUR_NS)
        longer = Retention(RetentionMode.GOVERNANCE, GOVERNED.until_ns + HOUR_NS)
        for step in (shorter, GOVERNED, longer):
            assert await retain(step) == step
        for refused in (shorter, None, COMPLIANT):
            with pytest.raises(ObjectLocked):
                await retain(refused)
        assert await retain(shorter, bypasses=True) == shorter
        assert await retain(None, bypasses=True) is None
        assert await retain(None) is None
        assert await retain(GOVERNED) == GOVERNED
        compliant = Retention(RetentionMode.COMPLIANCE, longer.until_ns)
        assert await retain(compliant, bypasses=True) == compliant
        for refused in (COMPLIANT, longer, None):
            for bypasses in (False, True):
                with pytest.raises(ObjectLocked):
                    await retain(refused, bypasses=bypasses)
        longest = Retention(RetentionMode.COMPLIANCE, compliant.until_ns + 1)
        assert await retain(longest) == longest
        world.clock.advance(26 * 3600)
        assert await retain(None) is None

    async def test_refused_change_changes_nothing(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        attributes = dataclasses.replace(RICH, retention=COMPLIANT)
        made = await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        changes = ObjectChanges(tags=TAGS, acl=GRANTS, legal_hold=True, retention=GOVERNED)
        with pytest.raises(ObjectLocked):
            await world.store.update_object(bucket, key("k"), changes, bypass_governance=True)
        assert await world.store.head(bucket, key("k")) == made
        info = await world.store.update_object(
            bucket, key("k"), ObjectChanges(tags=TAGS, acl=GRANTS)
        )
        assert info == with_attributes(made, tags=TAGS, acl=GRANTS)

    async def test_bad_conditions_come_before_locks(self, world: World) -> None:
        bucket = lockable(await world.new_bucket())
        attributes = dataclasses.replace(PLAIN, retention=COMPLIANT)
        made = await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        wrong = Conditions(if_match=("other",))
        with pytest.raises(PreconditionFailed):
            await world.store.delete(bucket, key("k"), version_id=made.version_id, conditions=wrong)
