"""Copies of what moto has are given up, by the SDK, by hand, and from the command line; moto keeps it all."""

from __future__ import annotations

import time

import pytest
from aistore.sdk.errors import InvalidBckProvider

from tests.native.jobs import succeeded
from tests.remote.front import Front

NAMES = [f"d/k{number}" for number in range(6)]


def fill(front: Front, bucket: str) -> None:
    """Objects at the provider, read once, so that copies are here."""
    for name in NAMES:
        front.put_there(bucket, name, name.encode())
        assert front.bucket(bucket).object(name).get_reader().read_all() == name.encode()


def cached(front: Front, bucket: str) -> list[str]:
    entries = front.bucket(bucket).list_all_objects(props="name,cached")
    return [entry.name for entry in entries if entry.is_cached()]


def test_by_list_template_and_prefix(front: Front, remote: str) -> None:
    fill(front, remote)
    bucket = front.bucket(remote)
    assert cached(front, remote) == NAMES
    snapshot = succeeded(front.sdk, bucket.objects(obj_names=NAMES[:2]).evict())
    assert snapshot.stats.objects == 2
    assert cached(front, remote) == NAMES[2:]
    succeeded(front.sdk, bucket.objects(obj_template="d/k{2..3}").evict())
    assert cached(front, remote) == NAMES[4:]
    succeeded(front.sdk, bucket.objects(obj_template="d/").evict())
    assert cached(front, remote) == []
    assert [entry.name for entry in bucket.list_all_objects()] == NAMES
    assert front.read_there(remote, NAMES[0]) == NAMES[0].encode()
    assert bucket.object(NAMES[0]).get_reader().read_all() == NAMES[0].encode()


def test_one_object(front: Front, remote: str) -> None:
    fill(front, remote)
    path = f"/v1/objects/{remote}/{NAMES[0]}?provider=aws"
    message = {"action": "evict-listrange", "name": "", "value": None}
    assert front.ask("DELETE", path, json=message).status_code == 200
    assert cached(front, remote) == NAMES[1:]
    assert front.read_there(remote, NAMES[0]) == NAMES[0].encode()
    assert front.ask("DELETE", path, json=message).status_code == 200


def test_a_whole_bucket(front: Front, remote: str) -> None:
    fill(front, remote)
    bucket = front.bucket(remote)
    bucket.evict(keep_md=True)
    assert cached(front, remote) == []
    assert remote in [each.name for each in front.sdk.cluster().list_buckets("aws")]
    fill(front, remote)
    path = f"/v1/buckets/{remote}?provider=aws&keep_bck_md=False"
    reply = front.ask("DELETE", path, json={"action": "evict-remote-bck"})
    assert reply.text.startswith("rmmd-")
    listed = front.ask("GET", "/v1/buckets?provider=aws&presence=2", json={"action": "list"})
    assert remote not in [each["name"] for each in listed.json()]
    assert front.read_there(remote, NAMES[0]) == NAMES[0].encode()


def test_buckets_of_our_own_are_refused(front: Front) -> None:
    bucket = front.sdk.bucket("our-own").create(exist_ok=True)
    with pytest.raises(InvalidBckProvider):
        bucket.objects(obj_names=["k"]).evict()
    for action, value in (
        ("evict-remote-bck", None),
        ("evict-listrange", {"template": ""}),
    ):
        reply = front.ask("DELETE", "/v1/buckets/our-own", json={"action": action, "value": value})
        assert reply.status_code == 400, reply.text
    reply = front.ask("DELETE", "/v1/objects/our-own/k", json={"action": "evict-listrange"})
    assert reply.status_code == 400


def test_from_the_command_line(front: Front, remote: str) -> None:
    fill(front, remote)
    words = ("--bucket", f"aws://{remote}", "--template", "d/k{0..1}")
    job_id = front.server.admin("job", "start", "evict-listrange", *words).stdout.strip()
    front.server.admin("job", "wait", job_id)
    deadline = time.monotonic() + 10
    while cached(front, remote) != NAMES[2:]:
        assert time.monotonic() < deadline
