"""The outboxes: a message for each change that was kept and none for others, in order, over restarts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.configs.notification import NotificationRule, RuleKind
from core.configs.versioning import Versioning
from core.deletion import DeleteItem
from core.errors import PreconditionFailed
from core.events import PendingEvent, with_origin
from core.origin import Origin
from core.types import (
    Bucket,
    BucketProps,
    Conditions,
    ObjectChanges,
)
from tests.unit.storage.box import BUCKET, Box, key, opened
from tests.unit.storage.versioned import run

EVERYTHING = (
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:ObjectTagging:*",
)


def told(
    operation: str = "PutObject",
    versioning: Versioning = Versioning.OFF,
    destinations: tuple[str, ...] = ("hooks",),
) -> Bucket:
    rules = tuple(
        NotificationRule(name, RuleKind.QUEUE, "arn", name, EVERYTHING) for name in destinations
    )
    props = BucketProps(versioning=versioning, notification_rules=rules)
    return with_origin(replace(BUCKET, props=props), Origin(operation))


async def waiting(box: Box, destination: str = "hooks") -> list[dict[str, Any]]:
    pending = await box.node.outbox.pending(destination, 1000)
    return [json.loads(each.message)["Records"][0] for each in pending]


async def names(box: Box) -> list[str]:
    return [record["eventName"] for record in await waiting(box)]


def test_changes_leave_word(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as box:
            await box.put("small", b"x", bucket=told())
            await box.put("large", b"x" * 5000, bucket=told())
            await box.node.copy(
                BUCKET, key("large"), told("CopyObject"), key("copy"), owner_id=None
            )
            await box.node.update_object(
                told("PutObjectTagging"), key("copy"), ObjectChanges(tags={"a": "b"})
            )
            await box.node.delete(told("DeleteObject"), key("copy"))
            await box.node.delete(told("DeleteObject"), key("absent"))
            records = await waiting(box)
            assert [(each["eventName"], each["s3"]["object"]["key"]) for each in records] == [
                ("ObjectCreated:Put", "small"),
                ("ObjectCreated:Put", "large"),
                ("ObjectCreated:Copy", "copy"),
                ("ObjectTagging:Put", "copy"),
                ("ObjectRemoved:Delete", "copy"),
            ]
            sizes = [each["s3"]["object"].get("size") for each in records]
            assert sizes == [1, 5000, 5000, 5000, None]

    run(check())


def test_versions_leave_word(tmp_path: Path) -> None:
    async def check() -> None:
        bucket = told("DeleteObject", Versioning.ENABLED)
        async with opened(tmp_path) as box:
            await box.put("k", b"x", bucket=bucket)
            info = await box.node.head(bucket, key("k"))
            marked = await box.node.delete(bucket, key("k"))
            await box.node.delete(bucket, key("k"), version_id=info.version_id)
            records = await waiting(box)
            assert [(each["eventName"], each["s3"]["object"]["versionId"]) for each in records] == [
                ("ObjectCreated:Put", info.version_id),
                ("ObjectRemoved:DeleteMarkerCreated", marked.version_id),
                ("ObjectRemoved:Delete", info.version_id),
            ]

    run(check())


def test_what_was_refused_leaves_none(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", b"x")
            with pytest.raises(PreconditionFailed):
                await box.put("k", b"y", bucket=told(), conditions=Conditions(if_none_match=("*",)))
            items = [
                DeleteItem(key("k"), conditions=Conditions(if_match=("other",))),
                DeleteItem(key("gone")),
            ]
            await box.node.delete_many(told("DeleteObjects"), items)
            assert await waiting(box) == []

    run(check())


def test_buckets_without_rules_leave_none(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", b"x", bucket=with_origin(BUCKET, Origin("PutObject")))
            assert box.rows("SELECT count(*) FROM outbox") == [(0,)]

    run(check())


def test_messages_stay_until_they_are_forgotten(tmp_path: Path) -> None:
    async def check() -> None:
        bucket = told(destinations=("one", "two"))
        async with opened(tmp_path, mountpaths=2) as box:
            for number in range(16):
                await box.put(f"k{number}", b"x", bucket=bucket)
            await box.node.announce(bucket, {"one": b'{"a":1}'})
        async with opened(tmp_path, mountpaths=2) as box:
            assert await box.node.outbox.backlog() == {"one": 17, "two": 16}
            first = await box.node.outbox.pending("one", 3)
            await box.node.outbox.forget(first)
            assert await box.node.outbox.backlog() == {"one": 17 - len(first), "two": 16}
            rest = await box.node.outbox.pending("one", 100)
            assert not set(map(_id, first)) & set(map(_id, rest))
            assert {each.place for each in (*first, *rest)} == {0, 1}
            for place in (0, 1):
                ids = [each.event_id for each in (*first, *rest) if each.place == place]
                assert ids == sorted(ids)

    run(check())


def _id(event: PendingEvent) -> tuple[int, int]:
    return event.place, event.event_id
