"""Buckets of Azure behind a weir, by unmodified boto3 and aistore SDK, over Azurite."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob.aio import BlobServiceClient
from botocore.exceptions import ClientError

from tests.contract.world import pattern
from tests.counterparts.azurite import AzureEndpoint, start_azurite
from tests.counterparts.started import Counterparts
from tests.remote.clients import Weir, running
from tests.s3compat.boto import MIB, list_keys, read, status_of


@dataclass(frozen=True, slots=True)
class World:
    weir: Weir
    azurite: AzureEndpoint

    def there(self, work: Callable[[BlobServiceClient], Awaitable[Any]]) -> Any:
        """Do something at Azure, behind weir's back."""

        async def run() -> Any:
            client = BlobServiceClient.from_connection_string(self.azurite.connection_string)
            async with client:
                return await work(client)

        return asyncio.run(run())

    def data_there(self, bucket: str, key: str) -> bytes:
        async def work(client: BlobServiceClient) -> bytes:
            found = await client.get_blob_client(bucket, key).download_blob()
            return bytes(await found.readall())

        return bytes(self.there(work))

    def put_there(self, bucket: str, key: str, data: bytes) -> None:
        self.there(lambda c: c.get_blob_client(bucket, key).upload_blob(data, overwrite=True))

    def delete_there(self, bucket: str, key: str) -> None:
        self.there(lambda client: client.get_blob_client(bucket, key).delete_blob())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, counterparts: Counterparts) -> Iterator[World]:
    azurite = start_azurite(counterparts)
    environment = {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    with running(tmp_path_factory.mktemp("azure") / "front", environment) as weir:
        yield World(weir, azurite)


@pytest.fixture
def bucket(world: World) -> str:
    """A container that weir knows."""
    name = f"remote-{secrets.token_hex(6)}"
    world.there(lambda client: client.create_container(name))
    world.weir.add_bucket(name, "provider=azure")
    return name


def test_reads(world: World, bucket: str) -> None:
    data = pattern(900_000)
    world.put_there(bucket, "dir/k", data)
    s3 = world.weir.s3
    assert read(s3, bucket, "dir/k") == data
    part = s3.get_object(Bucket=bucket, Key="dir/k", Range="bytes=5-9")
    with part["Body"] as body:
        assert body.read() == data[5:10]
    found = s3.head_object(Bucket=bucket, Key="dir/k")
    assert found["ContentLength"] == len(data)
    sdk = world.weir.sdk.bucket(bucket, provider="azure")
    assert sdk.object("dir/k").get_reader().read_all() == data
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="absent")
    assert status_of(caught.value) == 404


def test_writes(world: World, bucket: str) -> None:
    s3, data = world.weir.s3, pattern(300_000)
    s3.put_object(
        Bucket=bucket,
        Key="dir/ü +%",
        Body=data,
        ContentType="text/x-test",
        Metadata={"two-words": "dark green"},
    )
    assert world.data_there(bucket, "dir/ü +%") == data
    found = s3.head_object(Bucket=bucket, Key="dir/ü +%")
    assert (found["ContentType"], found["Metadata"]) == (
        "text/x-test",
        {"two-words": "dark green"},
    )
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "dir/ü +%"})
    assert world.data_there(bucket, "copy") == data
    s3.delete_object(Bucket=bucket, Key="copy")
    assert list_keys(s3, bucket) == ["dir/ü +%"]
    world.weir.sdk.bucket(bucket, provider="azure").object("native").get_writer().put_content(data)
    assert world.data_there(bucket, "native") == data


def test_multipart(world: World, bucket: str) -> None:
    s3, data = world.weir.s3, pattern(6 * MIB)
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="large", ContentType="text/x-test", Metadata={"a": "b"}
    )["UploadId"]
    parts = []
    for number, part in ((1, data[: 5 * MIB]), (2, data[5 * MIB :])):
        etag = s3.upload_part(
            Bucket=bucket, Key="large", UploadId=upload, PartNumber=number, Body=part
        )["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="large",
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
    )
    assert world.data_there(bucket, "large") == data
    assert read(s3, bucket, "large") == data
    found = s3.head_object(Bucket=bucket, Key="large")
    assert (found["ContentType"], found["Metadata"]) == ("text/x-test", {"a": "b"})


def test_listing(world: World, bucket: str) -> None:
    for name in ("a", "dir/1", "dir/2", "z"):
        world.put_there(bucket, name, b"data")
    s3 = world.weir.s3
    assert list_keys(s3, bucket) == ["a", "dir/1", "dir/2", "z"]
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=2)
    assert [each["Key"] for each in page["Contents"]] == ["a"]
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["dir/"]
    rest = s3.list_objects_v2(
        Bucket=bucket, Delimiter="/", ContinuationToken=page["NextContinuationToken"]
    )
    assert [each["Key"] for each in rest["Contents"]] == ["z"]
    sdk = world.weir.sdk.bucket(bucket, provider="azure")
    assert [each.name for each in sdk.list_all_objects()] == ["a", "dir/1", "dir/2", "z"]


def test_changes_behind_its_back(world: World, bucket: str) -> None:
    world.put_there(bucket, "k", b"old")
    sdk = world.weir.sdk.bucket(bucket, provider="azure")
    assert sdk.object("k").get_reader().read_all() == b"old"
    world.put_there(bucket, "k", b"newer")
    assert sdk.object("k").get_reader(latest=True).read_all() == b"newer"
    world.delete_there(bucket, "k")
    reply = world.weir.ask("GET", f"/v1/objects/{bucket}/k?provider=azure&latest-ver=true")
    assert reply.status_code == 404


def test_containers_that_are_not_there(world: World) -> None:
    reply = world.weir.ask("HEAD", "/v1/buckets/no-such-container?provider=azure")
    assert reply.status_code == 404
    names = [each.name for each in world.weir.sdk.cluster().list_buckets(provider="azure")]
    assert "no-such-container" not in names
