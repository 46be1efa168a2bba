"""Storage classes through boto3: named in requests and answers, lying where the settings say, and changed by rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, read
from tests.server import Server, ServerOptions

BODY = b"0123456789abcdef" * 16_384
KEYS = [f"key-{number}" for number in range(6)]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("classes")
    return root / "fast", root / "archive"


@pytest.fixture(scope="module")
def classed_server(disks: tuple[Path, Path]) -> Iterator[Server]:
    fast, archive = disks
    settings = {
        "WEIR_STORAGE_CLASSES": f"STANDARD={fast},STANDARD_IA={archive},ICE={archive}",
        "WEIR_LIFECYCLE_DAY_S": "0.001",
        "WEIR_LIFECYCLE_INTERVAL_S": "1e6",
        "WEIR_LIFECYCLE_MIN_TRANSITION_BYTES": "1000",
    }
    running = Server(ServerOptions([fast, archive], workers=1, environment=settings))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def classed(classed_server: Server) -> S3Client:
    return connect(classed_server)


def bytes_on(disk: Path) -> int:
    """What lies in blobs on a disk, its own and others'."""
    paths = [*disk.glob("blobs/*/*"), *disk.glob("guests/*/*/*")]
    return sum(path.stat().st_size for path in paths) // len(BODY)


def test_unknown_class(client: S3Client, bucket: str) -> None:
    for name in ("GLACIER", "nonsense"):
        with pytest.raises(ClientError) as caught:
            client.put_object(Bucket=bucket, Key="k", Body=b"", StorageClass=name)  # type: ignore[arg-type]
        assert code_of(caught.value) == "InvalidStorageClass"


def test_objects_lie_where_their_class_does(classed: S3Client, disks: tuple[Path, Path]) -> None:
    fast, archive = disks
    classed.create_bucket(Bucket="put")
    before = bytes_on(fast), bytes_on(archive)
    for key in KEYS:
        classed.put_object(Bucket="put", Key=key, Body=BODY)
        classed.put_object(Bucket="put", Key=f"cold {key}", Body=BODY, StorageClass="STANDARD_IA")
    assert (bytes_on(fast), bytes_on(archive)) == (before[0] + 6, before[1] + 6)
    for key in KEYS:
        assert read(classed, "put", key) == read(classed, "put", f"cold {key}") == BODY
        answer = classed.get_object(
            Bucket="put", Key=f"cold {key}", Range=f"bytes=16-{len(BODY) - 1}"
        )
        assert answer["Body"].read() == BODY[16:]
        assert answer["StorageClass"] == "STANDARD_IA"
    listed = {
        each["Key"]: each["StorageClass"]
        for each in classed.list_objects_v2(Bucket="put")["Contents"]
    }
    assert listed["key-0"] == "STANDARD"
    assert listed["cold key-0"] == "STANDARD_IA"
    for key in KEYS:
        source: Any = {"Bucket": "put", "Key": key}
        classed.copy_object(Bucket="put", Key=key, CopySource=source, StorageClass="STANDARD_IA")
        classed.copy_object(
            Bucket="put",
            Key=f"cold {key}",
            CopySource={"Bucket": "put", "Key": f"cold {key}"},
            StorageClass="STANDARD",
        )
        assert classed.head_object(Bucket="put", Key=key)["StorageClass"] == "STANDARD_IA"
        assert read(classed, "put", f"cold {key}") == BODY


def test_multipart_upload(classed: S3Client) -> None:
    classed.create_bucket(Bucket="parts")
    for key in KEYS[:3]:
        upload = classed.create_multipart_upload(
            Bucket="parts",
            Key=key,
            StorageClass="ICE",  # type: ignore[arg-type]
        )["UploadId"]
        part = classed.upload_part(
            Bucket="parts", Key=key, UploadId=upload, PartNumber=1, Body=BODY
        )
        classed.complete_multipart_upload(
            Bucket="parts",
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        answer = classed.get_object(Bucket="parts", Key=key)
        assert (answer["StorageClass"], answer["Body"].read()) == ("ICE", BODY)


def test_transition(classed: S3Client, classed_server: Server) -> None:
    classed.create_bucket(Bucket="moving")
    for key in KEYS:
        classed.put_object(Bucket="moving", Key=f"old/{key}", Body=BODY)
    classed.put_object(Bucket="moving", Key="kept", Body=BODY)
    classed.put_object(Bucket="moving", Key="old/tiny", Body=b"tiny")
    before = classed.head_object(Bucket="moving", Key="old/key-0")
    rule: Any = {
        "ID": "r",
        "Status": "Enabled",
        "Filter": {"Prefix": "old/"},
        "Transitions": [
            {"Days": 0, "StorageClass": "STANDARD_IA"},
            {"Days": 10**9, "StorageClass": "ICE"},
        ],
    }
    classed.put_bucket_lifecycle_configuration(
        Bucket="moving", LifecycleConfiguration={"Rules": [rule]}
    )
    job_id = classed_server.admin("job", "start", "lifecycle", "--bucket", "moving").stdout.strip()
    done = classed_server.admin("job", "wait", job_id, "--timeout", "60")
    assert "6 moved" in done.stdout
    for key in KEYS:
        answer = classed.get_object(Bucket="moving", Key=f"old/{key}")
        assert (answer["StorageClass"], answer["Body"].read()) == ("STANDARD_IA", BODY)
    after = classed.head_object(Bucket="moving", Key="old/key-0")
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])
    for key in ("kept", "old/tiny"):
        assert "StorageClass" not in classed.head_object(Bucket="moving", Key=key)
    found = classed_server.admin("doctor")
    assert "damage     none" in found.stdout


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    for classes, reason in (
        ("ICE", "STANDARD is missing"),
        ("STANDARD,STANDARD", "named twice"),
        ("STANDARD,ICE=/nowhere", "not one of the directories"),
        ("STANDARD,ice", "no name of a class"),
    ):
        options = ServerOptions([tmp_path / "data"], environment={"WEIR_STORAGE_CLASSES": classes})
        refused = Server(options).admin("config", is_checked=False)
        assert refused.returncode == 2
        assert reason in refused.stderr
