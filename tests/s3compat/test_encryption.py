"""Server-side encryption by boto3: keys, ranges, uploads, copies, defaults, and that no plaintext lies on disk."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, code_of, connect, read, status_of
from tests.s3compat.wire import Wire
from tests.server import Server, ServerOptions

KEY = os.urandom(32)
OTHER = os.urandom(32)
DATA = os.urandom(300_000)
SMALL = os.urandom(5_000)


def customer(key: bytes = KEY) -> dict[str, Any]:
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}


def source(key: bytes = KEY) -> dict[str, Any]:
    return {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": key}


S3: dict[str, Any] = {"ServerSideEncryption": "AES256"}
KMS: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "compat"}


# With a digest given, boto3 takes the key as it goes over the wire.
BAD_MD5: dict[str, Any] = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": base64.b64encode(KEY).decode(),
    "SSECustomerKeyMD5": base64.b64encode(bytes(16)).decode(),
}


@pytest.fixture(scope="module", autouse=True)
def kms_key(server: Server) -> str:
    """A key that the running server has not seen before."""
    server.admin("kms", "create", "compat", "--alias", "aws/s3")
    return "compat"


def is_on_disk(server: Server, data: bytes) -> bool:
    """Whether the bytes can be found as they are anywhere in the store."""
    files = (
        path for each in server.options.data_dirs for path in each.rglob("*") if path.is_file()
    )
    return any(data in path.read_bytes() for path in files)


@pytest.mark.parametrize("body", [b"", SMALL, DATA], ids=["empty", "small", "large"])
@pytest.mark.parametrize("mode", [S3, KMS, customer()], ids=["s3", "kms", "c"])
def test_put_and_get(client: S3Client, bucket: str, mode: dict[str, Any], body: bytes) -> None:
    key = {name: value for name, value in mode.items() if "Customer" in name}
    put = client.put_object(Bucket=bucket, Key="key", Body=body, **mode)
    got = client.get_object(Bucket=bucket, Key="key", **key)
    assert got["Body"].read() == body
    assert got["ContentLength"] == len(body)
    head = client.head_object(Bucket=bucket, Key="key", **key)
    assert head["ETag"] == got["ETag"] == put["ETag"]
    for answer in (put, got, head):
        assert answer.get("ServerSideEncryption") == mode.get("ServerSideEncryption")
        assert answer.get("SSEKMSKeyId") == mode.get("SSEKMSKeyId")
        assert answer.get("SSECustomerAlgorithm") == mode.get("SSECustomerAlgorithm")
    if len(body) > 1000:
        part = client.get_object(Bucket=bucket, Key="key", Range="bytes=100-1099", **key)
        assert part["Body"].read() == body[100:1100]
        assert part["ContentRange"] == f"bytes 100-1099/{len(body)}"


def test_no_plaintext_reaches_the_disk(server: Server, client: S3Client, bucket: str) -> None:
    """Of objects in the database and in files, parts of uploads, and copies; but of what is not encrypted, it does."""
    plain, secret = os.urandom(200_000), os.urandom(6 * MIB)
    client.put_object(Bucket=bucket, Key="plain", Body=plain)
    assert is_on_disk(server, plain[70_000:70_064])
    for name, mode in (("s3", S3), ("kms", KMS), ("c", customer())):
        client.put_object(Bucket=bucket, Key=f"small-{name}", Body=secret[:4000], **mode)
        client.put_object(Bucket=bucket, Key=f"large-{name}", Body=secret[:500_000], **mode)
    upload = client.create_multipart_upload(Bucket=bucket, Key="upload", **S3)["UploadId"]
    part: dict[str, Any] = {"Bucket": bucket, "Key": "upload", "UploadId": upload}
    client.upload_part(PartNumber=1, Body=secret[: 5 * MIB], **part)
    client.upload_part(PartNumber=2, Body=secret[5 * MIB :], **part)
    client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/large-s3", **KMS)
    client.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/plain", **S3)
    assert read(client, bucket, "plain") == plain
    for place in (0, 2000, 100_000, 480_000, 3 * MIB, 5 * MIB + 100, 6 * MIB - 64):
        assert not is_on_disk(server, secret[place : place + 64])
    assert not is_on_disk(server, KEY)
    assert not is_on_disk(server, hashlib.md5(KEY, usedforsecurity=False).digest())


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "InvalidRequest"),
        (customer(OTHER), "InvalidRequest"),
        (BAD_MD5, "InvalidArgument"),
        ({"SSECustomerAlgorithm": "AES256"}, "InvalidArgument"),
    ],
    ids=["none", "other", "bad-md5", "no-key"],
)
def test_wrong_customer_keys(
    client: S3Client, bucket: str, headers: dict[str, Any], code: str
) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=SMALL, **customer())
    with pytest.raises(ClientError) as refused:
        client.get_object(Bucket=bucket, Key="key", **headers)
    assert (code_of(refused.value), status_of(refused.value)) == (code, 400)
    with pytest.raises(ClientError) as refused:
        client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key")
    assert code_of(refused.value) == "InvalidRequest"


def test_an_absent_kms_key(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as refused:
        client.put_object(
            Bucket=bucket, Key="key", Body=DATA, ServerSideEncryption="aws:kms", SSEKMSKeyId="no"
        )
    assert (code_of(refused.value), status_of(refused.value)) == ("KMS.NotFoundException", 400)


def test_kms_keys_disabled_enabled_and_rotated(
    server: Server, client: S3Client, bucket: str
) -> None:
    """A running server follows at once."""
    server.admin("kms", "create", "turning")
    mode = {**KMS, "SSEKMSKeyId": "turning"}
    client.put_object(Bucket=bucket, Key="old", Body=DATA, **mode)
    server.admin("kms", "rotate", "turning")
    client.put_object(Bucket=bucket, Key="new", Body=DATA, **mode)
    server.admin("kms", "rotate-master")
    assert read(client, bucket, "old") == read(client, bucket, "new") == DATA
    server.admin("kms", "disable", "turning")
    with pytest.raises(ClientError) as refused:
        client.get_object(Bucket=bucket, Key="old")
    assert code_of(refused.value) == "KMS.DisabledException"
    server.admin("kms", "enable", "turning")
    assert read(client, bucket, "old") == DATA


@pytest.mark.parametrize("mode", [KMS, customer()], ids=["kms", "c"])
def test_transfers_in_parts(client: S3Client, bucket: str, mode: dict[str, Any]) -> None:
    """boto3's own uploads and downloads, of parts at the same time."""
    key = {name: value for name, value in mode.items() if "Customer" in name}
    data = os.urandom(11 * MIB + 5)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    client.upload_fileobj(io.BytesIO(data), bucket, "big", ExtraArgs=mode, Config=config)
    target = io.BytesIO()
    client.download_fileobj(bucket, "big", target, ExtraArgs=key, Config=config)
    assert target.getvalue() == data
    ranged = client.get_object(
        Bucket=bucket, Key="big", Range=f"bytes={5 * MIB - 7}-{5 * MIB + 6}", **key
    )
    assert ranged["Body"].read() == data[5 * MIB - 7 : 5 * MIB + 7]
    assert client.get_object(Bucket=bucket, Key="big", PartNumber=3, **key)["PartsCount"] == 3


