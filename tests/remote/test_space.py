"""Space for copies: what was read longest ago gives way, what was read lately doesn't, and what finds no room is passed
through."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from backends.cache.usage import Usage
from tests.counterparts.started import S3Endpoint
from tests.remote.front import Front, start_front

MIB = 1024**2
QUOTA = 24 * MIB
NAMES = [f"k{number:02}" for number in range(28)]
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, moto: S3Endpoint) -> Iterator[Front]:
    """A weir that has room for some 20 objects of 1 MiB."""
    settings = {"WEIR_STORAGE_QUOTA_BYTES": str(QUOTA), "WEIR_SPACE_CHECK_INTERVAL_S": "0.2"}
    started = start_front(tmp_path_factory.mktemp("small"), moto, settings=settings)
    try:
        yield started
    finally:
        started.server.stop()


def cached(front: Front, bucket: str) -> set[str]:
    entries = front.bucket(bucket).list_all_objects(props="name,cached")
    return {entry.name for entry in entries if entry.is_cached()}


def until_fewer(front: Front, bucket: str, count: int) -> set[str]:
    deadline = time.monotonic() + PATIENCE_S
    while len(found := cached(front, bucket)) > count:
        assert time.monotonic() < deadline, f"{len(found)} copies are still here"
        time.sleep(0.1)
    return found


def test_copies_give_way_by_age(small: Front) -> None:
    bucket = small.new_bucket()
    data = {name: name.encode() * (MIB // len(name)) for name in NAMES}
    for name in NAMES:
        small.put_there(bucket, name, data[name])
    for name in NAMES:
        # All were read within two hours: nothing gives way, and what finds no room is passed through.
        with small.s3.get_object(Bucket=bucket, Key=name)["Body"] as body:
            assert body.read() == data[name]
    kept = cached(small, bucket)
    assert 0 < len(kept) < len(NAMES)
    # Access times are of whole seconds, and known to all processes soon after.
    time.sleep(1.1)
    first = NAMES[0]
    assert first in kept
    assert small.bucket(bucket).object(first).get_reader().read_all() == data[first]
    time.sleep(Usage.lag_s)
    reply = small.ask(
        "PATCH",
        f"/v1/buckets/{bucket}?provider=aws",
        json={"action": "set-bprops", "value": {"lru": {"dont_evict_time": "0s"}}},
    )
    assert reply.status_code == 200, reply.text
    left = until_fewer(small, bucket, len(kept) - 1)
    assert first in left
    for name in NAMES:
        assert small.bucket(bucket).object(name).get_reader().read_all() == data[name]
        assert small.read_there(bucket, name) == data[name]
    small.bucket(bucket).evict()


def test_a_bucket_that_keeps_its_copies(small: Front) -> None:
    bucket = small.new_bucket()
    reply = small.ask(
        "PATCH",
        f"/v1/buckets/{bucket}?provider=aws",
        json={"action": "set-bprops", "value": {"lru": {"enabled": False}}},
    )
    assert reply.status_code == 200, reply.text
    props = small.bucket(bucket).head()
    assert props["Ais-Bucket-Props"]
    small.put_there(bucket, "mine", b"data")
    deadline = time.monotonic() + PATIENCE_S
    while not cached(small, bucket):
        # What another test has given up is removed in a while.
        assert time.monotonic() < deadline
        assert small.bucket(bucket).object("mine").get_reader().read_all() == b"data"
    job_id = small.sdk.job(job_kind="lru").start()
    small.sdk.job(job_id).wait(timeout=PATIENCE_S, verbose=False)
    assert cached(small, bucket) == {"mine"}
