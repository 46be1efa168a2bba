"""Writes through to a backend in memory, over a real node: both sides have it, or neither; and what is in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.cache.copies import local_view
from backends.memory_backend import MemoryBackend
from core.deletion import DeleteItem
from core.encryption import SSE_S3
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    DigestMismatch,
    IncompleteBody,
    NoSuchKey,
    OutOfSpace,
    PreconditionFailed,
    StoreError,
    Unsupported,
)
from core.protocols import BodyStream
from core.staging import Staged
from core.types import (
    Bucket,
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
)
from storage.mountpath import Mountpath
from tests.unit.backends.through import THERE, Place, run_in
from tests.unit.storage.box import PLAIN, Body, key, pattern, read_all

SIZES = [0, 700, 300_000]


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_put_is_on_both_sides_with_the_backends_facts(tmp_path: Path, size_bytes: int) -> None:
    data = pattern(size_bytes)

    async def work(place: Place) -> None:
        info = await place.put(data)
        assert place.backend.data("there", "k") == data
        assert await place.bytes_here() == data
        there = await place.backend.head("there", key("k"))
        copy = await place.copy_of()
        assert copy is not None
        assert copy.remote == there.remote
        assert not (copy.remote and copy.remote.in_doubt)
        for seen in (info, copy):
            assert (seen.etag, seen.modified_ns) == (there.etag, there.modified_ns)
            assert seen.attributes.headers == there.attributes.headers
            assert seen.attributes.user_metadata == {"color": "blue"}
            assert seen.attributes.owner_id == PLAIN.owner_id

    run_in(tmp_path, work)


BAD_BODIES: dict[str, tuple[Body, type[Exception]]] = {
    "claim": (
        Body(pattern(300_000), claims=[ExpectedDigest("sha256", bytes(32), "checksum")]),
        DigestMismatch,
    ),
    "short": (Body(pattern(300_000), declared=300_001), IncompleteBody),
    "broken": (Body(pattern(300_000), error=IncompleteBody()), IncompleteBody),
}


@pytest.mark.parametrize("kind", BAD_BODIES)
@pytest.mark.parametrize("has_room", [True, False])
def test_a_bad_body_changes_nothing(
    tmp_path: Path, kind: str, has_room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, error = BAD_BODIES[kind]

    async def work(place: Place) -> None:
        await place.put(b"old")
        if not has_room:
            monkeypatch.setattr(place.node, "stage", no_room)
        with pytest.raises(error):
            await place.cached.put(THERE, key("k"), body, attributes=PLAIN)
        assert place.backend.data("there", "k") == b"old"
        assert not await place.is_in_doubt()
        assert await place.bytes_here() == b"old"

    run_in(tmp_path, work)


async def no_room(*_: object, **__: object) -> Staged:
    raise OutOfSpace(mountpath="m", retry_after_s=1)


REFUSALS: list[tuple[StoreError, bool]] = [
    (BackendDenied(provider="aws", bucket="there", reason="no"), False),
    (BackendDown(provider="aws", bucket="there", reason="gone", retry_after_s=1), True),
    (BackendBusy(provider="aws", bucket="there", reason="slow", retry_after_s=1), True),
]


@pytest.mark.parametrize("operation", ["put", "delete", "copy"])
@pytest.mark.parametrize(("error", "stays_in_doubt"), REFUSALS)
def test_a_backend_that_refuses_leaves_the_old_object_on_both_sides(
    tmp_path: Path, operation: str, error: StoreError, stays_in_doubt: bool
) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        await place.put(b"source", "s")
        place.backend.faults.fail(operation, error)
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "put": lambda: place.put(b"new"),
            "delete": lambda: place.cached.delete(THERE, key("k")),
            "copy": lambda: place.cached.copy(THERE, key("s"), THERE, key("k")),
        }
        with pytest.raises(type(error)):
            await changes[operation]()
        assert place.backend.data("there", "k") == b"old"
        assert await place.bytes_here() == b"old"
        # Whether a provider that could not be reached took it is known when it is asked again.
        assert await place.is_in_doubt() is stays_in_doubt

    run_in(tmp_path, work)


def test_while_the_backend_writes_the_copy_is_in_doubt(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        for operation in ("put", "delete"):
            gate = place.backend.faults.hold(operation)
            change = place.put(b"new") if operation == "put" else _delete(place)
            task = asyncio.create_task(change)
            await gate.reached()
            assert await place.is_in_doubt()
            gate.open()
            await task
        assert await place.copy_of() is None
        assert place.backend.data("there", "k") is None

    run_in(tmp_path, work)


async def _delete(place: Place) -> None:
    await place.cached.delete(THERE, key("k"))


def test_who_leaves_in_mid_write_leaves_the_copy_in_doubt(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        gate = place.backend.faults.hold("put")
        task = asyncio.create_task(place.put(b"new"))
        await gate.reached()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await place.is_in_doubt()
        # The lock went with it.
        await place.put(b"newer")
        assert await place.bytes_here() == b"newer"

    run_in(tmp_path, work)


@pytest.mark.parametrize("size_bytes", SIZES)
def test_without_room_here_the_write_goes_to_the_backend_alone(
    tmp_path: Path, size_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pattern(size_bytes)

    async def work(place: Place) -> None:
        await place.put(b"old")
        monkeypatch.setattr(place.node, "stage", no_room)
        body = Body(data)
        body.wanted_checksum = ChecksumAlgorithm.CRC32
        info = await place.cached.put(THERE, key("k"), body, attributes=PLAIN)
        assert info.checksum is not None
        assert not info.is_cached
        assert place.backend.data("there", "k") == data
        assert await place.copy_of() is None

    run_in(tmp_path, work)


def test_a_copy_that_cannot_be_published_is_no_stale_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        stage = place.node.stage

        async def unpublishable(bucket: Bucket, name: Any, body: BodyStream) -> Staged:
            staged = await stage(bucket, name, body)
            monkeypatch.setattr(staged, "publish", no_room)
            return staged

        monkeypatch.setattr(place.node, "stage", unpublishable)
        await place.put(b"new")
        assert place.backend.data("there", "k") == b"new"
        assert await place.copy_of() is None

    run_in(tmp_path, work)


def test_a_backend_that_took_something_else_is_not_believed(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        backend = place.backend
        honest = MemoryBackend.put

        async def lying(
            name: str, at: Any, body: BodyStream, given: ObjectAttributes
        ) -> ObjectInfo:
            return await honest(backend, name, at, Body(b"bad"), given)

        backend.put = lying  # type: ignore[method-assign, assignment]
        with pytest.raises(BackendBroken):
            await place.put(b"new")
        copy = await place.copy_of()
        assert copy is None or (copy.remote is not None and copy.remote.in_doubt)

    run_in(tmp_path, work)


def test_conditions_are_decided_by_what_the_backend_has(tmp_path: Path) -> None:
    absent = Conditions(if_none_match=("*",))

    async def work(place: Place) -> None:
        await place.put(b"one", conditions=absent)
        with pytest.raises(PreconditionFailed):
            await place.put(b"two", conditions=absent)
        stale = (await place.cached.head(THERE, key("k"))).etag
        there = place.backend.place("there", "k", b"out of band")
        with pytest.raises(PreconditionFailed):
            await place.put(b"two", conditions=Conditions(if_match=(stale,)))
        with pytest.raises(PreconditionFailed):
            await place.cached.delete(THERE, key("k"), conditions=Conditions(if_match=(stale,)))
        await place.put(b"three", conditions=Conditions(if_match=(there.etag,)))
        assert place.backend.data("there", "k") == b"three"
        with pytest.raises(NoSuchKey):
            await place.put(b"x", "absent", conditions=Conditions(if_match=("e",)))

    run_in(tmp_path, work)


def test_conditions_hold_also_where_the_backend_has_none(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        backend, honest = place.backend, MemoryBackend.put

        async def plain(*args: Any, if_match: str = "", if_absent: bool = False) -> ObjectInfo:
            if if_match or if_absent:
                raise Unsupported(what="conditions", reason="none here")
            return await honest(backend, *args)

        backend.put = plain  # type: ignore[method-assign, assignment]
        absent = Conditions(if_none_match=("*",))
        await place.put(b"one", conditions=absent)
        with pytest.raises(PreconditionFailed):
            await place.put(b"two", conditions=absent)
        assert place.backend.data("there", "k") == b"one"

    run_in(tmp_path, work)


def test_many_are_deleted_at_once_each_with_its_own_outcome(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        names = [f"n{number}" for number in range(40)]
        for name in names:
            await place.put(b"x", name)
        error = BackendDenied(provider="aws", bucket="there", reason="no")
        place.backend.faults.fail("delete", error, key="n7")
        items = [DeleteItem(key(name)) for name in [*names, "absent", "n1"]]
        outcomes = await place.cached.delete_many(THERE, items)
        assert [type(each) for each in outcomes].count(BackendDenied) == 1
        assert outcomes[7] is error
        assert place.backend.keys("there") == ["n7"]
        assert await place.bytes_here("n7") == b"x"
        assert await place.copy_of("n8") is None

    run_in(tmp_path, work)


def test_what_a_copy_alone_would_have_is_refused(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        with pytest.raises(Unsupported):
            await place.put(b"x", encryption=SSE_S3)
        with pytest.raises(Unsupported):
            await place.put(b"x", attributes=replace(PLAIN, legal_hold=True))
        with pytest.raises(Unsupported):
            await place.cached.delete(THERE, key("k"), version_id="v1")
        place.backend.features = replace(place.backend.features, can_write=False)
        with pytest.raises(Unsupported):
            await place.put(b"x")
        assert place.backend.keys("there") == []

    run_in(tmp_path, work)


def test_writers_of_one_key_leave_both_sides_the_same(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        writes = [place.put(pattern(2000 + number, number)) for number in range(20)]
        async with asyncio.TaskGroup() as group:
            for write in writes:
                group.create_task(write)
        assert await place.bytes_here() == place.backend.data("there", "k")

    run_in(tmp_path, work)


def test_a_body_too_large_for_one_request_goes_in_parts(tmp_path: Path) -> None:
    data = pattern(300_000)

    async def work(place: Place) -> None:
        place.backend.features = replace(
            place.backend.features, max_put_bytes=100_000, max_part_bytes=100_000
        )
        await place.put(data)
        assert place.backend.data("there", "k") == data
        assert place.backend.faults.calls["upload_part"] == 3
        assert await place.bytes_here() == data

    run_in(tmp_path, work)


def test_a_put_whose_answer_was_lost_is_seen_by_the_next_read(tmp_path: Path) -> None:
    down = BackendDown(provider="aws", bucket="there", reason="cut", retry_after_s=1)

    async def work(place: Place) -> None:
        await place.put(b"old")
        backend, honest = place.backend, MemoryBackend.put

        async def deaf(*args: Any) -> ObjectInfo:
            await honest(backend, *args)
            raise down

        backend.put = deaf  # type: ignore[method-assign, assignment]
        with pytest.raises(BackendDown):
            await place.put(b"new")
        assert await place.is_in_doubt()
        assert await read_all(await place.cached.get(THERE, key("k"))) == b"new"
        # One that was not taken leaves the copy that is here, once it was compared.
        backend.faults.fail("put", down)
        del backend.put
        with pytest.raises(BackendDown):
            await place.put(b"newer")
        assert await read_all(await place.cached.get(THERE, key("k"))) == b"new"
        assert not await place.is_in_doubt()

    run_in(tmp_path, work)


def test_a_fetch_that_began_before_a_write_is_not_kept(tmp_path: Path) -> None:
    old, new = pattern(300_000, 1), pattern(200_000, 2)

    async def work(place: Place) -> None:
        place.backend.place("there", "k", old)
        gate = place.backend.faults.hold_read(100_000)
        fetch = asyncio.create_task(_read(place))
        await gate.reached()
        await place.put(new)
        gate.open()
        assert await fetch in (old, new)
        assert await place.bytes_here() == new
        assert await _read(place) == new

    run_in(tmp_path, work)


async def _read(place: Place) -> bytes:
    return await read_all(await place.cached.get(THERE, key("k")))


@pytest.mark.parametrize("error", [refusal for refusal, _ in REFUSALS])
def test_an_object_that_is_only_here_is_not_lost_by_a_write_that_fails(
    tmp_path: Path, error: StoreError
) -> None:
    """As in a bucket that was bound to a backend when it had objects already."""

    async def work(place: Place) -> None:
        await place.box.put("k", b"only here", bucket=local_view(THERE))
        place.backend.faults.fail("put", error)
        with pytest.raises(type(error)):
            await place.put(b"new")
        copy = await place.copy_of()
        assert copy is not None
        assert copy.remote is None
        assert await _read(place) == b"only here"
        await place.put(b"new")
        assert place.backend.data("there", "k") == await _read(place) == b"new"

    run_in(tmp_path, work)


def test_disks_that_are_out_of_space_for_copies_take_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        monkeypatch.setattr(Mountpath, "require_room_for_copies", no_room)
        await place.put(b"new")
        assert place.backend.data("there", "k") == b"new"
        assert await place.copy_of() is None

    run_in(tmp_path, work)
