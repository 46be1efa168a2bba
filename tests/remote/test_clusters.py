"""Buckets of another weir, attached to this one, by unmodified boto3 and aistore SDK."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from aistore.sdk.namespace import Namespace

from tests.contract.world import pattern
from tests.remote.clients import Weir, running
from tests.s3compat.boto import MIB, list_keys, read


@dataclass(frozen=True, slots=True)
class World:
    """`near` has `far` attached as `far`."""

    near: Weir
    far: Weir


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("clusters")
    with running(directory / "near", {}) as near, running(directory / "far", {}) as far:
        reply = near.ask("PUT", f"/v1/cluster/attach?far={far.server.endpoint}")
        assert reply.status_code == 200, reply.text
        yield World(near, far)


@pytest.fixture
def bucket(world: World) -> str:
    """A bucket over there."""
    name = f"far-{secrets.token_hex(6)}"
    world.far.s3.create_bucket(Bucket=name)
    return name


def test_attached(world: World) -> None:
    found = world.near.ask("GET", "/v1/cluster?what=remote").json()["a"]
    assert [(each["alias"], each["url"]) for each in found] == [("far", world.far.server.endpoint)]


def test_by_alias(world: World, bucket: str) -> None:
    data = pattern(2 * MIB)
    world.far.s3.put_object(Bucket=bucket, Key="dir/k", Body=data, Metadata={"a": "b"})
    near = world.near.sdk.bucket(bucket, namespace=Namespace(uuid="far", name=""))
    assert near.object("dir/k").get_reader().read_all() == data
    assert [each.name for each in near.list_all_objects()] == ["dir/k"]
    near.object("new").get_writer().put_content(b"written through")
    assert read(world.far.s3, bucket, "new") == b"written through"
    near.object("new").delete()
    assert list_keys(world.far.s3, bucket) == ["dir/k"]


def test_by_binding(world: World, bucket: str) -> None:
    s3, name = world.near.s3, f"near-{secrets.token_hex(6)}"
    binding = {
        "name": bucket,
        "provider": "ais",
        "namespace": {"uuid": "far", "name": ""},
    }
    world.near.add_bucket(name, "provider=ais", {"backend_bck": binding})
    data = pattern(6 * MIB)
    s3.put_object(
        Bucket=name, Key="k", Body=data[:MIB], ContentType="text/x-test", Metadata={"a-b": "x, c"}
    )
    assert read(world.far.s3, bucket, "k") == data[:MIB]
    found = s3.head_object(Bucket=name, Key="k")
    assert found["ContentType"] == "text/x-test"
    upload = s3.create_multipart_upload(Bucket=name, Key="large")["UploadId"]
    parts = []
    for number, part in ((1, data[: 5 * MIB]), (2, data[5 * MIB :])):
        etag = s3.upload_part(
            Bucket=name, Key="large", UploadId=upload, PartNumber=number, Body=part
        )["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(
        Bucket=name,
        Key="large",
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
    )
    assert read(world.far.s3, bucket, "large") == data
    assert read(s3, name, "large") == data
    assert list_keys(s3, name) == ["k", "large"]
