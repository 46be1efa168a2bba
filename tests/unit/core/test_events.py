"""Event notifications: which rules overlap, which event a change is, and what is told of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core import events
from core.configs.notification import NotificationRule, RuleKind, find_overlap
from core.configs.versioning import Versioning
from core.events import Change, event_of, rules_for, with_origin
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.origin import LIFECYCLE, Origin
from core.types import Bucket, BucketProps, ObjectAttributes, ObjectInfo, User

OWNER = User(UserId("owner"), "owner", "Owner")


def rule(*names: str, prefix: str | None = None, suffix: str | None = None) -> NotificationRule:
    return NotificationRule("id", RuleKind.QUEUE, "arn", "hooks", names, prefix, suffix)


def bucket(*rules: NotificationRule, versioning: Versioning = Versioning.OFF) -> Bucket:
    props = BucketProps(notification_rules=rules, versioning=versioning)
    return Bucket(BucketRef(BucketName("bucket")), 1, OWNER, 1, props=props)


def info(key: str = "key") -> ObjectInfo:
    return ObjectInfo(ObjectKey(key), 3, "ab", 1, ObjectAttributes(storage_class="COLD"))


CREATED, PUT, COPY = "s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectCreated:Copy"


@pytest.mark.parametrize(
    ("one", "other", "event"),
    [
        (rule(PUT), rule(COPY), ""),
        (rule(PUT), rule(PUT), PUT),
        (rule(CREATED), rule(COPY), COPY),
        (rule(CREATED, prefix="a"), rule(PUT, prefix="b"), ""),
        (rule(CREATED, prefix="a"), rule(PUT, prefix="ab"), PUT),
        (rule(PUT, prefix="a", suffix="x"), rule(PUT, prefix="a", suffix="y"), ""),
        (rule(PUT, prefix="a", suffix="x"), rule(PUT, suffix="yx"), PUT),
        (rule(PUT, suffix="x"), rule(PUT, prefix="a"), PUT),
        (rule("s3:Replication:*"), rule("s3:Replication:OperationNotTracked"), "s3:Replication:"),
    ],
)
def test_overlap(one: NotificationRule, other: NotificationRule, event: str) -> None:
    for pair in ((one, other), (other, one)):
        found = find_overlap(pair)
        assert found.startswith(event) and bool(found) == bool(event)


@pytest.mark.parametrize(
    ("operation", "change", "event"),
    [
        ("PutObject", Change.CREATED, "s3:ObjectCreated:Put"),
        ("PostObject", Change.CREATED, "s3:ObjectCreated:Post"),
        ("CopyObject", Change.CREATED, "s3:ObjectCreated:Copy"),
        ("DeleteObjects", Change.REMOVED, "s3:ObjectRemoved:Delete"),
        ("DeleteObject", Change.MARKED, "s3:ObjectRemoved:DeleteMarkerCreated"),
        ("DeleteObjectTagging", Change.UPDATED, "s3:ObjectTagging:Delete"),
        ("PutObjectAcl", Change.UPDATED, "s3:ObjectAcl:Put"),
        ("PutObjectLegalHold", Change.UPDATED, ""),
        (LIFECYCLE.operation, Change.REMOVED, "s3:LifecycleExpiration:Delete"),
        (LIFECYCLE.operation, Change.MARKED, "s3:LifecycleExpiration:DeleteMarkerCreated"),
        (LIFECYCLE.operation, Change.CREATED, "s3:LifecycleTransition"),
        (LIFECYCLE.operation, Change.UPDATED, "s3:LifecycleTransition"),
    ],
)
def test_event_of(operation: str, change: Change, event: str) -> None:
    assert event_of(Origin(operation), change) == event


def test_with_origin_only_where_somebody_is_told() -> None:
    silent, told = bucket(), bucket(rule(PUT))
    assert with_origin(silent, LIFECYCLE) is silent
    assert with_origin(told, LIFECYCLE).origin is LIFECYCLE
    assert with_origin(told, LIFECYCLE) == told


def test_rules_for() -> None:
    one, two = rule(CREATED, prefix="in/", suffix=".x"), rule("s3:LifecycleTransition")
    made = bucket(one, two)
    assert rules_for(made, PUT, "in/a.x") == [one]
    assert rules_for(made, PUT, "in/a.y") == []
    assert rules_for(made, PUT, "out/a.x") == []
    assert rules_for(made, "s3:LifecycleTransition", "any") == [two]
    # A type of one word has no family.
    assert rules_for(made, "", "any") == []


def test_message_of_a_transition() -> None:
    made = with_origin(bucket(rule("s3:LifecycleTransition")), LIFECYCLE)
    text = events.message(made, rule(), "s3:LifecycleTransition", info(), 10**18)
    (record,) = json.loads(text)["Records"]
    assert record["eventVersion"] == "2.3"
    assert record["eventTime"] == "2001-09-09T01:46:40.000Z"
    assert record["lifecycleEventData"] == {
        "transitionEventData": {"destinationStorageClass": "COLD"}
    }


def test_message_names_versions_where_there_are_any() -> None:
    made = with_origin(bucket(rule(PUT), versioning=Versioning.SUSPENDED), Origin("PutObject"))
    text = events.message(made, rule(), PUT, info("a+b c/d"), 255)
    described = json.loads(text)["Records"][0]["s3"]["object"]
    assert described == {
        "key": "a%2Bb+c/d",
        "size": 3,
        "eTag": "ab",
        "versionId": "null",
        "sequencer": "00000000000000FF",
    }


def test_message_of_a_delete_marker() -> None:
    made = with_origin(bucket(rule(PUT), versioning=Versioning.ENABLED), Origin("DeleteObject"))
    marker = replace(info(), size_bytes=0, etag="", version_id="v1", is_delete_marker=True)
    text = events.message(made, rule(), "s3:ObjectRemoved:DeleteMarkerCreated", marker, 1)
    described = json.loads(text)["Records"][0]["s3"]["object"]
    assert described == {"key": "key", "versionId": "v1", "sequencer": "0000000000000001"}