def test_copies_between_keys(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=DATA, **customer())
    where: dict[str, Any] = {"Bucket": bucket, "Key": "key", "CopySource": f"{bucket}/key"}
    client.copy_object(**where, **source(), **customer(OTHER))
    with pytest.raises(ClientError):
        client.get_object(Bucket=bucket, Key="key", **customer())
    assert client.get_object(Bucket=bucket, Key="key", **customer(OTHER))["Body"].read() == DATA
    client.copy_object(**where, **source(OTHER), **KMS)
    assert read(client, bucket, "key") == DATA
    client.copy_object(**where, MetadataDirective="REPLACE", Metadata={"a": "b"})
    head = client.head_object(Bucket=bucket, Key="key")
    assert (head["SSEKMSKeyId"], head["Metadata"]) == ("compat", {"a": "b"})


def test_versions_have_their_own_encryption(client: S3Client, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket=bucket, Key="key", Body=b"first", **KMS)["VersionId"]
    second = client.put_object(Bucket=bucket, Key="key", Body=b"second", **customer())["VersionId"]
    third = client.copy_object(
        Bucket=bucket, Key="key", CopySource=f"{bucket}/key", **source(), **S3
    )["VersionId"]
    client.put_object_tagging(
        Bucket=bucket, Key="key", VersionId=first, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
    )
    for version, body, extra in (
        (first, b"first", {}),
        (second, b"second", customer()),
        (third, b"second", {}),
    ):
        got = client.get_object(Bucket=bucket, Key="key", VersionId=version, **extra)
        assert got["Body"].read() == body


