"""Objects in chunks: what clients see of them (nothing, but where they ask), and buckets that are cut anew."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.archive_config import ArchiveConfig
from mypy_boto3_s3 import S3Client

from tests.contract.world import pattern
from tests.native.jobs import succeeded
from tests.server import Server

KIB = 1024
DATA = pattern(700 * KIB + 7)


def post(
    server: Server,
    http: requests.Session,
    bucket: str,
    action: str,
    value: Any,
    method: str = "POST",
) -> requests.Response:
    url = f"{server.endpoint}/v1/buckets/{bucket}?provider=ais"
    message = {"action": action, "name": "", "value": value}
    return http.request(method, url, json=message, timeout=30)


def set_chunks(server: Server, http: requests.Session, bucket: Bucket, **values: Any) -> None:
    wanted = {"chunks": values}
    answer = post(server, http, bucket.name, "set-bprops", wanted, "PATCH")
    assert answer.status_code == 200, answer.text


def layout(bucket: Bucket, name: str) -> tuple[int, int] | None:
    chunks = bucket.object(name).head("chunked").chunks
    return None if chunks is None else (chunks.chunk_count, chunks.max_chunk_size)


def rechunk(
    server: Server, http: requests.Session, client: Client, bucket: Bucket, **value: Any
) -> int:
    """Run the job to its end; how many objects it has cut."""
    named = {name.replace("_", "-"): each for name, each in value.items()}
    answer = post(server, http, bucket.name, "rechunk", named)
    assert answer.status_code == 200, answer.text
    return int(succeeded(client, answer.text).stats.objects)


def test_large_objects_are_cut_and_read_as_before(
    server: Server, http: requests.Session, bucket: Bucket, s3: S3Client
) -> None:
    set_chunks(server, http, bucket, objsize_limit="256KiB", chunk_size="128KiB")
    name = bucket.name
    etag = s3.put_object(Bucket=name, Key="by-s3", Body=DATA)["ETag"]
    assert etag == f'"{hashlib.md5(DATA).hexdigest()}"'
    bucket.object("native").get_writer().put_content(DATA)
    bucket.object("small").get_writer().put_content(DATA[: 255 * KIB])
    for each in ("by-s3", "native"):
        assert layout(bucket, each) == (6, 128 * KIB)
        assert s3.get_object(Bucket=name, Key=each)["Body"].read() == DATA
        assert bucket.object(each).get_reader().read_all() == DATA
        reader = bucket.object(each).get_reader(num_workers=3)
        with reader.read_all() as whole:
            assert whole.tobytes() == DATA
        for first, last in ((0, 0), (128 * KIB - 1, 128 * KIB), (5, 600 * KIB)):
            found = s3.get_object(Bucket=name, Key=each, Range=f"bytes={first}-{last}")
            assert found["Body"].read() == DATA[first : last + 1]
    assert layout(bucket, "small") is None
    listed = bucket.list_all_objects(props="name,size,chunked")
    assert {each.name for each in listed if each.flags & (1 << 13)} == {"by-s3", "native"}
    # A copy by either front is cut by the same rule; overwriting with little makes one file of it.
    s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": "by-s3"})
    assert layout(bucket, "copy") == (6, 128 * KIB)
    s3.put_object(Bucket=name, Key="copy", Body=b"little")
    assert layout(bucket, "copy") is None


def test_uploads_are_chunks_without_copying(
    server: Server, http: requests.Session, client: Client, bucket: Bucket, s3: S3Client
) -> None:
    part = pattern(5 * 1024 * KIB)
    upload = s3.create_multipart_upload(Bucket=bucket.name, Key="k")["UploadId"]
    done: list[Any] = []
    for number, body in ((1, part), (2, DATA)):
        answer = s3.upload_part(
            Bucket=bucket.name, Key="k", UploadId=upload, PartNumber=number, Body=body
        )
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    etag = s3.complete_multipart_upload(
        Bucket=bucket.name, Key="k", UploadId=upload, MultipartUpload={"Parts": done}
    )["ETag"]
    assert layout(bucket, "k") == (2, len(part))
    assert rechunk(server, http, client, bucket, objsize_limit=0) == 1
    assert layout(bucket, "k") is None
    head = s3.head_object(Bucket=bucket.name, Key="k", PartNumber=2)
    assert (head["ETag"], head["PartsCount"], head["ContentLength"]) == (etag, 2, len(DATA))
    assert s3.get_object(Bucket=bucket.name, Key="k")["Body"].read() == part + DATA
    assert bucket.list_all_objects(props="chunked")[0].flags & (1 << 13) == 0


def test_archives_in_chunks(server: Server, http: requests.Session, bucket: Bucket) -> None:
    set_chunks(server, http, bucket, objsize_limit="64KiB", chunk_size="10KiB")
    buffer = io.BytesIO()
    members = {f"m{number}.bin": pattern(9000, number) for number in range(20)}
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    bucket.object("s.tar").get_writer().put_content(buffer.getvalue())
    chunks = layout(bucket, "s.tar")
    assert chunks is not None
    assert chunks[0] > 10
    for name, data in members.items():
        config = ArchiveConfig(archpath=name)
        assert bucket.object("s.tar").get_reader(archive_config=config).read_all() == data


def test_batches_of_chunks(
    server: Server, http: requests.Session, client: Client, bucket: Bucket
) -> None:
    set_chunks(server, http, bucket, objsize_limit="64KiB", chunk_size="10KiB")
    bodies = {f"k{number}": pattern(90_000 + number, number) for number in range(5)}
    for name, data in bodies.items():
        bucket.object(name).get_writer().put_content(data)
    got = list(client.batch(list(bodies), bucket).get())
    assert [data for _, data in got] == list(bodies.values())
    batch = client.batch(bucket=bucket)
    for name in bodies:
        batch.add(name, start=10_000, length=20_500)
    assert [data for _, data in batch.get()] == [each[10_000:30_500] for each in bodies.values()]


def test_appends_to_chunks(server: Server, http: requests.Session, bucket: Bucket) -> None:
    set_chunks(server, http, bucket, objsize_limit="64KiB", chunk_size="32KiB")
    thing = bucket.object("k")
    thing.get_writer().put_content(DATA)
    handle = thing.get_writer().append_content(b"more")
    thing.get_writer().append_content(b"", handle, flush=True)
    assert thing.get_reader().read_all() == DATA + b"more"


def test_a_bucket_is_cut_anew_while_it_is_read(
    server: Server, http: requests.Session, client: Client, bucket: Bucket, s3: S3Client
) -> None:
    bodies = {f"a/{number:02}": pattern(300 * KIB + number, number) for number in range(8)}
    bodies |= {f"b/{number:02}": pattern(200 * KIB, number) for number in range(4)}
    for name, data in bodies.items():
        s3.put_object(Bucket=bucket.name, Key=name, Body=data)
    before = s3.list_objects_v2(Bucket=bucket.name)["Contents"]
    stop, wrong = threading.Event(), list[str]()

    def look() -> None:
        while not stop.is_set():
            for name, data in bodies.items():
                if s3.get_object(Bucket=bucket.name, Key=name)["Body"].read() != data:
                    wrong.append(name)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        sizes = {"objsize_limit": "100KiB", "chunk_size": 64 * KIB}
        assert rechunk(server, http, client, bucket, **sizes, prefix="a/") == 8
        assert layout(bucket, "b/00") is None
        assert layout(bucket, "a/00") == (5, 64 * KIB)
        assert rechunk(server, http, client, bucket, **sizes) == 4
        assert rechunk(server, http, client, bucket, **sizes) == 0
        # As the bucket's settings say: by default, whole.
        assert rechunk(server, http, client, bucket) == 12
    finally:
        stop.set()
        thread.join()
    assert not wrong
    assert all(layout(bucket, name) is None for name in bodies)
    after = s3.list_objects_v2(Bucket=bucket.name)["Contents"]
    assert after == before
    assert bucket.object("a/00").props.obj_version == "1"


def test_the_job_by_its_kind(server: Server, http: requests.Session, bucket: Bucket) -> None:
    bucket.object("k").get_writer().put_content(DATA)
    set_chunks(server, http, bucket, objsize_limit="1", chunk_size="512KiB")
    started = server.admin("job", "start", "rechunk", "--bucket", bucket.name).stdout.strip()
    server.admin("job", "wait", started)
    told = json.loads(server.admin("job", "status", started, "--json").stdout)
    assert told["counters"]["objects"] == 1
    assert layout(bucket, "k") == (2, 512 * KIB)


@pytest.mark.parametrize(
    "value",
    [
        {"chunk-size": 1},
        {"chunk-size": "6GiB"},
        {"objsize-limit": -1},
        {"objsize-limit": "much"},
        {"objsize-limit": True},
        {"prefix": 7},
        {"prefix": "x" * 2000},
        {"sync-remote": "yes"},
        {"sync-remote": True},
    ],
)
def test_bad_requests(
    server: Server, http: requests.Session, bucket: Bucket, value: dict[str, Any]
) -> None:
    answer = post(server, http, bucket.name, "rechunk", value)
    assert answer.status_code == 400, answer.text
    assert post(server, http, "nowhere", "rechunk", {}).status_code == 404


@pytest.mark.parametrize(
    "chunks",
    [
        {"chunk_size": "1B"},
        {"chunk_size": "5GiB1"},
        {"chunk_size": "6GiB"},
        {"objsize_limit": "2TiB"},
        {"max_monolithic_size": "1MiB"},
    ],
)
def test_bad_settings(
    server: Server, http: requests.Session, bucket: Bucket, chunks: dict[str, Any]
) -> None:
    answer = post(server, http, bucket.name, "set-bprops", {"chunks": chunks}, "PATCH")
    assert answer.status_code == 400, answer.text
