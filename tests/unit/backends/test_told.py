"""Bucket notifications of buckets that live elsewhere: every change is told of once, with a copy here or without."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.configs.notification import NotificationRule, RuleKind
from core.errors import OutOfSpace
from core.origin import Origin
from core.types import ObjectChanges
from tests.unit.backends.through import THERE, Place, run_in
from tests.unit.storage.box import PLAIN, Body, key

EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*")
RULE = NotificationRule("rule", RuleKind.QUEUE, "arn", "hook", EVENTS)
TOLD = replace(
    THERE,
    props=replace(THERE.props, notification_rules=(RULE,)),
    origin=Origin("PutObject"),
)


async def told(place: Place) -> list[tuple[str, str]]:
    """The events that wait, as (name, key), and then no more."""
    pending = await place.node.outbox.pending("hook", 100)
    await place.node.outbox.forget(pending)
    records = [json.loads(each.message)["Records"][0] for each in pending]
    return [(record["eventName"], record["s3"]["object"]["key"]) for record in records]


async def no_room(*_: Any, **__: Any) -> Any:
    raise OutOfSpace(mountpath="m", retry_after_s=1)


def test_each_change_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(place: Place) -> None:
        cached = place.cached
        await cached.put(TOLD, key("k"), Body(b"data"), attributes=PLAIN)
        assert await told(place) == [("ObjectCreated:Put", "k")]
        place.backend.place("there", "cold", b"data")
        copying = replace(TOLD, origin=Origin("CopyObject"))
        await cached.copy(THERE, key("cold"), copying, key("copy"))
        assert await told(place) == [("ObjectCreated:Copy", "copy")]
        tagging = replace(TOLD, origin=Origin("PutObjectTagging"))
        for name in ("k", "cold"):
            await cached.update_object(tagging, key(name), ObjectChanges(tags={"a": "1"}))
            assert await told(place) == [("ObjectTagging:Put", name)]
        for name in ("k", "cold"):
            await cached.delete(TOLD, key(name))
            assert await told(place) == [("ObjectRemoved:Delete", name)]
        await cached.delete(TOLD, key("absent"))
        assert await told(place) == []
        monkeypatch.setattr(place.node, "stage", no_room)
        await cached.put(TOLD, key("past"), Body(b"data"), attributes=PLAIN)
        assert await told(place) == [("ObjectCreated:Put", "past")]

    run_in(tmp_path, work)
