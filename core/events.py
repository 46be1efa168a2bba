"""Owns the events of a bucket: which one a change is, which rules tell of it, and the message that does. Pure.

Source: AWS, Event message structure. A change is of a bucket that was given an `origin`; that is done, by whoever makes
the change, only for a bucket that has notification rules, so that others pay nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from urllib.parse import quote_plus

from core.configs.notification import NotificationRule
from core.configs.versioning import Versioning
from core.origin import LIFECYCLE, Origin
from core.types import NULL_VERSION, Bucket, ObjectInfo

TEST_EVENT = "s3:TestEvent"

_NS_PER_MS = 10**6


class Change(Enum):
    """What became of a key. CREATED: a version was written; REMOVED: one is gone for good; MARKED: a delete marker was
    made; UPDATED: something of a version changed that is not its bytes."""

    CREATED = "created"
    REMOVED = "removed"
    MARKED = "marked"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A message that waits for delivery. `place` and `event_id` name it; of one `subject`, lower ids go first."""

    place: int
    event_id: int
    subject: bytes
    message: bytes


_CREATED = {
    "PostObject": "s3:ObjectCreated:Post",
    "CopyObject": "s3:ObjectCreated:Copy",
    "CompleteMultipartUpload": "s3:ObjectCreated:CompleteMultipartUpload",
}
_UPDATED = {
    "PutObjectTagging": "s3:ObjectTagging:Put",
    "DeleteObjectTagging": "s3:ObjectTagging:Delete",
    "PutObjectAcl": "s3:ObjectAcl:Put",
    "PutObjectRetention": "s3:ObjectRetention:Put",
}
# Messages about what S3 began to tell of later carry a later version of their structure.
_LATER = ("s3:Lifecycle", "s3:ObjectTagging", "s3:ObjectAcl", "s3:ObjectRetention")


def with_origin(bucket: Bucket, origin: Origin) -> Bucket:
    """The bucket for a change by `origin`: itself, if nobody is to be told."""
    return replace(bucket, origin=origin) if bucket.props.notification_rules else bucket


def event_of(origin: Origin, change: Change) -> str:
    """The event type of a change; "" for one that S3 has no event for."""
    is_lifecycle = origin.operation == LIFECYCLE.operation
    match change:
        case Change.CREATED:
            return (
                "s3:LifecycleTransition"
                if is_lifecycle
                else _CREATED.get(origin.operation, "s3:ObjectCreated:Put")
            )
        case Change.REMOVED:
            return "s3:LifecycleExpiration:Delete" if is_lifecycle else "s3:ObjectRemoved:Delete"
        case Change.MARKED:
            family = "LifecycleExpiration" if is_lifecycle else "ObjectRemoved"
            return f"s3:{family}:DeleteMarkerCreated"
        case Change.UPDATED:
            return "s3:LifecycleTransition" if is_lifecycle else _UPDATED.get(origin.operation, "")


def rules_for(bucket: Bucket, event: str, key: str) -> Sequence[NotificationRule]:
    """The rules that tell of an event."""
    return [rule for rule in bucket.props.notification_rules if rule.wants(event, key)]


def message(
    bucket: Bucket, rule: NotificationRule, event: str, info: ObjectInfo, sequencer: int
) -> bytes:
    """What a destination is sent. `info`: the version the event is about; `sequencer` grows with each of a key."""
    origin = bucket.origin
    assert origin is not None, "only a change with an origin is told"
    record: dict[str, Any] = {
        "eventVersion": "2.3" if event.startswith(_LATER) else "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region or origin.region,
        "eventTime": _time_text(sequencer),
        "eventName": event.removeprefix("s3:"),
        "userIdentity": {"principalId": origin.requester},
        "requestParameters": {"sourceIPAddress": origin.source_address},
        "responseElements": {"x-amz-request-id": origin.request_id, "x-amz-id-2": origin.host_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule.rule_id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": bucket.owner.user_id},
                "arn": f"arn:aws:s3:::{bucket.name}",
            },
            "object": _object(bucket, event, info, sequencer),
        },
    }
    if event == "s3:LifecycleTransition":
        transition = {"destinationStorageClass": info.attributes.storage_class}
        record["lifecycleEventData"] = {"transitionEventData": transition}
    return _encode({"Records": [record]})


def _object(bucket: Bucket, event: str, info: ObjectInfo, sequencer: int) -> dict[str, Any]:
    described: dict[str, Any] = {"key": quote_plus(info.key, safe="/")}
    if not info.is_delete_marker and not event.endswith((":Delete", ":DeleteMarkerCreated")):
        described["size"] = info.size_bytes
    if info.etag and not event.endswith("Removed:Delete"):
        described["eTag"] = info.etag
    if bucket.props.versioning is not Versioning.OFF or info.version_id != NULL_VERSION:
        described["versionId"] = info.version_id
    described["sequencer"] = f"{sequencer:016X}"
    return described


def test_message(bucket: Bucket, origin: Origin, now_ns: int) -> bytes:
    """What a destination is sent when it is configured (AWS: Event message structure, test message)."""
    return _encode(
        {
            "Service": "Amazon S3",
            "Event": TEST_EVENT,
            "Time": _time_text(now_ns),
            "Bucket": bucket.name,
            "RequestId": origin.request_id,
            "HostId": origin.host_id,
        }
    )


def _time_text(time_ns: int) -> str:
    second, rest_ns = divmod(time_ns, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{rest_ns // _NS_PER_MS:03d}Z"


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
