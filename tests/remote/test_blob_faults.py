"""Blob downloads that are stopped, killed, or meet a provider that goes wrong: the whole object comes, or none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aistore.sdk.blob_download_config import BlobDownloadConfig

from tests.contract.world import pattern
from tests.counterparts.started import S3Endpoint
from tests.native.jobs import ended, succeeded
from tests.remote.front import Front, start_front
from tests.shaper import Shaper, shaped

MIB = 1024**2
DATA = pattern(3 * MIB + 17)
DEADLINE_S = 30


@pytest.fixture(scope="module")
def shaper(second_weir: S3Endpoint) -> Iterator[Shaper]:
    with shaped(second_weir.endpoint) as made:
        yield made


@pytest.fixture(scope="module")
def far(
    tmp_path_factory: pytest.TempPathFactory, second_weir: S3Endpoint, shaper: Shaper
) -> Iterator[Front]:
    """A weir whose provider is reached through the shaper."""
    behind = replace(second_weir, endpoint=shaper.endpoint)
    front = start_front(tmp_path_factory.mktemp("far"), behind)
    yield front
    front.server.stop()


@pytest.fixture
def bucket(far: Front, shaper: Shaper) -> Iterator[str]:
    shaper.shape.bytes_per_s = 0
    name = far.new_bucket()
    far.put_there(name, "k", DATA)
    yield name
    shaper.shape.bytes_per_s = 0
    shaper.release()


def begun(far: Front, shaper: Shaper, bucket: str) -> str:
    """A download that has some of the object, and would take long for the rest."""
    shaper.shape.bytes_per_s = 200_000
    shaper.reset_counts()
    job_id = str(far.bucket(bucket).object("k").blob_download(chunk_size=256 * 1024))
    deadline = time.monotonic() + DEADLINE_S
    while not shaper.counts.down_bytes > 100_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job_id


def test_a_job_that_is_stopped_ends_its_reads_at_once(
    far: Front, shaper: Shaper, bucket: str
) -> None:
    job_id = begun(far, shaper, bucket)
    second = far.bucket(bucket).object("k").blob_download()
    assert second == job_id, "there is one for an object"
    message = {"action": "stop", "value": {"id": job_id}}
    assert far.ask("PUT", "/v1/cluster", json=message).status_code == 200
    snapshot, _ = ended(far.sdk, job_id)
    assert snapshot.aborted
    deadline = time.monotonic() + DEADLINE_S
    while shaper.counts.open_streams:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not far.bucket(bucket).object("k").props.present
    shaper.shape.bytes_per_s = 0
    assert far.bucket(bucket).object("k").get_reader().read_all() == DATA


def test_a_job_outlives_its_worker(far: Front, shaper: Shaper, bucket: str) -> None:
    job_id = begun(far, shaper, bucket)
    far.server.kill()
    shaper.shape.bytes_per_s = 0
    far.server.start()
    job = succeeded(far.sdk, job_id)
    assert (int(job.stats.objects), int(job.stats.bytes)) == (1, len(DATA))
    assert far.bucket(bucket).object("k").get_reader().read_all() == DATA
    done = far.server.admin("doctor", is_checked=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", ["cut", "truncate", "status"])
def test_what_breaks_off_is_gone_on_with(
    far: Front, shaper: Shaper, bucket: str, kind: str
) -> None:
    shaper.fail(kind, method="GET", path="/k", times=2, at_bytes=1000)  # type: ignore[arg-type]
    config = BlobDownloadConfig(chunk_size="256KiB")
    thing = far.bucket(bucket).object("k")
    assert thing.get_reader(blob_download_config=config).read_all() == DATA
    assert thing.props.present


def test_wrong_bytes_are_never_kept(far: Front, shaper: Shaper, bucket: str) -> None:
    shaper.fail("flip", method="GET", path="/k", at_bytes=70_000)
    thing = far.bucket(bucket).object("k")
    snapshot, error = ended(far.sdk, thing.blob_download(chunk_size=256 * 1024))
    assert error or snapshot.abort_err
    assert not thing.props.present
    shaper.release()
    succeeded(far.sdk, thing.blob_download())
    assert thing.get_reader().read_all() == DATA


def test_a_read_that_stalls_is_begun_again(far: Front, shaper: Shaper, bucket: str) -> None:
    shaper.fail("stall", method="GET", path="/k", at_bytes=5000)
    headers = {"Ais-Blob-Download": "true", "Ais-Blob-Read-Timeout": "1s"}
    reply = far.ask("GET", f"/v1/objects/{bucket}/k?provider=aws", headers=headers)
    assert reply.content == DATA