def test_default_encryption(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as absent:
        client.get_bucket_encryption(Bucket=bucket)
    assert code_of(absent.value) == "ServerSideEncryptionConfigurationNotFoundError"
    rule: Any = {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": "alias/aws/s3",
        },
        "BucketKeyEnabled": True,
    }
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    told = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    assert told["Rules"] == [rule]
    put = client.put_object(Bucket=bucket, Key="key", Body=DATA)
    assert (put["SSEKMSKeyId"], put["BucketKeyEnabled"]) == ("compat", True)
    assert read(client, bucket, "key") == DATA
    client.delete_bucket_encryption(Bucket=bucket)
    assert "ServerSideEncryption" not in client.put_object(Bucket=bucket, Key="key", Body=DATA)


def test_a_presigned_get_of_an_object_that_needs_no_key(
    server: Server, client: S3Client, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=DATA, **S3)
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    with Wire(server) as wire:
        assert wire.request("GET", url.removeprefix(server.endpoint), {}).body == DATA


# --- a store of its own ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A weir that encrypts every new bucket, with a master key from its environment."""
    data = tmp_path_factory.mktemp("encrypted") / "data"
    master = base64.b64encode(os.urandom(32)).decode()
    running = Server(
        ServerOptions(
            [data],
            workers=1,
            arguments=("--set", "encryption.new_buckets=AES256"),
        )
    )
    running.start({"WEIR_ENCRYPTION_MASTER_KEY": master})
    try:
        yield running
    finally:
        running.stop()


def test_a_store_that_encrypts_by_default(own_server: Server) -> None:
    """Its doctor needs no key; a damaged byte is an error, and other objects stay readable; without the master key
    nothing is."""
    client = connect(own_server)
    client.create_bucket(Bucket="private")
    for name in ("good", "bad"):
        put = client.put_object(Bucket="private", Key=name, Body=DATA)
        assert put["ServerSideEncryption"] == "AES256"
    client.put_object(Bucket="private", Key="small", Body=SMALL)
    (data,) = own_server.options.data_dirs
    assert not (data / "control" / "master.key").exists()
    assert own_server.admin("doctor").returncode == 0
    blobs = sorted((data / "blobs").glob("*/*"), key=lambda path: path.stat().st_mtime_ns)
    raw = bytearray(blobs[-1].read_bytes())
    raw[150_000] ^= 1
    blobs[-1].write_bytes(raw)
    assert own_server.admin("doctor", is_checked=False).returncode == 1
    assert read(client, "private", "good") == DATA
    ranged = client.get_object(Bucket="private", Key="bad", Range="bytes=0-999")
    assert ranged["Body"].read() == DATA[:1000]
    with pytest.raises(Exception):  # noqa: B017 - cut off in the middle, or refused
        read(client, "private", "bad")
    own_server.stop()
    own_server.start()
    with pytest.raises(ClientError) as refused:
        connect(own_server).get_object(Bucket="private", Key="small")
    assert status_of(refused.value) == 503


def test_logs_tell_no_keys(server: Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="key", Body=SMALL, **customer())
    with pytest.raises(ClientError):
        client.get_object(Bucket=bucket, Key="key", **customer(OTHER))
    log = server.log_tail(10**7)
    for key in (KEY, OTHER):
        assert base64.b64encode(key).decode() not in log
        assert key.hex() not in log
