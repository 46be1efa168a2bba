"""s3fs (fsspec)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import s3fs

from tests.s3compat.boto import MIB
from tests.server import REGION, ROOT_KEYS, Server


@pytest.fixture
def fs(server: Server) -> Iterator[s3fs.S3FileSystem]:
    filesystem = s3fs.S3FileSystem(
        key=ROOT_KEYS.access_key,
        secret=ROOT_KEYS.secret_key,
        endpoint_url=server.endpoint,
        client_kwargs={"region_name": REGION},
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    yield filesystem
    filesystem.close_session(filesystem.loop, filesystem.s3)


def test_s3fs(fs: s3fs.S3FileSystem, bucket: str) -> None:
    data = secrets.token_bytes(12 * MIB)
    with fs.open(f"{bucket}/dir/large", "wb", block_size=5 * MIB) as file:
        file.write(data)
    fs.pipe(f"{bucket}/dir/small é", b"small")
    assert fs.ls(f"{bucket}/dir") == [f"{bucket}/dir/large", f"{bucket}/dir/small é"]
    assert fs.info(f"{bucket}/dir/large")["size"] == len(data)
    with fs.open(f"{bucket}/dir/large", "rb") as file:
        file.seek(7 * MIB)
        assert file.read(100) == data[7 * MIB : 7 * MIB + 100]
    assert fs.cat(f"{bucket}/dir/large") == data
    fs.cp(f"{bucket}/dir/small é", f"{bucket}/copy")
    fs.mv(f"{bucket}/copy", f"{bucket}/moved")
    assert fs.find(bucket) == [
        f"{bucket}/dir/large",
        f"{bucket}/dir/small é",
        f"{bucket}/moved",
    ]
    fs.rm(bucket + "/dir", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/moved"]
    assert not fs.exists(f"{bucket}/dir/large")
