"""Owns the cases that tell what a bucket's features cost: small GETs and PUTs on buckets that differ in one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.cases import KIB, Case, wrk
from bench.clients import connect
from bench.fill import ensure_bucket, ensure_objects
from bench.samples import Sample
from bench.servers import EVENT_DESTINATION, Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Feature:
    """What makes a bucket differ from a plain one: `set_up` is given a client and the bucket's name."""

    name: str
    title: str
    set_up: Callable[[S3Client, str], object]


def _plain(_client: S3Client, _bucket: str) -> None:
    return


def _versioned(client: S3Client, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _policy(client: S3Client, bucket: str) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"NotIpAddress": {"aws:SourceIp": ["127.0.0.0/8", "::1/128"]}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def _lifecycle(client: S3Client, bucket: str) -> None:
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "tidy",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "Expiration": {"Days": 30},
                }
            ]
        },
    )


def _encrypted(client: S3Client, bucket: str) -> None:
    client.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )


def _logged(client: S3Client, bucket: str) -> None:
    target = f"{bucket}-logs"
    client.create_bucket(Bucket=target)
    client.put_bucket_acl(
        Bucket=target,
        GrantWrite='uri="http://acs.amazonaws.com/groups/s3/LogDelivery"',
        GrantReadACP='uri="http://acs.amazonaws.com/groups/s3/LogDelivery"',
    )
    client.put_bucket_logging(
        Bucket=bucket,
        BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "log/"}},
    )


def _notified(client: S3Client, bucket: str) -> None:
    """What the requests themselves pay: nobody listens at the destination, so messages gather."""
    client.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "QueueArn": f"arn:weir:sqs:us-east-1:{EVENT_DESTINATION}:webhook",
                    "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                }
            ]
        },
    )


FEATURES: Sequence[Feature] = (
    Feature("plain", "none", _plain),
    Feature("versioned", "versioning", _versioned),
    Feature("policy", "a bucket policy with a condition", _policy),
    Feature("lifecycle", "a lifecycle rule", _lifecycle),
    Feature("encrypted", "default encryption (SSE-S3)", _encrypted),
    Feature("logged", "server access logging", _logged),
    Feature("notified", "event notifications", _notified),
)


class FeatureCase(Case):
    """4 KiB objects of a bucket with one feature. Weir alone: what a feature adds shows between its own figures."""

    servers = ("weir",)
    max_rounds = 2
    _keys = 1000

    def __init__(self, method: str, feature: Feature) -> None:
        self.method = method
        self.feature = feature
        self.bucket = f"feature-{feature.name}-{method.lower()}"
        self.name = f"feature-{method.lower()}-{feature.name}"
        self.title = f"{method} 4 KiB, feature: {feature.title}"
        self._round = 0

    def prepare(self, server: Server) -> None:
        ensure_bucket(server, self.bucket)
        self.feature.set_up(connect(server), self.bucket)
        if self.method == "GET":
            keys = [f"{self.feature.name}/{n:04}" for n in range(self._keys)]
            ensure_objects(server, keys, 4 * KIB, self.bucket)

    def run(self, server: Server, seconds: float) -> Sample:
        if self.method == "GET":
            names = [f"{self.feature.name}/{n:04}" for n in range(self._keys)]
            targets = [server.target("GET", f"/{self.bucket}/{name}") for name in names]
            return wrk(server, "GET", targets, seconds, reply_bytes=4 * KIB)
        self._round += 1
        names = [f"{self._round:03}/{n:05}" for n in range(20 * self._keys)]
        targets = [server.target("PUT", f"/{self.bucket}/{name}") for name in names]
        return wrk(server, "PUT", targets, seconds, body_bytes=4 * KIB)


def feature_cases() -> list[Case]:
    """GETs, then PUTs, of every feature, the plain bucket first."""
    return [FeatureCase(method, feature) for method in ("GET", "PUT") for feature in FEATURES]
