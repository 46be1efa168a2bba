"""Timeouts, limits of rate, counters and faults of backends, and their order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from backends.memory_backend import MemoryBackend
from backends.wrappers.counters import Counters
from backends.wrappers.faults import Fault, Faults, FileFaults
from backends.wrappers.paces import Paces
from backends.wrappers.rate import rate_limit
from backends.wrappers.retry import RetryPolicy
from backends.wrappers.stack import Shared, limited, open_shared_sync, wrap
from backends.wrappers.timeouts import timeouts_of
from core.accounts import Account
from core.backends import Backend
from core.configs.native import NativeProps
from core.errors import BackendBroken, BackendBusy, BackendDown, IncompleteBody, InvalidArgument
from core.names import BucketName, BucketRef, ObjectKey
from core.types import Bucket, BucketProps, ObjectAttributes
from tests.contract.world import USER, Body, pattern

T = TypeVar("T")

KEY = ObjectKey("k")
PLAIN = ObjectAttributes()
DATA = pattern(300_000)
ONCE = RetryPolicy(tries=1)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def memory() -> MemoryBackend:
    backend = MemoryBackend("b")
    backend.place("b", "k", DATA)
    return backend


def wrapped(
    faults: Faults | None = None, settings: Mapping[str, str] | None = None, **shared: Any
) -> Backend:
    account = Account("aws", "acc", settings=settings or {})
    return wrap(memory(), account, Shared(**{"policy": ONCE, **shared}), faults)


async def read(backend: Backend) -> bytes:
    reader = await backend.open("b", KEY)
    try:
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.close()


# --- timeouts ---


def test_an_answer_that_takes_too_long() -> None:
    backend = wrapped(Faults([Fault(name="head", delay_s=60)]), {"timeout_s": "0.01"})
    with pytest.raises(BackendDown):
        run(backend.head("b", KEY))


def test_a_stream_that_stalls() -> None:
    faults = Faults([Fault(name="open", delay_s=60, after_bytes=1000)])
    backend = wrapped(faults, {"stall_timeout_s": "0.01"})

    async def work() -> None:
        reader = await backend.open("b", KEY)
        chunks = aiter(reader)
        assert await anext(chunks) == DATA[:1000]
        with pytest.raises(BackendDown):
            await anext(chunks)
        await reader.close()

    run(work())


def test_a_backend_that_takes_no_more() -> None:
    faults = Faults([Fault(name="put", delay_s=60, after_bytes=100_000)])
    backend = wrapped(faults, {"stall_timeout_s": "0.01"})
    with pytest.raises(BackendDown):
        run(backend.put("b", KEY, Body(DATA), PLAIN))


class SlowBody(Body):
    """A client that takes its time, and may give up."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in super().__aiter__():
            await asyncio.sleep(0.03)
            yield chunk


def test_the_clients_own_time_is_not_the_backends() -> None:
    backend = wrapped(None, {"timeout_s": "0.02", "stall_timeout_s": "0.02"})
    assert run(backend.put("b", KEY, SlowBody(DATA), PLAIN)).size_bytes == len(DATA)
    late = SlowBody(DATA, declared=400_000, error=TimeoutError())
    with pytest.raises(TimeoutError):
        run(backend.put("b", KEY, late, PLAIN))


@pytest.mark.parametrize("written", ["", "nan", "-1", "0", "1e9", "soon"])
def test_a_timeout_that_is_none(written: str) -> None:
    assert timeouts_of(Account("aws", settings={"timeout_s": written})).answer_s == 30


# --- limits of rate ---


def bucket(**sections: Any) -> Bucket:
    said = {f"rate_limit.backend.{name}": json.dumps(value) for name, value in sections.items()}
    props = BucketProps(native=NativeProps(sections=said))
    return Bucket(BucketRef(BucketName("b"), "aws"), 7, USER, 0, props=props)


def test_what_the_properties_say() -> None:
    assert rate_limit(bucket().props.native) is None
    assert rate_limit(bucket(max_tokens=5).props.native) is None
    limit = rate_limit(
        bucket(
            enabled=True, interval="10s", max_tokens=100, per_op_max_tokens="get:5000 DELETE:50 x"
        ).props.native
    )
    assert limit is not None
    assert limit.spacing_s("put") == limit.spacing_s("copy") == 0.1
    assert limit.spacing_s("get") == 0.002
    assert limit.spacing_s("delete") == 0.2


def test_requests_are_spread_and_then_refused() -> None:
    now_ns = [10**9]
    paces = Paces(now_ns=lambda: now_ns[0])
    waits = [paces.take("1 get", 0.1, 0.3, 1.0) for _ in range(20)]
    assert [round(wait, 3) for wait in waits[:6]] == [0, 0, 0, 0.1, 0.2, 0.3]
    assert all(wait > 1 for wait in waits[13:])
    # Whoever was refused takes no turn.
    now_ns[0] += 10**9
    assert paces.take("1 get", 0.1, 0.3, 1.0) <= 0.1001
    assert paces.take("2 get", 0.1, 0.3, 1.0) == 0


