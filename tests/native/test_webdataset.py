"""WebDataset, unmodified, reads shards from weir by their URLs."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import pytest
from aistore.sdk import Bucket
from mypy_boto3_s3 import S3Client

from core.shards import ShardFormat
from tests.server import Server
from tests.unit.storage.archives import packed

SAMPLES_A_SHARD = 20
SHARDS = 3


def samples_of(shard: int) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for number in range(SAMPLES_A_SHARD):
        key = f"train/{shard:02}{number:04}"
        members[f"{key}.bin"] = bytes([shard, number]) * 5000
        members[f"{key}.cls"] = str(number % 10).encode()
        members[f"{key}.json"] = json.dumps({"shard": shard, "number": number}).encode()
    return members


def put_shards(bucket: Bucket, shard_format: ShardFormat = ShardFormat.TAR) -> None:
    for shard in range(SHARDS):
        data = packed(shard_format, samples_of(shard))
        bucket.object(f"data/train-{shard:04}{shard_format}").get_writer().put_content(data)


def read_all(urls: str | list[str]) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import webdataset

        return list(webdataset.WebDataset(urls, shardshuffle=False).decode())


def check(samples: list[dict[str, Any]]) -> None:
    assert len(samples) == SHARDS * SAMPLES_A_SHARD
    for place, sample in enumerate(samples):
        shard, number = divmod(place, SAMPLES_A_SHARD)
        assert sample["__key__"] == f"train/{shard:02}{number:04}"
        assert sample["bin"] == bytes([shard, number]) * 5000
        assert sample["cls"] == number % 10
        assert sample["json"] == {"shard": shard, "number": number}


@pytest.mark.parametrize("shard_format", [ShardFormat.TAR, ShardFormat.TGZ])
def test_easy_urls(server: Server, bucket: Bucket, shard_format: ShardFormat) -> None:
    put_shards(bucket, shard_format)
    last = f"{SHARDS - 1:04}"
    check(
        read_all(f"{server.endpoint}/ais/{bucket.name}/data/train-{{0000..{last}}}{shard_format}")
    )


def test_native_urls(server: Server, bucket: Bucket) -> None:
    put_shards(bucket)
    base = f"{server.endpoint}/v1/objects/{bucket.name}/data/train-"
    check(read_all([f"{base}{shard:04}.tar" for shard in range(SHARDS)]))


def test_presigned_s3_urls(bucket: Bucket, s3: S3Client) -> None:
    put_shards(bucket)
    keys = [f"data/train-{shard:04}.tar" for shard in range(SHARDS)]
    params = [{"Bucket": bucket.name, "Key": key} for key in keys]
    check(read_all([s3.generate_presigned_url("get_object", Params=each) for each in params]))


def test_a_program_in_a_pipe(server: Server, bucket: Bucket) -> None:
    put_shards(bucket)
    base = f"{server.endpoint}/ais/{bucket.name}/data/train-"
    check(read_all([f"pipe:curl -sf {base}{shard:04}.tar" for shard in range(SHARDS)]))


def test_what_was_written_by_webdataset(bucket: Bucket, server: Server) -> None:
    import webdataset

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with webdataset.TarWriter(buffer) as writer:
            for number in range(5):
                writer.write({"__key__": f"{number:06}", "txt": f"text {number}", "cls": number})
    bucket.object("w.tar").get_writer().put_content(buffer.getvalue())
    (sample, *_) = read_all(f"{server.endpoint}/ais/{bucket.name}/w.tar")
    assert (sample["txt"], sample["cls"]) == ("text 0", 0)
