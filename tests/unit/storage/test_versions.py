"""Versions of a key: what is current, what lies below, what a delete leaves, what is locked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from core.configs.versioning import (
    DefaultRetention,
    ObjectLock,
    Retention,
    RetentionMode,
    Versioning,
)
from core.deletion import DeleteItem, DeleteResult
from core.errors import (
    BucketNotEmpty,
    KeyIsDeleted,
    NoSuchKey,
    NoSuchVersion,
    ObjectLocked,
    PreconditionFailed,
    VersionIsDeleteMarker,
)
from core.listing import ListQuery, VersionListQuery
from core.types import (
    NULL_VERSION,
    BucketProps,
    Conditions,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)
from core.uploads import CompletedPart
from storage.version_ids import new_version_id, order_of
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern
from tests.unit.storage.versioned import (
    ENABLED,
    SUSPENDED,
    delete,
    mark,
    put,
    read,
    run,
    settled,
    versions,
)

NEW = ObjectAttributes({"content-type": "text/new"})
DAY_NS = 86_400 * 10**9


# --- ids ---------------------------------------------------------------------------------------------------------


def test_version_ids_name_their_order_and_nothing_else() -> None:
    now = time.time_ns()
    made = {new_version_id(now) for _ in range(100)}
    assert len(made) == 100
    assert {order_of(each) for each in made} == {now}
    assert all(len(each) == 32 and each[0].isalpha() for each in made)
    for bad in ("", "null", "x", "é" * 32, "!" * 32, "A" * 32, "_" * 32, "A" * 31 + "\x00"):
        assert order_of(bad) is None, bad


# --- putting and reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 5000])
def test_every_put_is_a_version(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            plain = await put(box, "k", pattern(size), BUCKET)
            assert plain == NULL_VERSION
            ids = [await put(box, "k", pattern(size, seed)) for seed in (1, 2, 3)]
            assert len({*ids, NULL_VERSION}) == 4
            assert await read(box, "k") == pattern(size, 3)
            for seed, version_id in enumerate([NULL_VERSION, *ids]):
                assert await read(box, "k", version_id) == pattern(size, seed)
                info = await box.node.head(ENABLED, key("k"), version_id=version_id)
                assert info.version_id == version_id
            assert [row[1:3] for row in await versions(box)] == [
                (ids[2], True),
                (ids[1], False),
                (ids[0], False),
                (NULL_VERSION, False),
            ]
            listed = await box.node.list_objects(ENABLED, ListQuery())
            assert [(each.key, each.version_id) for each in listed.entries] == [("k", ids[2])]
            await settled(box, 4 if size > 1000 else 0)

    run(scenario())


def test_unknown_versions_are_not_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            made = await put(box, "k", b"1")
            order = order_of(made)
            assert order is not None
            for version_id in ("", "x", NULL_VERSION, new_version_id(order), "\udc80", "☃" * 32):
                with pytest.raises(NoSuchVersion):
                    await box.node.head(ENABLED, key("k"), version_id=version_id)
                with pytest.raises(NoSuchVersion):
                    await box.node.update_object(
                        ENABLED, key("k"), ObjectChanges(tags={}), version_id=version_id
                    )
                result = await delete(box, "k", version_id)
                assert result == DeleteResult(key("k"), version_id)
            assert await read(box, "k") == b"1"

    run(scenario())


def test_suspended_buckets_replace_the_null_version_wherever_it_stands(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await put(box, "k", pattern(5000), BUCKET)
            first = await put(box, "k", pattern(5000, 1))
            assert await put(box, "k", pattern(5000, 2), SUSPENDED) == NULL_VERSION
            assert [row[1] for row in await versions(box)] == [NULL_VERSION, first]
            assert await put(box, "k", pattern(5000, 3), SUSPENDED) == NULL_VERSION
            second = await put(box, "k", pattern(5000, 4))
            assert [row[1] for row in await versions(box)] == [second, NULL_VERSION, first]
            assert await read(box, "k", NULL_VERSION) == pattern(5000, 3)
            await settled(box, 3)
            assert await mark(box, "k", SUSPENDED) == NULL_VERSION
            assert [row[1] for row in await versions(box)] == [NULL_VERSION, second, first]
            await settled(box, 2)
            assert await mark(box, "k", SUSPENDED) == NULL_VERSION
            assert len(await versions(box)) == 3
            await delete(box, "k", NULL_VERSION)
            assert await read(box, "k") == pattern(5000, 4)
            await settled(box, 2)

    run(scenario())


def test_a_writer_that_knows_of_no_versions_harms_none(tmp_path: Path) -> None:
    """A request that began before versioning was enabled ends after it."""

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            only = await put(box, "one", b"1")
            await put(box, "one", b"2", BUCKET)
            assert await read(box, "one", only) == b"1"
            await delete(box, "one", bucket=BUCKET)
            assert await read(box, "one", only) == b"1"
            await put(box, "null below", b"1", BUCKET)
            await mark(box, "null below")
            await put(box, "null below", b"2", BUCKET)
            found = await versions(box, VersionListQuery("null"))
            assert (len(found), found[0][1]) == (2, NULL_VERSION)
            kept = await put(box, "copied", b"1")
            await box.node.copy(BUCKET, key("copied"), BUCKET, key("copied"), attributes=NEW)
            assert await read(box, "copied", kept) == b"1"
            await settled(box, 0)

    run(scenario())


def test_a_clock_set_back_does_not_disorder_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            now = time.time_ns()
            ids = []
            for step in range(6):
                monkeypatch.setattr(time, "time_ns", lambda step=step: now - step * DAY_NS)
                box.node.mountpaths.all[0].opened()._last_stamp = 0
                ids.append(await put(box, "k", pattern(5000 if step % 2 else 10, step)))
            marker = await mark(box, "k")
            assert [row[1] for row in await versions(box)] == [marker, *reversed(ids)]
            for step, version_id in enumerate(ids):
                assert await read(box, "k", version_id) == pattern(5000 if step % 2 else 10, step)
            await settled(box, 3)

    run(scenario())


def test_conditions_see_the_current_object_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            first = await box.put("k", b"1", bucket=ENABLED)
            absent = Conditions(if_none_match=("*",))
            present = Conditions(if_match=(first.etag,))
            with pytest.raises(PreconditionFailed):
                await box.put("k", b"2", bucket=ENABLED, conditions=absent)
            marker = await mark(box, "k")
            with pytest.raises(NoSuchKey):
                await box.put("k", b"2", bucket=ENABLED, conditions=present)
            with pytest.raises(NoSuchKey):
                await box.node.delete(ENABLED, key("k"), conditions=present)
            second = await box.put("k", b"2", bucket=ENABLED, conditions=absent)
            with pytest.raises(PreconditionFailed):
                await box.node.delete(ENABLED, key("k"), conditions=present)
            with pytest.raises(PreconditionFailed):
                await box.node.delete(
                    ENABLED, key("k"), version_id=second.version_id, conditions=present
                )
            await box.node.delete(
                ENABLED, key("k"), version_id=first.version_id, conditions=present
            )
            assert [row[1] for row in await versions(box)] == [second.version_id, marker]

    run(scenario())


# --- deleting ----------------------------------------------------------------------------------------------------


def test_markers_hide_and_reveal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            first = await put(box, "k", pattern(5000))
            lower, upper = await mark(box, "k"), await mark(box, "k")
            assert [row[1:] for row in await versions(box)] == [
                (upper, True, True),
                (lower, False, True),
                (first, False, False),
            ]
            with pytest.raises(KeyIsDeleted) as deleted:
                await box.node.head(ENABLED, key("k"))
            assert deleted.value.version_id == upper
            assert deleted.value.modified_ns > 0
            with pytest.raises(VersionIsDeleteMarker) as is_marker:
                await read(box, "k", lower)
            assert is_marker.value.version_id == lower
            with pytest.raises(VersionIsDeleteMarker):
                await box.node.update_object(
                    ENABLED, key("k"), ObjectChanges(tags={}), version_id=lower
                )
            with pytest.raises(KeyIsDeleted):
                await box.node.update_object(ENABLED, key("k"), ObjectChanges(tags={}))
            with pytest.raises(KeyIsDeleted):
                await box.node.copy(ENABLED, key("k"), ENABLED, key("copy"))
            listed = await box.node.list_objects(ENABLED, ListQuery())
            assert not listed.entries
            assert await read(box, "k", first) == pattern(5000)
            assert (await delete(box, "k", lower)).is_delete_marker
            with pytest.raises(KeyIsDeleted):
                await read(box, "k")
            assert (await delete(box, "k", upper)).is_delete_marker
            assert await read(box, "k") == pattern(5000)
            assert await versions(box) == [("k", first, True, False)]
            await settled(box, 1)

    run(scenario())


def test_removing_the_current_version_brings_the_one_below_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            first = await put(box, "k", pattern(5000))
            second = await put(box, "k", b"2")
            marker = await mark(box, "k")
            third = await put(box, "k", pattern(5000, 3))
            await delete(box, "k", second)
            assert await read(box, "k") == pattern(5000, 3)
            assert not (await delete(box, "k", third)).is_delete_marker
            with pytest.raises(KeyIsDeleted):
                await read(box, "k")
            await delete(box, "k", first)
            assert await versions(box) == [("k", marker, True, True)]
            assert not await box.node.is_empty(ENABLED)
            with pytest.raises(BucketNotEmpty):
                await box.node.close_bucket(ENABLED)
            await delete(box, "k", marker)
            assert await box.node.is_empty(ENABLED)
            with pytest.raises(NoSuchKey) as absent:
                await read(box, "k")
            assert not isinstance(absent.value, KeyIsDeleted)
            await settled(box, 0)
            assert box.check().small_rows == 0
            await box.node.close_bucket(ENABLED)

    run(scenario())


@pytest.mark.parametrize("mountpaths", [1, 2])
def test_many_deletes_in_one_commit(tmp_path: Path, mountpaths: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=mountpaths) as box:
            ids = {name: await put(box, name, pattern(5000)) for name in "abcd"}
            held = ObjectChanges(legal_hold=True)
            await box.node.update_object(ENABLED, key("b"), held)
            outcomes = await box.node.delete_many(
                ENABLED,
                [
                    DeleteItem(key("a"), ids["a"]),
                    DeleteItem(key("b"), ids["b"]),
                    DeleteItem(key("c")),
                    DeleteItem(key("d"), ids["a"]),
                    DeleteItem(key("d"), conditions=Conditions(if_match=("0",))),
                    DeleteItem(key("never")),
                    DeleteItem(key("c")),
                ],
            )
            assert outcomes[0] == DeleteResult(key("a"), ids["a"])
            assert isinstance(outcomes[1], ObjectLocked)
            assert outcomes[3] == DeleteResult(key("d"), ids["a"])
            assert isinstance(outcomes[4], PreconditionFailed)
            markers = [outcomes[place] for place in (2, 5, 6)]
            assert all(isinstance(each, DeleteResult) and each.is_delete_marker for each in markers)
            names = [row[0] for row in await versions(box)]
            assert names == ["b", "c", "c", "c", "d", "never"]

    run(scenario())


# --- locks -------------------------------------------------------------------------------------------------------


def kept(mode: RetentionMode, days: float = 1) -> Retention:
    return Retention(mode, time.time_ns() + int(days * DAY_NS))


def test_locked_versions_stay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            attributes = replace(PLAIN, retention=kept(RetentionMode.GOVERNANCE))
            info = await box.put("k", b"1", bucket=ENABLED, attributes=attributes)
            name, locked = key("k"), info.version_id
            with pytest.raises(ObjectLocked):
                await delete(box, "k", locked)
            await put(box, "k", b"2")
            await mark(box, "k")
            with pytest.raises(ObjectLocked):
                await delete(box, "k", locked)
            assert await read(box, "k", locked) == b"1"

            async def change(changes: ObjectChanges, bypass: bool = False) -> ObjectInfo:
                return await box.node.update_object(
                    ENABLED, name, changes, version_id=locked, bypass_governance=bypass
                )

            shorter = ObjectChanges(retention=kept(RetentionMode.GOVERNANCE, 0.5))
            with pytest.raises(ObjectLocked):
                await change(shorter)
            with pytest.raises(ObjectLocked):
                await change(ObjectChanges(removes_retention=True))
            await change(shorter, bypass=True)
            held = await change(ObjectChanges(legal_hold=True, removes_retention=True), bypass=True)
            assert held.attributes.retention is None
            with pytest.raises(ObjectLocked):
                await box.node.delete(ENABLED, name, version_id=locked, bypass_governance=True)
            await change(ObjectChanges(legal_hold=False, tags={"a": "b"}))
            await box.node.delete(ENABLED, name, version_id=locked)
            with pytest.raises(NoSuchVersion):
                await read(box, "k", locked)
            await settled(box, 0)

    run(scenario())


def test_a_locked_null_version_is_not_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await put(box, "k", b"1", BUCKET)
            await box.node.update_object(BUCKET, key("k"), ObjectChanges(legal_hold=True))
            for bucket in (BUCKET, SUSPENDED):
                with pytest.raises(ObjectLocked):
                    await put(box, "k", b"2", bucket)
                with pytest.raises(ObjectLocked):
                    await delete(box, "k", bucket=bucket)
                with pytest.raises(ObjectLocked):
                    await box.node.copy(bucket, key("k"), bucket, key("k"), attributes=NEW)
            await put(box, "k", b"2")
            with pytest.raises(ObjectLocked):
                await put(box, "k", b"3", SUSPENDED)
            assert await read(box, "k", NULL_VERSION) == b"1"

    run(scenario())


@pytest.mark.parametrize("size", [10, 5000])
def test_the_buckets_default_retention(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        default = DefaultRetention(RetentionMode.COMPLIANCE, days=3)
        props = BucketProps(versioning=Versioning.ENABLED, object_lock=ObjectLock(default))
        bucket = replace(BUCKET, props=props)
        async with opened(tmp_path) as box:
            info = await box.put("k", pattern(size), bucket=bucket)
            wanted = Retention(RetentionMode.COMPLIANCE, info.modified_ns + 3 * DAY_NS)
            assert info.attributes.retention == wanted
            assert (await box.node.head(bucket, key("k"))).attributes.retention == wanted
            own = replace(PLAIN, retention=kept(RetentionMode.GOVERNANCE))
            info = await box.put("k", pattern(size), bucket=bucket, attributes=own)
            assert info.attributes.retention == own.retention
            copied = await box.node.copy(bucket, key("k"), bucket, key("copy"))
            assert copied.attributes.retention is not None
            assert copied.attributes.retention.mode is RetentionMode.COMPLIANCE
            copied = await box.node.copy(bucket, key("k"), ENABLED, key("copy"))
            assert copied.attributes.retention is None

    run(scenario())


# --- changing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 5000])
def test_updates_leave_all_but_the_attributes(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            first = await box.put("k", pattern(size), bucket=ENABLED)
            second = await box.put("k", pattern(size, 2), bucket=ENABLED)
            order = await versions(box)
            bytes_before = box.blobs()
            for version in (first, second):
                for number in range(3):
                    tags = {"n": str(number)}
                    changed = await box.node.update_object(
                        ENABLED, key("k"), ObjectChanges(tags=tags), version_id=version.version_id
                    )
                    wanted = replace(version, attributes=replace(PLAIN, tags=tags))
                    assert changed == wanted
                    head = await box.node.head(ENABLED, key("k"), version_id=version.version_id)
                    assert head == wanted
            assert await versions(box) == order
            page = await box.node.list_versions(ENABLED, VersionListQuery())
            assert [each.info.attributes.tags for each in page.versions] == [{"n": "2"}] * 2
            assert await read(box, "k") == pattern(size, 2)
            assert await read(box, "k", first.version_id) == pattern(size)
            with pytest.raises(PreconditionFailed):
                await box.node.update_object(
                    ENABLED,
                    key("k"),
                    ObjectChanges(tags={}),
                    conditions=Conditions(if_match=(first.etag,)),
                )
            with pytest.raises(NoSuchKey):
                await box.node.update_object(ENABLED, key("never"), ObjectChanges(tags={}))
            assert box.blobs() == bytes_before
            await settled(box, len(bytes_before))
            assert box.check().small_rows == (2 if size > 1000 else 4)

    run(scenario())


async def complete(box: Box, name: str, parts: Sequence[bytes]) -> ObjectInfo:
    upload = await box.node.create_upload(ENABLED, key(name), attributes=PLAIN, initiator=USER)
    completed = []
    for number, data in enumerate(parts, 1):
        part = await box.node.upload_part(ENABLED, key(name), upload.upload_id, number, Body(data))
        completed.append(CompletedPart(number, part.etag))
    made = await box.node.complete_upload(ENABLED, key(name), upload.upload_id, completed)
    again = await box.node.complete_upload(ENABLED, key(name), upload.upload_id, completed)
    assert again == made
    await box.node.update_object(ENABLED, key(name), ObjectChanges(tags={"a": "b"}))
    again = await box.node.complete_upload(ENABLED, key(name), upload.upload_id, completed)
    assert again == replace(made, attributes=replace(PLAIN, tags={"a": "b"}))
    return made


def test_completed_uploads_are_versions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            bodies = [[pattern(5000, 1), b"1"], [pattern(5000, 2), b"2"]]
            made = [await complete(box, "k", parts) for parts in bodies]
            assert [row[1] for row in await versions(box)] == [
                made[1].version_id,
                made[0].version_id,
            ]
            for info, parts in zip(made, bodies, strict=True):
                assert await read(box, "k", info.version_id) == b"".join(parts)
                head = await box.node.head(ENABLED, key("k"), version_id=info.version_id)
                assert len(head.parts) == 2
            await settled(box, 2)

    run(scenario())


# --- copies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 5000])
def test_an_old_version_is_restored_by_a_copy_onto_its_key(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            name = key("k")
            await put(box, "k", pattern(size), BUCKET)
            await put(box, "k", pattern(size, 1))
            await mark(box, "k")
            restored = await box.node.copy(
                ENABLED, name, ENABLED, name, source_version_id=NULL_VERSION
            )
            assert restored.version_id not in {NULL_VERSION, ""}
            await box.node.copy(ENABLED, name, ENABLED, name, attributes=NEW)
            assert len(await versions(box)) == 5
            await delete(box, "k", NULL_VERSION)
            await settled(box, 3 if size > 1000 else 0)
            assert await read(box, "k", restored.version_id) == pattern(size)
            assert await read(box, "k") == pattern(size)
            # A suspended bucket: the null version is made of another's bytes, then of its own.
            await box.node.copy(SUSPENDED, name, SUSPENDED, name, attributes=NEW)
            await put(box, "k", b"newer")
            copied = await box.node.copy(
                SUSPENDED, name, SUSPENDED, name, source_version_id=NULL_VERSION
            )
            assert copied.version_id == NULL_VERSION
            await box.node.copy(SUSPENDED, name, SUSPENDED, name, attributes=PLAIN)
            assert await read(box, "k") == pattern(size)
            await settled(box, 4 if size > 1000 else 0)

    run(scenario())
