"""Order, windows and ends of batches, with senders that only pretend."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import ParamSpec

import pytest

from core.batches import BatchItem, BatchSender, ItemData, Outcome
from core.errors import Corrupt, Denied, MountpathUnavailable, NoSuchKey, StoreError
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.protocols import ObjectReader, Slice
from core.tar import Entry
from core.types import Bucket, ObjectAttributes, ObjectInfo, User
from gateway.batch.assembly import Assembly, AssemblyRules, BatchCounters
from gateway.batch.errors import BatchStopped, TooManySoftErrors
from gateway.batch.request import BatchRequest
from gateway.batch.window import ReadAhead, Window, WindowLimits
from gateway.batch.writers import entries_of

BUCKET = Bucket(BucketRef(BucketName("b")), 1, User(UserId("u"), "u", "u"), 0)
LIMITS = WindowLimits(run_bytes=1000, run_items=10, runs=3, openings=2, at_hand_items=10)


P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """A test that has an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: P.args, **keywords: P.kwargs) -> None:
        asyncio.run(test(*arguments, **keywords))

    return run


class Reader:
    """An object that is opened alone: pieces of 10 bytes, as many as asked for."""

    has_slices = False
    data = None
    first = 0

    def __init__(self, sender: Sender, key: ObjectKey, size_bytes: int) -> None:
        self.info = ObjectInfo(key, size_bytes, "e", 0, ObjectAttributes())
        self.length = size_bytes
        self._sender = sender
        sender.open_readers += 1
        sender.most_open = max(sender.most_open, sender.open_readers)

    async def next_slice(self) -> Slice | None:
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(0, self.length, 100_000):
            yield bytes(min(100_000, self.length))

    async def close(self) -> None:
        self._sender.open_readers -= 1


@dataclass(slots=True, eq=False)
class Sender:
    """Items are called by what becomes of them: "small-3", "missing-1", "large-2", "corrupt-1", "gone-1"."""

    reading: int = 0
    most_reading: int = 0
    open_readers: int = 0
    most_open: int = 0
    reads: list[int] = field(default_factory=list)
    gate: asyncio.Event | None = None

    def at_hand(self, items: Sequence[BatchItem], max_bytes: int) -> Sequence[ItemData]:
        """Items called "hot-3"."""
        assert max_bytes == LIMITS.at_hand_bytes
        if not all(item.key.startswith("hot-") for item in items):
            return ()
        return [ItemData(b"h" * int(item.key[4:]), 10**9) for item in items]

    async def read(self, items: Sequence[BatchItem], max_bytes: int) -> Sequence[Outcome]:
        assert max_bytes == LIMITS.run_bytes
        is_first = not self.reads
        self.reads.append(len(items))
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        # Later runs are done first.
        for _ in range(20 - len(self.reads) % 20):
            await asyncio.sleep(0)
        if self.gate is not None and not is_first:
            await self.gate.wait()
        self.reading -= 1
        return [_outcome(item.key) for item in items]

    async def open(self, item: BatchItem) -> ObjectReader:
        await asyncio.sleep(0)
        if item.key.startswith("large-missing"):
            raise NoSuchKey(key=item.key)
        return Reader(self, item.key, 300_000)


def _outcome(key: ObjectKey) -> Outcome:
    kind, _, size = key.partition("-")
    errors: dict[str, StoreError] = {
        "missing": NoSuchKey(key=key),
        "corrupt": Corrupt(what="x", where=key),
        "gone": MountpathUnavailable(mountpath="m", reason="r", retry_after_s=1),
    }
    if kind in ("small", "hot"):
        return ItemData(key.encode() * int(size), 10**9)
    return errors.get(kind)


@dataclass(frozen=True, slots=True)
class Senders:
    """Two nodes: one for even items, one for odd."""

    nodes: Sequence[Sender]

    def sender(self, item: BatchItem) -> BatchSender:
        return self.nodes[sum(item.key.encode()) % len(self.nodes)]

    def only(self) -> BatchSender | None:
        return self.nodes[0] if len(self.nodes) == 1 else None

    def shares(self, items: Sequence[BatchItem]) -> Sequence[tuple[BatchSender, Sequence[int]]]:
        found: dict[int, list[int]] = {}
        for number, item in enumerate(items):
            found.setdefault(sum(item.key.encode()) % len(self.nodes), []).append(number)
        return [(self.nodes[node], numbers) for node, numbers in found.items()]


