"""Cold reads of a real weir by unmodified clients: once from the backend, streamed while they are stored."""

from __future__ import annotations

import io
import secrets
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from aistore.sdk.archive_config import ArchiveConfig
from boto3.s3.transfer import TransferConfig

from tests.remote.cold import MIB, Cold, wait_for


@pytest.mark.parametrize("size_bytes", [0, 5, 64 * 1024, 64 * 1024 + 1, 3 * MIB + 7])
def test_read_and_kept(cold: Cold, key: str, size_bytes: int) -> None:
    data = secrets.token_bytes(size_bytes)
    held = cold.wilful.place(key, data)
    assert not cold.is_cached(key)
    answer = cold.front.s3.get_object(Bucket=cold.bucket, Key=key)
    assert answer["ETag"] == f'"{held.etag}"'
    assert answer["ContentType"] == "application/x-test"
    assert answer["Body"].read() == data
    assert cold.is_cached(key)
    assert cold.read(key) == data
    assert cold.front.bucket(cold.bucket).object(key).get_reader().read_all() == data
    assert cold.wilful.reads[key] == 1


def test_many_clients_cause_one_read(cold: Cold, key: str) -> None:
    data = secrets.token_bytes(8 * MIB)
    cold.wilful.place(key, data)
    with cold.wilful.holding(key, MIB) as hold, ThreadPoolExecutor(24) as pool:
        reads = [pool.submit(cold.read, key) for _ in range(24)]
        assert hold.reached.wait(20)
        hold.go_on.set()
        assert all(each.result() == data for each in reads)
    assert cold.wilful.reads[key] == 1


def test_bytes_are_passed_on_as_they_come(cold: Cold, key: str) -> None:
    data = secrets.token_bytes(4 * MIB)
    cold.wilful.place(key, data)
    with cold.wilful.holding(key, MIB) as hold:
        with cold.open_raw(key) as reply:
            assert reply.raw.read(MIB) == data[:MIB]
        # The client has left; the copy is made all the same.
        hold.go_on.set()
        wait_for(lambda: cold.is_cached(key))
    assert cold.read(key) == data
    assert cold.wilful.reads[key] == 1


def test_boto_downloads_in_parts_from_one_read(cold: Cold, key: str, tmp_path: Path) -> None:
    data = secrets.token_bytes(24 * MIB)
    cold.wilful.place(key, data)
    config = TransferConfig(multipart_threshold=MIB, multipart_chunksize=4 * MIB)
    cold.front.s3.download_file(cold.bucket, key, str(tmp_path / "got"), Config=config)
    assert (tmp_path / "got").read_bytes() == data
    wait_for(lambda: cold.is_cached(key))


def test_ranges_do_not_fetch_the_whole(cold: Cold, key: str) -> None:
    data = secrets.token_bytes(4 * MIB)
    cold.wilful.place(key, data)
    for asked, part in (("bytes=5-9", data[5:10]), ("bytes=-100", data[-100:])):
        answer = cold.front.s3.get_object(Bucket=cold.bucket, Key=key, Range=asked)
        assert answer["Body"].read() == part
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert cold.wilful.sent_bytes[key] == 105
    assert not cold.is_cached(key)


def test_a_range_is_served_while_the_whole_comes(cold: Cold, key: str) -> None:
    data = secrets.token_bytes(40 * MIB)
    cold.wilful.place(key, data)
    with cold.wilful.holding(key, 2 * MIB), cold.open_raw(key) as reply:
        assert reply.raw.read(10) == data[:10]
        for first in (MIB, 30 * MIB):
            answer = cold.front.s3.get_object(
                Bucket=cold.bucket, Key=key, Range=f"bytes={first}-{first + 99}"
            )
            assert answer["Body"].read() == data[first : first + 100]
        assert cold.wilful.reads[key] == 2
        reply.close()


def test_latest(cold: Cold, key: str) -> None:
    cold.wilful.place(key, b"old")
    there = cold.front.bucket(cold.bucket).object(key)
    assert there.get_reader().read_all() == b"old"
    cold.wilful.place(key, b"new!")
    assert there.get_reader().read_all() == b"old"
    path = cold.path(key)
    assert cold.front.ask("HEAD", f"{path}&latest-ver=true&props=size").status_code == 409
    assert there.get_reader(latest=True).read_all() == b"new!"
    assert cold.front.ask("HEAD", f"{path}&latest-ver=true&props=size").status_code == 200
    del cold.wilful.objects[key]
    assert cold.front.ask("HEAD", f"{path}&latest-ver=true&props=size").status_code == 410
    assert cold.front.ask("GET", f"{path}&latest-ver=true").status_code == 404
    assert there.get_reader().read_all() == b"new!"


def test_presence(cold: Cold, key: str) -> None:
    cold.wilful.place(key, b"data")
    path = cold.path(key)

    def statuses() -> list[int]:
        return [cold.front.ask("HEAD", f"{path}&presence={n}").status_code for n in range(6)]

    assert statuses() == [200, 200, 404, 404, 404, 200]
    cold.read(key)
    heads = cold.wilful.heads[key]
    assert statuses() == [200, 200, 200, 200, 200, 404]
    assert cold.wilful.heads[key] == heads


def test_members_of_shards_are_read_once_the_shard_is_here(cold: Cold, key: str) -> None:
    packed = io.BytesIO()
    members = {f"s{n}.bin": secrets.token_bytes(100_000) for n in range(5)}
    with tarfile.open(fileobj=packed, mode="w") as shard:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            shard.addfile(entry, io.BytesIO(data))
    name = f"{key}.tar"
    cold.wilful.place(name, packed.getvalue())
    there = cold.front.bucket(cold.bucket).object(name)
    for member, data in members.items():
        archive = ArchiveConfig(archpath=member)
        assert there.get_reader(archive_config=archive).read_all() == data
    assert cold.wilful.reads[name] == 1
    with pytest.raises(requests.HTTPError):
        cold.front.ask("GET", f"{cold.path(key)}-no.tar&archpath=x").raise_for_status()
