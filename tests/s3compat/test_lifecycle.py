"""Lifecycle rules through boto3: configurations, the headers that foretell, and what `weir job` makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, list_keys
from tests.server import Server, ServerOptions

RULE: dict[str, Any] = {"ID": "r", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
LATER = 10**9
"""Days that are not over yet, with a day of a millisecond."""


def put_rules(client: S3Client, bucket: str, *rules: dict[str, Any]) -> None:
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": [{**RULE, **rule} for rule in rules]},  # type: ignore[misc]
    )


def without(rule: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in {**RULE, **rule}.items() if key != name}


def test_put_get_delete_bucket_lifecycle(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert code_of(caught.value) == "NoSuchLifecycleConfiguration"
    rules = [
        {**RULE, "ID": "one", "Filter": {"Prefix": "log/"}},
        {
            "ID": "two",
            "Status": "Disabled",
            "Filter": {
                "And": {
                    "Prefix": "p",
                    "Tags": [{"Key": "k", "Value": "v"}],
                    "ObjectSizeGreaterThan": 500,
                    "ObjectSizeLessThan": 64000,
                }
            },
            "Transitions": [{"Days": 0, "StorageClass": "REDUCED_REDUNDANCY"}],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 3},
        },
        {
            "ID": "three",
            "Status": "Enabled",
            "Filter": {"Tag": {"Key": "k", "Value": "v"}},
            "Expiration": {"Date": datetime(2030, 1, 1, tzinfo=UTC)},
        },
    ]
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": rules},  # type: ignore[typeddict-item]
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )
    answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert answer["Rules"] == rules
    assert answer["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    client.delete_bucket_lifecycle(Bucket=bucket)
    client.delete_bucket_lifecycle(Bucket=bucket)


def test_put_bucket_lifecycle_refused(client: S3Client, bucket: str) -> None:
    for code, rule in (
        ("InvalidArgument", {"Expiration": {"Days": 0}}),
        ("MalformedXML", {"Status": "enabled"}),
        ("InvalidArgument", {"Expiration": {"Date": datetime(2030, 1, 1, 5, tzinfo=UTC)}}),
        ("InvalidStorageClass", {"Transitions": [{"Days": 0, "StorageClass": "NOWHERE"}]}),
        ("MalformedXML", {"Filter": {"Prefix": "a", "ObjectSizeLessThan": 5}}),
    ):
        with pytest.raises(ClientError) as caught:
            put_rules(client, bucket, rule)
        assert code_of(caught.value) == code
    with pytest.raises(ClientError) as caught:
        client.put_bucket_lifecycle_configuration(
            Bucket=bucket,
            LifecycleConfiguration={"Rules": [without({}, "Expiration")]},  # type: ignore[list-item]
        )
    assert code_of(caught.value) == "InvalidRequest"


def test_put_bucket_lifecycle_of_another_owner(
    client: S3Client, other_client: S3Client, bucket: str
) -> None:
    with pytest.raises(ClientError) as caught:
        put_rules(other_client, bucket, {})
    assert code_of(caught.value) == "AccessDenied"
    with pytest.raises(ClientError) as caught:
        client.get_bucket_lifecycle_configuration(Bucket=bucket, ExpectedBucketOwner="1" * 12)
    assert code_of(caught.value) == "AccessDenied"


def expiry_of(answer: Any) -> datetime:
    date, rule = answer["Expiration"].split(", rule-id=")
    assert rule == '"r"'
    return datetime.strptime(date, 'expiry-date="%a, %d %b %Y %H:%M:%S GMT"').replace(tzinfo=UTC)


def test_expiration_header(client: S3Client, bucket: str) -> None:
    put_rules(client, bucket, {"Filter": {"Prefix": "log"}, "Expiration": {"Days": 3}})
    # With the hour around midnight, the answers may be a day apart.
    now = datetime.now(UTC)
    dates = (
        expiry_of(client.put_object(Bucket=bucket, Key="log", Body=b"x")),
        expiry_of(client.get_object(Bucket=bucket, Key="log")),
        expiry_of(client.head_object(Bucket=bucket, Key="log")),
        expiry_of(client.copy_object(Bucket=bucket, Key="log2", CopySource=f"{bucket}/log")),
    )
    for date in dates:
        assert timedelta(days=3) < date - now < timedelta(days=4, hours=1)
        assert (date.hour, date.minute, date.second) == (0, 0, 0)
    client.put_object(Bucket=bucket, Key="other", Body=b"x")
    assert "Expiration" not in client.head_object(Bucket=bucket, Key="other")


def test_abort_headers(client: S3Client, bucket: str) -> None:
    rule = without({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}, "Expiration")
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": [rule]},  # type: ignore[list-item]
    )
    created = client.create_multipart_upload(Bucket=bucket, Key="k")
    listed = client.list_parts(Bucket=bucket, Key="k", UploadId=created["UploadId"])
    assert created["AbortRuleId"] == listed["AbortRuleId"] == "r"
    assert created["AbortDate"] == listed["AbortDate"]


# --- the job, with a day of a millisecond


@pytest.fixture(scope="module")
def fast_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("lifecycle") / "data"
    options = ServerOptions(
        [data],
        workers=1,
        environment={"WEIR_LIFECYCLE_DAY_S": "0.001", "WEIR_LIFECYCLE_INTERVAL_S": "1e6"},
    )
    running = Server(options)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def fast(fast_server: Server) -> S3Client:
    return connect(fast_server)


@pytest.fixture
def run_job(fast_server: Server) -> Callable[[str], dict[str, Any]]:
    """Runs the job for a bucket to its end, and gives its status."""

    def run(bucket: str) -> dict[str, Any]:
        job_id = fast_server.admin("job", "start", "lifecycle", "--bucket", bucket).stdout.strip()
        fast_server.admin("job", "wait", job_id, "--timeout", "60")
        status = fast_server.admin("job", "status", job_id, "--json").stdout
        found: dict[str, Any] = json.loads(status)
        return found

    return run


def versions(client: S3Client, bucket: str) -> list[str]:
    answer = client.list_object_versions(Bucket=bucket)
    return sorted(
        [f"{v['Key']}:v" for v in answer.get("Versions", [])]
        + [f"{m['Key']}:m" for m in answer.get("DeleteMarkers", [])]
    )


def test_expiration(fast: S3Client, run_job: Callable[[str], dict[str, Any]]) -> None:
    fast.create_bucket(Bucket="plain")
    for key in ("old/a", "old/b", "new/a", "tagged", "big"):
        fast.put_object(Bucket="plain", Key=key, Body=b"x" * (100_000 if key == "big" else 10))
    tags: Any = {"TagSet": [{"Key": "k", "Value": "v"}]}
    fast.put_object_tagging(Bucket="plain", Key="tagged", Tagging=tags)
    fast.create_multipart_upload(Bucket="plain", Key="old/upload")
    put_rules(
        fast,
        "plain",
        {
            "ID": "1",
            "Filter": {"Prefix": "old/"},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
        {"ID": "2", "Filter": {"Prefix": "new/"}, "Expiration": {"Days": LATER}},
        {"ID": "3", "Filter": {"Tag": {"Key": "k", "Value": "v"}}},
        {"ID": "4", "Filter": {"ObjectSizeGreaterThan": 50_000}},
    )
    status = run_job("plain")
    assert list_keys(fast, "plain") == ["new/a"]
    assert "Uploads" not in fast.list_multipart_uploads(Bucket="plain")
    assert status["counters"]["removed"] == status["objects"] == 4
    assert (status["counters"]["aborted"], status["bytes"]) == (1, 100_030)


def test_expiration_of_versions(fast: S3Client, run_job: Callable[[str], dict[str, Any]]) -> None:
    fast.create_bucket(Bucket="versioned", ObjectLockEnabledForBucket=True)
    for _ in range(4):
        fast.put_object(Bucket="versioned", Key="a", Body=b"x")
    held = fast.put_object(
        Bucket="versioned", Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON"
    )
    fast.put_object(Bucket="versioned", Key="held", Body=b"x")
    fast.delete_object(Bucket="versioned", Key="gone")
    rule = {
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1},
    }
    put_rules(fast, "versioned", rule)
    run_job("versioned")
    assert versions(fast, "versioned") == ["a:v", "a:v", "held:v", "held:v"]
    put_rules(fast, "versioned", {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    run_job("versioned")
    assert versions(fast, "versioned") == ["a:m", "a:v", "held:m", "held:v", "held:v"]
    run_job("versioned")
    assert versions(fast, "versioned") == ["a:m", "held:m", "held:v"]
    fast.get_object(Bucket="versioned", Key="held", VersionId=held["VersionId"])


def test_jobs_are_listed_and_stopped(fast_server: Server) -> None:
    listed = json.loads(fast_server.admin("job", "ls", "--all", "--json").stdout)
    assert all(job["kind"] == "lifecycle" for job in listed)
    unknown = fast_server.admin("job", "stop", "nothing", is_checked=False)
    assert unknown.returncode == 1
    assert "no job 'nothing'" in unknown.stderr
    no_bucket = fast_server.admin(
        "job", "start", "lifecycle", "--bucket", "nowhere", is_checked=False
    )
    assert "no bucket 'nowhere'" in no_bucket.stderr