def test_paces_of_before_the_machine_started_are_forgotten() -> None:
    now_ns = [10**15]
    paces = Paces(now_ns=lambda: now_ns[0])
    paces.take("1 get", 1.0, 1.0, 10.0)
    now_ns[0] = 5
    assert paces.take("1 get", 1.0, 1.0, 10.0) > 9
    now_ns[0] += 12 * 10**9
    assert paces.take("1 get", 1.0, 1.0, 10.0) == 0


def test_processes_keep_one_pace(tmp_path: Path) -> None:
    one, other = Paces(tmp_path / "paces"), Paces(tmp_path / "paces")
    assert one.take("1 get", 100.0, 100.0, 1.0) == 0
    assert other.take("1 get", 100.0, 100.0, 1.0) > 90
    one.close()
    other.close()


def test_a_limit_refuses_as_the_backend_would() -> None:
    shared = Shared(policy=ONCE)
    backend = wrap(memory(), Account("aws"), shared)
    assert limited(backend, bucket(), shared) is backend
    slow = limited(
        backend, bucket(enabled=True, interval="1h", max_tokens=10, num_retries=0), shared
    )

    async def work() -> None:
        await slow.head("b", KEY)
        with pytest.raises(BackendBusy) as caught:
            await slow.head("b", KEY)
        assert caught.value.retry_after_s > 60
        await slow.delete("b", ObjectKey("other verb"))
        again = limited(
            backend, bucket(enabled=True, interval="1h", max_tokens=10, num_retries=0), shared
        )
        with pytest.raises(BackendBusy):
            await again.head("b", KEY)

    run(work())


# --- counters ---


def test_what_is_counted(tmp_path: Path) -> None:
    async def work() -> None:
        counters = Counters(tmp_path / "counters")
        faults = Faults([Fault(name="head", error="busy", times=1)])
        backend = wrapped(faults, counters=counters)
        with pytest.raises(BackendBusy):
            await backend.head("b", KEY)
        await backend.head("b", KEY)
        assert await read(backend) == DATA
        await backend.put("b", KEY, Body(b"12345"), PLAIN)
        other = Counters(tmp_path / "counters")
        await counters.close()
        found = await other.totals()
        head = ("aws", "acc", "b", "head")
        assert found["requests", head] == 2
        assert found["errors", (*head, "BackendBusy")] == 1
        assert found["seconds", head] > 0
        assert found["read_bytes", ("aws", "acc", "b", "get")] == len(DATA)
        assert found["written_bytes", ("aws", "acc", "b", "put")] == 5

    run(work())


def test_processes_count_together(tmp_path: Path) -> None:
    async def work() -> None:
        all_counters = [Counters(tmp_path / "counters") for _ in range(4)]
        for counters in all_counters:
            counters.add("requests", ("aws", "", "b", "get"), 1)
        await asyncio.gather(*(counters.close() for counters in all_counters))
        assert await all_counters[0].totals() == {("requests", ("aws", "", "b", "get")): 4}

    run(work())


def test_damaged_counters_begin_anew(tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / "counters").write_text('[["requests"')
        counters = Counters(tmp_path / "counters")
        counters.add("requests", ("aws",), 1)
        assert await counters.totals() == {("requests", ("aws",)): 1}
        await counters.close()

    run(work())


def test_a_directory_that_processes_share(tmp_path: Path) -> None:
    async def work() -> None:
        shared = replace(open_shared_sync(tmp_path / "new"), policy=ONCE)
        await wrap(memory(), Account("aws"), shared).head("b", KEY)
        await shared.close()
        assert (tmp_path / "new" / "counters.json").exists()

    run(work())


# --- faults ---


def test_faults_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    faults = FileFaults(path)
    backend = wrapped(faults)

    async def work() -> None:
        await backend.head("b", KEY)
        path.write_text(json.dumps([{"name": "head", "error": "down", "skip": 1}]))
        await backend.head("b", KEY)
        with pytest.raises(BackendDown):
            await backend.head("b", KEY)
        path.write_text("no list")
        with pytest.raises(InvalidArgument):
            await backend.head("b", KEY)
        path.unlink()
        await backend.head("b", KEY)

    run(work())


def test_streams_that_lie() -> None:
    async def work() -> None:
        flipped = await read(wrapped(Faults([Fault(name="open", after_bytes=9, flips=True)])))
        assert [place for place in range(len(DATA)) if flipped[place] != DATA[place]] == [9]
        with pytest.raises(BackendBroken):
            await read(wrapped(Faults([Fault(name="open", after_bytes=9, ends=True)])))
        backend = wrapped(Faults([Fault(name="put", after_bytes=9, ends=True)]))
        with pytest.raises(IncompleteBody):
            await backend.put("b", KEY, Body(DATA), PLAIN)

    run(work())
