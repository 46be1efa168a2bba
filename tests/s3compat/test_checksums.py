"""The additional checksums of S3, in headers, in trailers, and of multipart objects."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from awscrt import checksums
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.literals import ChecksumAlgorithmType

from tests.s3compat.boto import MIB, code_of, list_keys
from tests.s3compat.wire import exchange
from tests.server import Server

DATA = hashlib.shake_256(b"checksums").digest(5 * MIB)
ALGORITHMS: list[ChecksumAlgorithmType] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]


def raw_digest(algorithm: str, data: bytes) -> bytes:
    match algorithm:
        case "CRC32":
            return zlib.crc32(data).to_bytes(4, "big")
        case "CRC32C":
            return int(checksums.crc32c(data)).to_bytes(4, "big")
        case "CRC64NVME":
            return int(checksums.crc64nvme(data)).to_bytes(8, "big")
        case _:
            return hashlib.new(algorithm.lower(), data).digest()


def digest(algorithm: str, data: bytes) -> str:
    return base64.b64encode(raw_digest(algorithm, data)).decode()


@pytest.mark.parametrize("size", [0, 1000, 3 * MIB])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_of_put_object(
    client: S3Client, bucket: str, algorithm: ChecksumAlgorithmType, size: int
) -> None:
    # boto3 sends it in a trailer over plain HTTP too.
    data = DATA[:size]
    client.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm=algorithm)
    got = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data
    headers = got["ResponseMetadata"]["HTTPHeaders"]
    assert headers[f"x-amz-checksum-{algorithm.lower()}"] == digest(algorithm, data)
    assert headers["x-amz-checksum-type"] == "FULL_OBJECT"
    told = client.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
    assert dict(told["Checksum"])[f"Checksum{algorithm}"] == digest(algorithm, data)
    plain = client.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    assert not [name for name in plain if name.startswith("x-amz-checksum")]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_header(
    server: Server, client: S3Client, bucket: str, algorithm: ChecksumAlgorithmType
) -> None:
    name = f"x-amz-checksum-{algorithm.lower()}"
    target = f"/{bucket}/k"
    wrong = exchange(
        server, "PUT", target, body=b"data", headers={name: digest(algorithm, b"other")}
    )
    assert (wrong.status, wrong.error_code) == (400, "BadDigest")
    malformed = exchange(server, "PUT", target, body=b"data", headers={name: "AAAA"})
    assert (malformed.status, malformed.error_code) == (400, "InvalidRequest")
    assert list_keys(client, bucket) == []
    right = exchange(
        server, "PUT", target, body=b"data", headers={name: digest(algorithm, b"data")}
    )
    assert right.status == 200
    assert right.headers[name] == digest(algorithm, b"data")


def test_checksum_two_headers(server: Server, bucket: str) -> None:
    headers = {
        "x-amz-checksum-crc32": digest("CRC32", b"x"),
        "x-amz-checksum-sha1": digest("SHA1", b"x"),
    }
    reply = exchange(server, "PUT", f"/{bucket}/k", body=b"x", headers=headers)
    assert (reply.status, reply.error_code) == (400, "InvalidRequest")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_checksum_composite(
    client: S3Client, bucket: str, algorithm: ChecksumAlgorithmType
) -> None:
    parts = [DATA, b"end"]
    upload = client.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType="COMPOSITE"
    )["UploadId"]
    named = []
    for number, data in enumerate(parts, 1):
        done = client.upload_part(
            Bucket=bucket,
            Key="k",
            UploadId=upload,
            PartNumber=number,
            Body=data,
            ChecksumAlgorithm=algorithm,
        )
        value = digest(algorithm, data)
        named.append({"PartNumber": number, "ETag": done["ETag"], f"Checksum{algorithm}": value})
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]
    )
    whole = digest(algorithm, b"".join(raw_digest(algorithm, data) for data in parts)) + "-2"
    head = client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    headers = head["ResponseMetadata"]["HTTPHeaders"]
    assert headers[f"x-amz-checksum-{algorithm.lower()}"] == whole
    assert headers["x-amz-checksum-type"] == "COMPOSITE"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_checksum_full_object_of_multipart(
    client: S3Client, bucket: str, algorithm: ChecksumAlgorithmType
) -> None:
    upload = client.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT"
    )["UploadId"]
    named = []
    for number, data in enumerate([DATA, b"end"], 1):
        done = client.upload_part(
            Bucket=bucket,
            Key="k",
            UploadId=upload,
            PartNumber=number,
            Body=data,
            ChecksumAlgorithm=algorithm,
        )
        named.append({"PartNumber": number, "ETag": done["ETag"]})
    for value in (digest(algorithm, b"wrong"), digest(algorithm, DATA + b"end")):
        options = {f"Checksum{algorithm}": value, "ChecksumType": "FULL_OBJECT"}
        try:
            client.complete_multipart_upload(
                Bucket=bucket,
                Key="k",
                UploadId=upload,
                MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]
                **options,  # type: ignore[arg-type]
            )
        except ClientError as error:
            assert code_of(error) == "BadDigest"  # noqa: PT017
            assert list_keys(client, bucket) == []
    head = client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    headers = head["ResponseMetadata"]["HTTPHeaders"]
    assert headers[f"x-amz-checksum-{algorithm.lower()}"] == digest(algorithm, DATA + b"end")
    assert headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_checksum_survives_copy(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA256")
    client.copy_object(Bucket=bucket, Key="kept", CopySource=f"{bucket}/k")
    client.copy_object(
        Bucket=bucket, Key="changed", CopySource=f"{bucket}/k", ChecksumAlgorithm="CRC32C"
    )
    kept = client.head_object(Bucket=bucket, Key="kept", ChecksumMode="ENABLED")
    assert kept["ChecksumSHA256"] == digest("SHA256", b"data")
    changed = client.head_object(Bucket=bucket, Key="changed", ChecksumMode="ENABLED")
    assert changed["ChecksumCRC32C"] == digest("CRC32C", b"data")
