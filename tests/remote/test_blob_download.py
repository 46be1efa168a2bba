"""Blob downloads of remote objects by the unmodified SDK: as jobs, and as GETs that stream what they fetch."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from aistore.sdk.blob_download_config import BlobDownloadConfig
from aistore.sdk.errors import AISError, ErrObjNotFound

from tests.contract.world import pattern
from tests.native.jobs import ended, succeeded
from tests.remote.front import Front

MIB = 1024**2
DATA = pattern(3 * MIB + 17)
KIND = "blob-download"


def chunks(front: Front, bucket: str, name: str) -> tuple[int, int] | None:
    found = front.bucket(bucket).object(name).head("chunked").chunks
    return None if found is None else (found.chunk_count, found.max_chunk_size)


def test_a_job_brings_an_object_here(front: Front, remote: str) -> None:
    front.put_there(remote, "dir/k", DATA)
    thing = front.bucket(remote).object("dir/k")
    assert not thing.props.present
    job_id = thing.blob_download(chunk_size=256 * 1024, num_workers=4)
    job = succeeded(front.sdk, job_id)
    assert (int(job.stats.objects), int(job.stats.bytes)) == (1, len(DATA))
    assert front.sdk.job(job_id).wait(timeout=30).success
    assert thing.props.present
    found = chunks(front, remote, "dir/k")
    assert found is not None
    assert found[0] >= 4  # of a MiB each, or smaller ones where the machine is loaded
    assert thing.get_reader().read_all() == DATA
    assert (
        front.s3.get_object(Bucket=remote, Key="dir/k", Range="bytes=1048570-1048590")[
            "Body"
        ].read()
        == DATA[1048570:1048591]
    )
    # Another has nothing to do, unless the object is another one by now.
    again = succeeded(front.sdk, thing.blob_download())
    assert int(again.stats.bytes) == 0
    front.put_there(remote, "dir/k", DATA[::-1])
    latest = succeeded(front.sdk, thing.blob_download(latest=True))
    assert int(latest.stats.bytes) == len(DATA)
    assert thing.get_reader().read_all() == DATA[::-1]


@pytest.mark.parametrize("chunk_size", ["1mb", "1MiB", "1048576", "128k", None])
def test_a_get_streams_what_it_fetches(front: Front, remote: str, chunk_size: str | None) -> None:
    front.put_there(remote, "k", DATA)
    config = BlobDownloadConfig(chunk_size=chunk_size, num_workers="4")
    thing = front.bucket(remote).object("k")
    assert thing.get_reader(blob_download_config=config).read_all() == DATA
    assert thing.props.present
    assert chunks(front, remote, "k") is not None or chunk_size not in ("128k",)
    jobs = front.sdk.job(job_kind=KIND).get_within_timeframe(start_time=_long_ago())
    assert jobs
    assert thing.get_reader(blob_download_config=config).read_all() == DATA


def _long_ago() -> Any:
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) - timedelta(minutes=5)


def test_small_objects_come_plainly(front: Front, remote: str) -> None:
    front.put_there(remote, "k", b"little")
    config = BlobDownloadConfig()
    thing = front.bucket(remote).object("k")
    assert thing.get_reader(blob_download_config=config).read_all() == b"little"
    assert chunks(front, remote, "k") is None
    front.put_there(remote, "empty", b"")
    succeeded(front.sdk, front.bucket(remote).object("empty").blob_download())
    assert front.bucket(remote).object("empty").props.present


def test_readers_of_a_download_share_it(front: Front, remote: str) -> None:
    front.put_there(remote, "k", DATA)
    config = BlobDownloadConfig(chunk_size="64KiB", num_workers="4")
    found: list[bytes] = []

    def blob() -> None:
        reader = front.bucket(remote).object("k").get_reader(blob_download_config=config)
        found.append(reader.read_all())

    def plain() -> None:
        with front.s3.get_object(Bucket=remote, Key="k")["Body"] as body:
            found.append(body.read())

    threads = [threading.Thread(target=work) for work in (blob, plain) * 3]
    for thread in threads:
        thread.start()
    job_id = front.bucket(remote).object("k").blob_download()
    for thread in threads:
        thread.join()
    succeeded(front.sdk, job_id)
    assert found == [DATA] * 6


def test_what_is_wrong_with_a_request(front: Front, remote: str) -> None:
    front.put_there(remote, "k", DATA)
    objects = f"/v1/objects/{remote}"

    def ask(name: str, **value: object) -> int:
        message = {"action": KIND, "name": name, "value": value}
        return front.ask("POST", f"{objects}?provider=aws", json=message).status_code

    assert ask("k", **{"num-workers": 129}) == 400
    assert ask("k", **{"num-workers": "x"}) == 400
    assert ask("k", **{"chunk-size": -1}) == 400
    assert ask("k", **{"chunk-size": [1]}) == 400
    assert ask("k", **{"chunk-read-timeout": "soon"}) == 400
    assert ask("k", **{"latest-ver": "maybe"}) == 400
    assert ask("") == 400
    assert ask("absent") == 404
    with pytest.raises(ErrObjNotFound):
        front.bucket(remote).object("absent").get_reader(
            blob_download_config=BlobDownloadConfig()
        ).read_all()
    for name, value in {
        "Ais-Blob-Chunk": "big",
        "Ais-Blob-Workers": "-2",
        "Ais-Blob-Read-Timeout": "1",
        "Ais-Blob-Threshold": "?",
        "Range": "bytes=0-5",
    }.items():
        headers = {"Ais-Blob-Download": "true", name: value}
        reply = front.ask("GET", f"{objects}/k?provider=aws", headers=headers)
        assert reply.status_code == 400, (name, reply.text)
    local = front.sdk.bucket(f"local-{remote}").create()
    local.object("k").get_writer().put_content(b"1")
    with pytest.raises(AISError):
        local.object("k").blob_download()
    local.delete()


def test_an_object_that_changes_on_the_way_is_never_mixed(front: Front, remote: str) -> None:
    sizes = 2 * MIB
    bodies = [pattern(sizes, seed) for seed in range(6)]
    front.put_there(remote, "k", bodies[0])
    thing = front.bucket(remote).object("k")
    for data in bodies[1:]:
        job_id = thing.blob_download(chunk_size=32 * 1024, num_workers=2, latest=True)
        front.put_there(remote, "k", data)
        ended(front.sdk, job_id)
        front.sdk.job(thing.blob_download(latest=True)).wait(timeout=30)
        assert thing.get_reader().read_all() in bodies
    deadline = time.monotonic() + 20
    while thing.get_reader(latest=True).read_all() != bodies[-1]:
        assert time.monotonic() < deadline


def test_copies_are_cut_anew_and_sent_as_they_lie(front: Front, remote: str) -> None:
    data = pattern(11 * MIB)
    etag = front.put_there(remote, "k", data)
    thing = front.bucket(remote).object("k")
    assert thing.get_reader().read_all() == data

    def rechunk(**value: object) -> None:
        named = {name.replace("_", "-"): each for name, each in value.items()}
        message = {"action": "rechunk", "name": "", "value": named}
        reply = front.ask("POST", f"/v1/buckets/{remote}?provider=aws", json=message)
        assert reply.status_code == 200, reply.text
        succeeded(front.sdk, reply.text)

    rechunk(objsize_limit=MIB, chunk_size=2 * MIB)
    assert chunks(front, remote, "k") == (6, 2 * MIB)
    assert front.s3.head_object(Bucket=remote, Key="k")["ETag"].strip('"') == etag
    assert front.there.head_object(Bucket=remote, Key="k")["ETag"].strip('"') == etag
    rechunk(objsize_limit=MIB, chunk_size=5 * MIB, sync_remote=True)
    there = front.there.head_object(Bucket=remote, Key="k")["ETag"].strip('"')
    assert there.endswith("-3")
    assert front.s3.head_object(Bucket=remote, Key="k")["ETag"].strip('"') == there
    assert front.read_there(remote, "k") == data
    assert thing.get_reader(latest=True).read_all() == data
    assert chunks(front, remote, "k") == (3, 5 * MIB), "the copy is the same still"
