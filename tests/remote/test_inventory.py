"""Native bucket inventories by unmodified clients: taken, shown, listed from with no backend call, replaced."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from aistore.sdk import Bucket, ListObjectFlag
from aistore.sdk.errors import AISError
from botocore.exceptions import ClientError

from tests.counterparts.started import S3Endpoint
from tests.remote.front import Front, start_front
from tests.remote.relay import Relay

NAMES = [f"dir-{number % 5}/k{number:03}" for number in range(30)]
WAIT_S = 60


@pytest.fixture(scope="module")
def relay(moto: S3Endpoint) -> Iterator[Relay]:
    """Between weir and moto, to see what is asked there."""
    started = Relay(moto.endpoint)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, relay: Relay, moto: S3Endpoint
) -> Iterator[Front]:
    behind = S3Endpoint(relay.endpoint, moto.keys, moto.region)
    started = start_front(tmp_path_factory.mktemp("watched"), behind)
    try:
        yield started
    finally:
        started.server.stop()


@pytest.fixture
def bucket(watched: Front) -> Bucket:
    name = watched.new_bucket()
    for key in NAMES:
        watched.put_there(name, key, b"content")
    return watched.bucket(name)


def take(front: Front, bucket: Bucket, **wanted: Any) -> str:
    job_id = bucket.create_inventory(**wanted)
    assert front.sdk.job(job_id).wait(timeout=WAIT_S).success
    return str(job_id)


def names(bucket: Bucket, **wanted: Any) -> list[str]:
    return [entry.name for entry in bucket.list_all_objects(**wanted)]


def test_listed_with_no_backend_call(watched: Front, relay: Relay, bucket: Bucket) -> None:
    job_id = take(watched, bucket, names_per_chunk=7)
    assert job_id.startswith("inv-")
    relay.requests.clear()
    flags = [ListObjectFlag.NBI]
    expected = sorted(NAMES)
    assert names(bucket, flags=flags) == expected
    assert names(bucket, flags=flags, page_size=5) == expected
    assert names(bucket, inventory_name=job_id) == expected
    inside = [name for name in expected if name.startswith("dir-3/")]
    assert names(bucket, flags=flags, prefix="dir-3/", page_size=4) == inside
    entries = list(bucket.list_objects_iter(inventory_name=job_id, page_size=11))
    assert [(entry.name, entry.size) for entry in entries] == [(name, 7) for name in expected]
    top = bucket.list_objects(flags=[*flags, ListObjectFlag.NO_RECURSION])
    assert [(entry.name, entry.flags) for entry in top.entries] == [
        (f"dir-{number}/", 256) for number in range(5)
    ]
    assert relay.requests == []


def test_what_is_here_is_told_as_of_now(watched: Front, bucket: Bucket) -> None:
    take(watched, bucket)
    key = sorted(NAMES)[3]
    bucket.object(key).get_reader().read_all()
    flags = [ListObjectFlag.NBI]
    page = bucket.list_objects(flags=flags, props="name,size,cached")
    assert [entry.name for entry in page.entries if entry.is_cached()] == [key]
    assert names(bucket, flags=[*flags, ListObjectFlag.CACHED]) == [key]


def test_an_inventory_is_shown(watched: Front, bucket: Bucket) -> None:
    assert bucket.show_inventory() == {}
    take(watched, bucket, name="shown", prefix="dir-1/", names_per_chunk=5)
    ((stored, info),) = bucket.show_inventory().items()
    assert stored == info.obj_name == f"aws/@#/{bucket.name}/shown"
    assert (info.name, info.bucket, info.prefix) == ("shown", f"s3://{bucket.name}", "dir-1/")
    assert (info.ntotal, info.chunks) == (6, 2)
    assert 0 < info.started < info.finished
    assert info.size > 0
    assert list(bucket.show_inventory(name="shown")) == [stored]
    assert bucket.show_inventory(name="other") == {}
    everywhere = watched.ask("GET", "/v1/buckets", json={"action": "show-inventory"}).json()
    assert stored in everywhere


def test_there_is_one_a_bucket(watched: Front, bucket: Bucket) -> None:
    take(watched, bucket, name="first")
    for wanted in ({"name": "second"}, {}):
        with pytest.raises(AISError) as caught:
            bucket.create_inventory(**wanted)
        assert caught.value.status_code == 409
    watched.put_there(bucket.name, "zzz", b"")
    assert "zzz" not in names(bucket, flags=[ListObjectFlag.NBI])
    take(watched, bucket, name="second", force=True)
    assert [info.name for info in bucket.show_inventory().values()] == ["second"]
    assert "zzz" in names(bucket, flags=[ListObjectFlag.NBI])
    bucket.destroy_inventory(name="second")
    assert bucket.show_inventory() == {}


def test_administrators_have_it_taken_anew(watched: Front, bucket: Bucket) -> None:
    take(watched, bucket, name="inv", prefix="dir-0/")
    watched.put_there(bucket.name, "dir-0/new", b"")
    command = ("job", "start", "create-inventory", "--bucket", f"aws://{bucket.name}")
    job_id = watched.server.admin(*command).stdout.split()[-1]
    assert watched.sdk.job(job_id).wait(timeout=WAIT_S).success
    ((_, info),) = bucket.show_inventory().items()
    assert (info.name, info.prefix, info.ntotal) == ("inv", "dir-0/", 7)
    assert "dir-0/new" in names(bucket, inventory_name="inv")


def test_several_on_demand(watched: Front, bucket: Bucket) -> None:
    for number in (1, 2):
        value = {"name": f"of-{number}", "prefix": f"dir-{number}/", "multi": True}
        job_id = bucket.make_request("post", "create-inventory", value=value).text
        assert watched.sdk.job(job_id).wait(timeout=WAIT_S).success
    assert sorted(info.name for info in bucket.show_inventory().values()) == ["of-1", "of-2"]
    flags = [ListObjectFlag.NBI]
    assert len(names(bucket, flags=flags, prefix="dir-2/")) == 6
    assert len(names(bucket, inventory_name="of-1")) == 6
    with pytest.raises(AISError) as caught:
        names(bucket, flags=flags)
    assert caught.value.status_code == 404
    bucket.destroy_inventory()
    assert bucket.show_inventory() == {}


def test_what_cannot_be(watched: Front, bucket: Bucket) -> None:
    with pytest.raises(AISError) as caught:
        names(bucket, flags=[ListObjectFlag.NBI])
    assert caught.value.status_code == 404
    assert "no inventory" in str(caught.value)
    with pytest.raises(AISError) as caught:
        bucket.destroy_inventory(name="absent")
    assert caught.value.status_code == 404
    for value in (
        {"names_per_chunk": 1},
        {"names_per_chunk": 640_001},
        {"name": "../x"},
        {"flags": "1"},
        {"start_after": "a"},
        {"props": "colour"},
        {"force": "yes"},
        {"prefix": 5},
        {"refresh": "soon"},
    ):
        with pytest.raises(AISError) as caught:
            bucket.make_request("post", "create-inventory", value=value)
        assert caught.value.status_code == 400, value
    local = watched.sdk.bucket(f"local-{secrets.token_hex(4)}").create()
    for ask in (local.create_inventory, lambda: local.list_objects(flags=[ListObjectFlag.NBI])):
        with pytest.raises(AISError) as caught:
            ask()
        assert caught.value.status_code in (400, 404)


def test_s3_clients_ask_by_a_header(watched: Front, relay: Relay, bucket: Bucket) -> None:
    asked = {"Ais-Bucket-Inventory": "true"}

    def add(params: dict[str, Any], **_: object) -> None:
        params["headers"].update(asked)

    s3 = watched.s3
    s3.meta.events.register("before-call.s3.ListObjectsV2", add)
    try:
        with pytest.raises(ClientError) as caught:
            s3.list_objects_v2(Bucket=bucket.name)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        take(watched, bucket, name="inv")
        truth: Any = watched.there.list_objects_v2(Bucket=bucket.name)["Contents"]
        relay.requests.clear()
        asked["Ais-Inv-Name"] = "inv"
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket.name, PaginationConfig={"PageSize": 9}
        )
        found: list[Any] = [each for page in pages for each in page["Contents"]]
        seen = ("Key", "Size", "ETag", "LastModified", "StorageClass")
        assert [[each[n] for n in seen] for each in found] == [[e[n] for n in seen] for e in truth]
        top = s3.list_objects_v2(Bucket=bucket.name, Delimiter="/")
        assert [each["Prefix"] for each in top["CommonPrefixes"]] == [f"dir-{n}/" for n in range(5)]
        assert relay.requests == []
    finally:
        s3.meta.events.unregister("before-call.s3.ListObjectsV2", add)
