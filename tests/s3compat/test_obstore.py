"""obstore (Rust object_store)."""

from __future__ import annotations

import secrets

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

from tests.s3compat.boto import MIB
from tests.server import REGION, ROOT_KEYS, Server


@pytest.fixture
def store(server: Server, bucket: str) -> S3Store:
    return S3Store(
        bucket,
        endpoint=server.endpoint,
        access_key_id=ROOT_KEYS.access_key,
        secret_access_key=ROOT_KEYS.secret_key,
        region=REGION,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def test_obstore(store: S3Store) -> None:
    data = secrets.token_bytes(12 * MIB)
    obstore.put(store, "dir/large", data, chunk_size=5 * MIB)
    obstore.put(store, "dir/small é", b"small")
    assert bytes(obstore.get(store, "dir/large").bytes()) == data
    assert bytes(obstore.get_range(store, "dir/large", start=100, end=200)) == data[100:200]
    pieces = obstore.get_ranges(store, "dir/large", starts=[0, 5 * MIB], ends=[10, 5 * MIB + 10])
    assert [bytes(piece) for piece in pieces] == [data[:10], data[5 * MIB : 5 * MIB + 10]]
    listed = [entry["path"] for page in obstore.list(store) for entry in page]
    assert sorted(listed) == ["dir/large", "dir/small é"]
    obstore.copy(store, "dir/small é", "copy")
    obstore.rename(store, "copy", "renamed")
    assert obstore.head(store, "renamed")["size"] == 5
    obstore.delete(store, ["dir/large", "dir/small é", "renamed"])
    assert not list(obstore.list(store))


def test_obstore_conditional_put(store: S3Store) -> None:
    first = obstore.put(store, "k", b"1", mode="create", use_multipart=False)
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "k", b"2", mode="create", use_multipart=False)
    obstore.put(store, "k", b"3", mode={"e_tag": first["e_tag"]}, use_multipart=False)
    with pytest.raises(PreconditionError):
        obstore.put(store, "k", b"4", mode={"e_tag": first["e_tag"]}, use_multipart=False)
    assert bytes(obstore.get(store, "k").bytes()) == b"3"
