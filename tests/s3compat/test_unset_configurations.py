"""What buckets never have: it reads as unset, as on AWS, and setting it is refused clearly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, status_of

FEATURES = ("analytics", "metrics", "inventory", "intelligent_tiering")


def _refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return status_of(caught.value), code_of(caught.value)


@pytest.mark.parametrize("feature", FEATURES)
def test_list_configurations_is_empty(client: S3Client, bucket: str, feature: str) -> None:
    reply = getattr(client, f"list_bucket_{feature}_configurations")(Bucket=bucket)
    assert reply["IsTruncated"] is False
    assert not any(name.endswith("ConfigurationList") for name in reply)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("verb", ["get", "delete"])
def test_one_configuration_is_absent(
    client: S3Client, bucket: str, feature: str, verb: str
) -> None:
    call = getattr(client, f"{verb}_bucket_{feature}_configuration")
    assert _refused(call, Bucket=bucket, Id="mine") == (404, "NoSuchConfiguration")


def test_put_configurations_are_refused(client: S3Client, bucket: str) -> None:
    refused = (501, "NotImplemented")
    assert refused == _refused(
        client.put_bucket_metrics_configuration,
        Bucket=bucket,
        Id="mine",
        MetricsConfiguration={"Id": "mine"},
    )
    assert refused == _refused(
        client.put_bucket_intelligent_tiering_configuration,
        Bucket=bucket,
        Id="mine",
        IntelligentTieringConfiguration={
            "Id": "mine",
            "Status": "Enabled",
            "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}],
        },
    )
    for status in ("Enabled", "Suspended"):
        assert refused == _refused(
            client.put_bucket_accelerate_configuration,
            Bucket=bucket,
            AccelerateConfiguration={"Status": status},
        )
    assert refused == _refused(
        client.put_bucket_replication,
        Bucket=bucket,
        ReplicationConfiguration={
            "Role": "arn:aws:iam::1:role/r",
            "Rules": [
                {"Status": "Enabled", "Prefix": "", "Destination": {"Bucket": "arn:aws:s3:::b"}}
            ],
        },
    )


def test_get_accelerate_is_empty(client: S3Client, bucket: str) -> None:
    assert "Status" not in client.get_bucket_accelerate_configuration(Bucket=bucket)


def test_replication_is_not_found(client: S3Client, bucket: str) -> None:
    answer = _refused(client.get_bucket_replication, Bucket=bucket)
    assert answer == (404, "ReplicationConfigurationNotFoundError")
    reply = client.delete_bucket_replication(Bucket=bucket)
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_get_object_torrent_is_not_found(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="movie", Body=b"film")
    assert _refused(client.get_object_torrent, Bucket=bucket, Key="movie") == (404, "NoSuchKey")


def test_unset_configurations_of_missing_bucket(client: S3Client) -> None:
    answer = _refused(client.list_bucket_metrics_configurations, Bucket="no-such-bucket-at-all")
    assert answer == (404, "NoSuchBucket")


def test_unset_configurations_are_not_for_others(other_client: S3Client, bucket: str) -> None:
    answer = _refused(other_client.get_bucket_replication, Bucket=bucket)
    assert answer == (403, "AccessDenied")
