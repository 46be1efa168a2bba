"""Buckets as the SDK makes, lists, describes and destroys them, and as S3 sees them beside it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import (
    AISError,
    ErrBckAlreadyExists,
    ErrBckNotFound,
    InvalidBckProvider,
)
from aistore.sdk.namespace import Namespace
from aistore.sdk.provider import Provider
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of
from tests.server import Server

GET, HEAD_OBJECT, PUT = 1, 2, 4
ALL_ACCESS = str(2**64 - 1)


def fresh_name() -> str:
    return f"test-{secrets.token_hex(6)}"


def props_of(bucket: Bucket) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bucket.head()["Ais-Bucket-Props"])
    return found


def set_props(bucket: Bucket, value: dict[str, Any]) -> None:
    bucket.make_request("patch", "set-bprops", value=value)


def fill(bucket: Bucket, *names: str, data: bytes = b"a dozen byte") -> None:
    for name in names:
        bucket.object(name).get_writer().put_content(data)


# --- create and destroy --------------------------------------------------------------------------------------------


def test_create_and_delete(client: Client, s3: S3Client) -> None:
    bucket = client.bucket(fresh_name())
    with pytest.raises(ErrBckNotFound):
        bucket.delete()
    bucket.delete(missing_ok=True)
    bucket.create()
    with pytest.raises(ErrBckAlreadyExists):
        bucket.create()
    bucket.create(exist_ok=True)
    s3.head_bucket(Bucket=bucket.name)
    fill(bucket, "k")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket.name)
    assert code_of(caught.value) == "BucketNotEmpty"
    bucket.delete()
    with pytest.raises(ErrBckNotFound):
        bucket.object("k").get_reader().read_all()
    bucket.create()
    with pytest.raises(AISError):
        bucket.object("k").head()
    s3.delete_bucket(Bucket=bucket.name)


@pytest.mark.parametrize("name", ["Upper_Case.x", "a", "_" * 64])
def test_names_that_s3_would_not_take(client: Client, name: str) -> None:
    bucket = client.bucket(name).create()
    fill(bucket, "k")
    assert bucket.object("k").get_reader().read_all() == b"a dozen byte"
    bucket.delete()


@pytest.mark.parametrize(
    "name",
    [
        "*",
        ".",
        "",
        " ",
        "bucket/badname",
        "bucket and name",
        "#badname",
        "$badname",
        "~badname",
        "a..b",
        "x" * 65,
        ".hidden",
        ".sys-other",
        *("v1", "s3", "gs", "az", "oc", "ais", "aws", "gcp", "azure", "oci", "-"),
    ],
)
def test_names_that_are_none(client: Client, name: str) -> None:
    with pytest.raises(AISError) as caught:
        client.bucket(name).create()
    assert 400 <= caught.value.status_code < 500


def test_providers_that_are_not_reached(client: Client) -> None:
    with pytest.raises(InvalidBckProvider):
        client.bucket(fresh_name(), Provider.AMAZON).create()
    bucket = client.bucket(fresh_name(), Provider.AMAZON)
    with pytest.raises(AISError) as caught:
        bucket.make_request("post", "create-bck")
    assert 400 <= caught.value.status_code < 500
    for ask in (bucket.head, bucket.list_objects, bucket.evict):
        with pytest.raises(AISError) as caught:
            ask()
        assert 400 <= caught.value.status_code < 500


def test_evict_of_an_ais_bucket(bucket: Bucket) -> None:
    with pytest.raises(InvalidBckProvider):
        bucket.evict()
    fill(bucket, "k")
    with pytest.raises(AISError) as caught:
        bucket.make_request("delete", "evict-remote-bck")
    assert caught.value.status_code == 400
    assert bucket.object("k").get_reader().read_all() == b"a dozen byte"


def test_bucket_under_object_lock_is_not_destroyed(client: Client, s3: S3Client) -> None:
    name = fresh_name()
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    version = s3.put_object(Bucket=name, Key="k", Body=b"kept")["VersionId"]
    with pytest.raises(AISError) as caught:
        client.bucket(name).delete()
    assert caught.value.status_code == 403
    s3.delete_object(Bucket=name, Key="k", VersionId=version)
    client.bucket(name).delete()


def test_namespaces_are_apart(client: Client, s3: S3Client, bucket: Bucket) -> None:
    other = client.bucket(bucket.name, namespace=Namespace(name="mine")).create()
    try:
        fill(other, "k", data=b"theirs")
        fill(bucket, "k", data=b"ours")
        assert other.object("k").get_reader().read_all() == b"theirs"
        assert s3.get_object(Bucket=bucket.name, Key="k")["Body"].read() == b"ours"
        found = [each for each in client.cluster().list_buckets() if each.name == bucket.name]
        assert sorted(each.namespace.name for each in found) == ["", "mine"]
        names = [each["Name"] for each in s3.list_buckets()["Buckets"]]
        assert names.count(bucket.name) == 1
    finally:
        other.delete()


# --- list ----------------------------------------------------------------------------------------------------------


def test_list(client: Client, make_bucket: Callable[[], Bucket]) -> None:
    made = {make_bucket().name for _ in range(2)}
    for provider in (Provider.AIS, "ais", ""):
        found = client.cluster().list_buckets(provider)
        assert made <= {each.name for each in found}
        assert [each.name for each in found] == sorted(each.name for each in found)
    assert client.cluster().list_buckets(Provider.AMAZON) == []


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_no_bucket_named(server: Server, http: requests.Session, method: str) -> None:
    body = {"action": "create-bck", "name": "", "value": None}
    reply = http.request(method, f"{server.endpoint}/v1/buckets/", json=body, timeout=10)
    assert reply.status_code == 400
    assert reply.headers["Content-Type"] == "application/json"


# --- properties ----------------------------------------------------------------------------------------------------


def test_head(bucket: Bucket) -> None:
    props = props_of(bucket)
    assert props["provider"] == "ais"
    assert (props["access"], props["features"]) == (ALL_ACCESS, "0")
    assert int(props["created"]) > 10**18
    assert int(props["bid"]) > 0
    assert not props["mirror"]["enabled"]
    assert not props["ec"]["enabled"]
    with pytest.raises(AISError) as caught:
        Bucket("absent", bucket.client).head()
    assert caught.value.status_code == 404


def test_props_are_changed_section_by_section(bucket: Bucket) -> None:
    before = props_of(bucket)
    set_props(bucket, {"features": "4096", "mirror": {"copies": 3}, "lru": {"batch_size": "100"}})
    set_props(
        bucket, {"weir": {"shard_view": True, "index_shards": True}, "extra": {"custom": "x"}}
    )
    props = props_of(bucket)
    assert props["features"] == "4096"
    assert props["mirror"] == {**before["mirror"], "copies": 3}
    assert props["lru"] == {**before["lru"], "batch_size": 100}
    assert props["extra"]["custom"] == "x"
    assert props["weir"]["shard_view"]
    assert props["weir"]["index_shards"]
    assert props["ec"] == before["ec"]
    bucket.make_request("patch", "reset-bprops")
    assert props_of(bucket) == before


@pytest.mark.parametrize(
    "value",
    [
        {"mirror": {"enabled": True, "copies": 2}},
        {"ec": {"enabled": True}},
        {"lru": {"enabled": True}},
        {"backend_bck": {"name": "x", "provider": "ais"}},
        {"backend_bck": {"name": "x", "provider": "nimbus"}},
        {"backend_bck": {"name": "../x", "provider": "aws"}},
        {"backend_bck": "x"},
        {"weir": {"account": "x"}},
        {"features": str(1 << 11 | 1 << 12)},
        {"checksum": {"type": "sha512"}},
        {"versioning": {"enabled": False}},
        {"mirror": {"copies": "many"}},
        {"mirror": {"copies": -1}},
        {"mirror": {"nonsense": 1}},
        {"lru": {"dont_evict_time": "soon"}},
        {"chunks": {"chunk_size": "big"}},
        {"access": "-1"},
        {"access": str(2**64)},
        {"features": "x"},
        {"weir": {"durability": "none"}},
        {"weir": {"shard_view": "maybe"}},
        {"weir": []},
        {"nonsense": {}},
        {"nonsense": 1},
        {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}},
        [],
        "text",
        None,
    ],
)
def test_props_that_are_refused(bucket: Bucket, value: Any) -> None:
    before = props_of(bucket)
    with pytest.raises(AISError) as caught:
        set_props(bucket, value)
    assert caught.value.status_code == 400
    assert props_of(bucket) == before


def test_backend_may_be_detached(bucket: Bucket) -> None:
    set_props(bucket, {"backend_bck": {"name": "", "provider": ""}, "force": True})


def test_create_with_props(client: Client) -> None:
    bucket = client.bucket(fresh_name())
    bucket.make_request("post", "create-bck", value={"features": "2"})
    try:
        assert props_of(bucket)["features"] == "2"
    finally:
        bucket.delete()


def test_access_holds_for_both_fronts(bucket: Bucket, s3: S3Client) -> None:
    fill(bucket, "k")
    set_props(bucket, {"access": str(GET | HEAD_OBJECT)})
    assert bucket.object("k").get_reader().read_all() == b"a dozen byte"
    assert s3.get_object(Bucket=bucket.name, Key="k")["Body"].read() == b"a dozen byte"
    writes: tuple[Callable[[], object], ...] = (
        lambda: fill(bucket, "k"),
        lambda: bucket.object("k").delete(),
        bucket.list_objects,
        bucket.delete,
    )
    for write in writes:
        with pytest.raises(AISError) as refused:
            write()
        assert refused.value.status_code == 403
    asked: tuple[Callable[[], object], ...] = (
        lambda: s3.put_object(Bucket=bucket.name, Key="k", Body=b"x"),
        lambda: s3.delete_object(Bucket=bucket.name, Key="k"),
        lambda: s3.list_objects_v2(Bucket=bucket.name),
        lambda: s3.delete_bucket(Bucket=bucket.name),
    )
    for request in asked:
        with pytest.raises(ClientError) as caught:
            request()
        assert code_of(caught.value) == "AccessDenied"
    set_props(bucket, {"access": ALL_ACCESS})
    fill(bucket, "k", data=b"changed")
    assert s3.get_object(Bucket=bucket.name, Key="k")["Body"].read() == b"changed"


# --- summary and info ----------------------------------------------------------------------------------------------


def test_summary(bucket: Bucket) -> None:
    fill(bucket, "p/1", "p/2", "other", data=b"x" * 7)
    fill(bucket, "p/3", data=b"y" * 100)
    found = bucket.summary()
    assert (found["name"], found["provider"]) == (bucket.name, "ais")
    assert found["ObjCount"] == {"obj_count_present": "4", "obj_count_remote": "0"}
    assert found["ObjSize"] == {"obj_min_size": 7, "obj_avg_size": 30, "obj_max_size": 100}
    assert found["TotalSize"]["size_all_present_objs"] == "121"
    assert int(found["TotalSize"]["total_disks_size"]) > 121
    assert found["used_pct"] == 0
    assert found["is_present"]
    assert bucket.summary(prefix="p/")["ObjCount"]["obj_count_present"] == "3"
    assert bucket.summary(prefix="nothing")["TotalSize"]["size_all_present_objs"] == "0"


def test_summary_of_more_than_a_page(bucket: Bucket, s3: S3Client) -> None:
    for number in range(1005):
        s3.put_object(Bucket=bucket.name, Key=f"{number:04}", Body=b"1")
    assert bucket.summary()["ObjCount"]["obj_count_present"] == "1005"


def test_info(bucket: Bucket) -> None:
    fill(bucket, "p/1", "p/2", "p-3")
    props, found = bucket.info(prefix="p/")
    assert json.loads(props)["features"] == "0"
    assert (found["name"], found["provider"]) == (bucket.name, "ais")
    assert found["ObjCount"]["obj_count_present"] == "2"
    assert found["TotalSize"]["size_all_present_objs"] == "24"


def test_summary_that_is_none(client: Client, bucket: Bucket) -> None:
    with pytest.raises(ErrBckNotFound):
        client.bucket(fresh_name()).summary()
    for job_id in ("nonsense", "x" * 500):
        with pytest.raises(AISError) as caught:
            bucket.make_request("get", "summary-bck", value={"uuid": job_id, "prefix": ""})
        assert caught.value.status_code == 404
    wrong: tuple[dict[str, Any], ...] = ({"uuid": 1}, {"prefix": []}, {"prefix": "x" * 2000})
    for value in wrong:
        with pytest.raises(AISError) as caught:
            bucket.make_request("get", "summary-bck", value={"uuid": "", **value})
        assert caught.value.status_code == 400
