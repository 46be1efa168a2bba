"""Who may begin a job on many objects: for whoever does not own the bucket, each object counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.claims import Claims, Permission
from core.names import UserId
from core.types import Identity, User
from jobs.object_group import GroupRequest
from tests.native.fronts import ROOT, Fronts

OWNER = User(UserId("owner"), "owner", "Owner")
GUEST = User(UserId("guest"), "guest", "Guest")
STRANGER = User(UserId("stranger"), "stranger", "Stranger")
NAMES = ["mine/1", "mine/2", "open/1", "open/2", "open/3"]


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[Fronts]:
    opened = Fronts(tmp_path, [OWNER, GUEST, STRANGER])
    try:
        be(opened, OWNER)
        opened.ok("PUT", "/shared")
        for name in NAMES:
            opened.ok("PUT", f"/shared/{name}", b"1")
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": GUEST.user_id},
                    "Action": ["s3:GetObject", "s3:DeleteObject", "s3:PutObject"],
                    "Resource": "arn:aws:s3:::shared/open/*",
                }
            ],
        }
        opened.ok("PUT", "/shared?policy", json.dumps(policy).encode())
        be(opened, GUEST)
        opened.ok("PUT", "/guests")
        yield opened
    finally:
        opened.close()


def be(fronts: Fronts, user: User | None, claims: Claims | None = None) -> None:
    fronts.sender.identity = Identity(user, claims=claims)


def ask(fronts: Fronts, action: str, **value: Any) -> int:
    method = {"delete-listrange": "DELETE", "copy-listrange": "POST", "archive": "PUT"}[action]
    body = json.dumps({"action": action, "name": "", "value": value}).encode()
    return fronts.send(method, "/v1/buckets/shared?provider=ais", body).status_code


def begun(fronts: Fronts) -> GroupRequest:
    """What the last job that was begun is to do."""
    record = list(fronts.jobs.records.values())[-1]
    return GroupRequest.of_arguments(record.arguments)


DELETE, COPY, ARCHIVE = "delete-listrange", "copy-listrange", "archive"
TO_GUESTS = {"tobck": {"name": "guests", "provider": "ais"}}


def test_each_name_is_admitted(fronts: Fronts) -> None:
    assert ask(fronts, DELETE, objnames=["open/1", "open/2"]) == 200
    assert begun(fronts).selection.names == ["open/1", "open/2"]
    assert begun(fronts).user_id == GUEST.user_id
    assert ask(fronts, DELETE, objnames=["open/1", "mine/1"]) == 403
    assert ask(fronts, DELETE, objnames=["mine/1"], coer=True) == 403
    assert len(fronts.jobs.records) == 1


def test_ranges_are_fixed_to_what_was_admitted(fronts: Fronts) -> None:
    assert ask(fronts, DELETE, template="open/{1..99}") == 200
    selection = begun(fronts).selection
    assert (selection.names, selection.was_range) == (NAMES[2:], True)
    assert ask(fronts, DELETE, template="open/") == 200
    assert begun(fronts).selection.names == NAMES[2:]
    for template in ("", "mine/", "mine/{1..9}", "%01d"):
        assert ask(fronts, DELETE, template=template) == 403


def test_nobody_learns_what_is_absent(fronts: Fronts) -> None:
    be(fronts, STRANGER)
    for selection in (
        {"objnames": ["open/1"]},
        {"objnames": ["absent"]},
        {"template": "open/"},
        {"template": "absent/"},
        {"template": "absent/{1..3}"},
        {"template": ""},
    ):
        assert ask(fronts, DELETE, **selection) == 403
        assert ask(fronts, COPY, **selection, **TO_GUESTS) == 403
        assert ask(fronts, ARCHIVE, **selection, **TO_GUESTS, archname="s.tar") == 403
    be(fronts, None)
    assert ask(fronts, DELETE, template="open/") == 401
    assert not fronts.jobs.records


def test_copies_need_both_sides(fronts: Fronts) -> None:
    assert ask(fronts, COPY, template="open/", **TO_GUESTS) == 200
    assert begun(fronts).selection.names == NAMES[2:]
    assert ask(fronts, COPY, template="mine/", **TO_GUESTS) == 403
    # Into the shared bucket, the names of the copies decide.
    assert ask(fronts, COPY, template="open/", prepend="open/") == 200
    assert ask(fronts, COPY, template="open/", prepend="mine/") == 403
    be(fronts, OWNER)
    assert ask(fronts, COPY, template="", **TO_GUESTS) == 403


def test_a_bucket_is_made_only_by_who_may_read(fronts: Fronts) -> None:
    target = {"tobck": {"name": "made-by-guest", "provider": "ais"}}
    assert ask(fronts, COPY, template="mine/", **target) == 403
    assert fronts.send("HEAD", "/made-by-guest").status_code == 404
    assert ask(fronts, COPY, template="open/", **target) == 200
    assert fronts.send("HEAD", "/made-by-guest").status_code == 200


def test_archives_need_both_sides(fronts: Fronts) -> None:
    assert ask(fronts, ARCHIVE, template="open/", archname="s.tar", **TO_GUESTS) == 200
    assert ask(fronts, ARCHIVE, template="mine/", archname="s.tar", **TO_GUESTS) == 403
    assert ask(fronts, ARCHIVE, template="open/", archname="open/s.tar") == 200
    assert ask(fronts, ARCHIVE, template="open/", archname="mine/s.tar") == 403


def test_owners_and_root_are_admitted_as_a_whole(fronts: Fronts) -> None:
    be(fronts, OWNER)
    fronts.ok("DELETE", "/shared?policy")
    assert ask(fronts, DELETE, template="") == 200
    assert begun(fronts).selection.names is None
    target = {"tobck": {"name": "made-by-owner", "provider": "ais"}}
    assert ask(fronts, COPY, template="", **target) == 200
    assert begun(fronts).only_owners
    be(fronts, ROOT)
    assert ask(fronts, COPY, template="", **target) == 200
    assert not begun(fronts).only_owners


def test_tokens_need_the_permission(fronts: Fronts) -> None:
    be(fronts, OWNER, Claims("owner", cluster=Permission.LIST_OBJECTS | Permission.GET))
    fronts.ok("GET", "/v1/buckets/shared?provider=ais")
    assert ask(fronts, DELETE, template="open/") == 403
    be(fronts, OWNER, Claims("owner", cluster=Permission.DELETE_OBJECT))
    assert ask(fronts, DELETE, template="open/") == 200
    assert fronts.send("GET", "/v1/buckets/shared?provider=ais").status_code == 403


def test_conditions_on_prefixes_hold_for_native_listings(fronts: Fronts) -> None:
    be(fronts, OWNER)
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": GUEST.user_id},
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::shared",
                "Condition": {"StringLike": {"s3:prefix": "open/*"}},
            }
        ],
    }
    fronts.ok("PUT", "/shared?policy", json.dumps(policy).encode())
    be(fronts, GUEST)

    def listing(prefix: str, query: str = "") -> int:
        body = json.dumps({"action": "list", "value": {"prefix": prefix}}).encode()
        return fronts.send("GET", f"/v1/buckets/shared?provider=ais{query}", body).status_code

    assert listing("open/") == 200
    assert listing("mine/") == 403
    # What the query string says of it counts for nothing.
    assert listing("mine/", "&prefix=open/") == 403
    assert listing("open/", "&prefix=mine/") == 200