class Lines:
    """An archive of lines: "name size"."""

    content_type = b"text/plain"
    is_cheap = True
    _begun = b""

    def add(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        return [b"%b %d\n" % (name.encode(), len(data)) for name, _, data in entries]

    def add_objects(
        self, before: str, keys: Sequence[ObjectKey], found: Sequence[ItemData]
    ) -> Sequence[bytes]:
        return self.add(entries_of(before, keys, found))

    def begin(self, name: str, modified_s: int, size_bytes: int) -> bytes:
        return b"%b %d\n" % (name.encode(), size_bytes)

    def feed(self, piece: bytes) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b"end\n"


@dataclass(slots=True)
class Job:
    job_id: str = "gbt-1"
    is_aborted: bool = False

    def count(self, *, objects: int = 0, size_bytes: int = 0, **counters: int) -> None:
        return

    def end(self) -> None:
        return


def request(keys: Sequence[str], *, goes_on: bool = True) -> BatchRequest:
    return BatchRequest(
        [BatchItem(BUCKET, ObjectKey(key)) for key in keys], BUCKET, continues_on_error=goes_on
    )


def assemble(
    asked: BatchRequest, senders: Senders, budget: ReadAhead, job: Job | None = None
) -> tuple[Assembly, BatchCounters]:
    window = Window(asked.items, senders, LIMITS, budget)
    rules = AssemblyRules(5, job or Job())
    return Assembly(asked, window, Lines(), rules), rules.counters


async def lines(assembly: Assembly) -> list[str]:
    pieces = [piece async for block in assembly.blocks() for piece in block]
    return b"".join(pieces).decode().splitlines()


@pytest.mark.parametrize("nodes", [1, 2])
@in_loop
async def test_order_and_window(nodes: int) -> None:
    kinds = ["small-1", "small-7", "large-1", "missing-1", "small-90"]
    keys = [kinds[n * n % 5] if n % 50 else "small-2" for n in range(400)]
    keys = [key if key != "missing-1" else "small-3" for key in keys]
    senders = Senders([Sender() for _ in range(nodes)])
    budget = ReadAhead(5000)
    assembly, counters = assemble(request(keys), senders, budget)
    found = await lines(assembly)
    assert [line.rpartition(" ")[0] for line in found] == [*(f"b/{key}" for key in keys), ""]
    assert counters.objects == 400
    for sender in senders.nodes:
        assert 1 <= sender.most_reading <= LIMITS.runs
        assert sender.most_open <= LIMITS.openings + 1
        assert sender.open_readers == sender.reading == 0
        assert max(sender.reads) <= max(LIMITS.run_items, 16)
    assert budget.try_take(5000)


@pytest.mark.parametrize("only_object_names", [True, False])
@in_loop
async def test_what_memory_has_is_not_read(only_object_names: bool) -> None:
    keys = ["hot-3"] * 95 + ["small-2", "hot-4", "missing-1", "large-1"] + ["hot-5"] * 20
    sender, budget = Sender(), ReadAhead(5000)
    asked = replace(request(keys), only_object_names=only_object_names)
    assembly, counters = assemble(asked, Senders([sender]), budget)
    found = await lines(assembly)
    bucket = "" if only_object_names else "b/"
    names = [bucket + key if key != "missing-1" else f"__404__/{bucket}{key}" for key in keys]
    assert [line.rpartition(" ")[0] for line in found] == [*names, ""]
    assert sum(sender.reads) == len(keys) - 90
    assert (counters.objects, counters.soft_errors) == (len(keys) - 1, 1)
    assert budget.try_take(5000)


@in_loop
async def test_memory_tells_of_each_item_too() -> None:
    asked = request(["hot-3", "hot-7"])
    told: list[tuple[int, StoreError | None]] = []
    rules = AssemblyRules(5, Job(), told=told)
    window = Window(asked.items, Senders([Sender()]), LIMITS, ReadAhead(0))
    assert await lines(Assembly(asked, window, Lines(), rules)) == ["b/hot-3 3", "b/hot-7 7", "end"]
    assert told == [(3, None), (7, None)]
    assert (rules.counters.objects, rules.counters.object_bytes) == (2, 10)


@in_loop
async def test_what_the_caller_may_not_read_is_not_taken_from_memory() -> None:
    async def refuse(_: BatchItem) -> None:
        raise Denied(reason="no")

    asked, sender = request(["hot-3"] * 3, goes_on=False), Sender()
    window = Window(asked.items, Senders([sender]), LIMITS, ReadAhead(0), refuse)
    with pytest.raises(Denied):
        await lines(Assembly(asked, window, Lines(), AssemblyRules(5, Job())))


@in_loop
async def test_without_room_runs_are_read_one_at_a_time() -> None:
    senders = Senders([Sender()])
    assembly, _ = assemble(request(["small-1"] * 100), senders, ReadAhead(0))
    assert len(await lines(assembly)) == 101
    assert senders.nodes[0].most_reading == 1


@in_loop
async def test_missing_items_keep_their_places() -> None:
    keys = ["missing-1", "small-1", "large-missing", "corrupt-1", "small-2"]
    assembly, counters = assemble(request(keys), Senders([Sender()]), ReadAhead(5000))
    assert await lines(assembly) == [
        "__404__/b/missing-1 0",
        "b/small-1 7",
        "__404__/b/large-missing 0",
        "__404__/b/corrupt-1 0",
        "b/small-2 14",
        "end",
    ]
    assert (counters.objects, counters.soft_errors) == (2, 3)


@pytest.mark.parametrize("key", ["missing-1", "corrupt-1", "large-missing", "gone-1"])
@in_loop
async def test_failure_that_may_not_be(key: str) -> None:
    sender = Sender()
    budget = ReadAhead(5000)
    keys = ["small-1"] * 30 + [key] + ["large-1"] * 100
    assembly, _ = assemble(request(keys, goes_on=False), Senders([sender]), budget)
    with pytest.raises(StoreError) as raised:
        await lines(assembly)
    assert raised.value.ref == BUCKET.ref
    assert sender.open_readers == 0
    assert budget.try_take(5000)


@in_loop
async def test_lost_disk_is_no_missing_item() -> None:
    assembly, _ = assemble(request(["gone-1"]), Senders([Sender()]), ReadAhead(0))
    with pytest.raises(MountpathUnavailable):
        await lines(assembly)


@in_loop
async def test_too_many_missing() -> None:
    assembly, _ = assemble(request(["missing-1"] * 5), Senders([Sender()]), ReadAhead(0))
    assert len(await lines(assembly)) == 6
    assembly, _ = assemble(request(["missing-1"] * 6), Senders([Sender()]), ReadAhead(0))
    with pytest.raises(TooManySoftErrors):
        await lines(assembly)


@in_loop
async def test_stop_of_the_job_and_of_the_client() -> None:
    """Both end the reading and give everything back."""
    for is_job in (True, False):
        sender, budget, job = Sender(), ReadAhead(5000), Job()
        keys = ["large-1", "small-1"] * 200
        assembly, _ = assemble(request(keys), Senders([sender]), budget, job)
        blocks = assembly.blocks()
        await anext(blocks)
        if is_job:
            job.is_aborted = True
            with pytest.raises(BatchStopped):
                await anext(blocks)
        else:
            await blocks.aclose()
        assert sender.open_readers == 0
        assert budget.try_take(5000)


@in_loop
async def test_reading_that_waits_is_cancelled() -> None:
    sender, budget = Sender(gate=asyncio.Event()), ReadAhead(5000)
    assembly, _ = assemble(request(["small-1"] * 400), Senders([sender]), budget)
    blocks = assembly.blocks()
    await anext(blocks)
    waiting = asyncio.ensure_future(anext(blocks))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.try_take(5000)
