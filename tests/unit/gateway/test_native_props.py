"""Properties of buckets as native clients change them: what is kept, what is refused, what is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.claims import ALL_ACCESS
from core.configs.backend import BackendBinding
from core.configs.versioning import Versioning
from core.errors import InvalidArgument, StoreError
from core.names import BucketName, BucketRef, UserId, parse_native_bucket_name
from core.types import Bucket, BucketProps, User
from gateway.native import props
from gateway.native.bucket_names import check_new_bucket, ref_of_uname
from gateway.native.request import bucket_ref

OWNER = User(UserId("owner"), "owner", "owner")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=6,
)
section_names = st.sampled_from(["mirror", "ec", "lru", "access", "features", "weir", "extra"])


def shown(value: BucketProps) -> dict[str, Any]:
    return props.props_json(Bucket(BucketRef(BucketName("b")), 1, OWNER, 1, props=value))


@pytest.mark.parametrize(
    ("wanted", "path", "expected"),
    [
        ({"mirror": {"copies": "3"}}, ("mirror", "copies"), 3),
        ({"lru": {"dont_evict_time": "1h30m"}}, ("lru", "dont_evict_time"), "1h30m"),
        ({"chunks": {"chunk_size": 1048576}}, ("chunks", "chunk_size"), "1048576"),
        ({"chunks": {"chunk_size": "1.5MiB"}}, ("chunks", "chunk_size"), "1.5MiB"),
        ({"ec": {"disk_only": "TRUE"}}, ("ec", "disk_only"), True),
        ({"extra": {"aws": {"profile": "p"}}}, ("extra", "aws", "profile"), "p"),
        ({"extra": {"http": {"original_url": "u"}}}, ("extra", "http", "original_url"), "u"),
        (
            {"rate_limit": {"backend": {"enabled": True, "per_op_max_tokens": "get:5 DELETE:1"}}},
            ("rate_limit", "backend", "per_op_max_tokens"),
            "get:5 DELETE:1",
        ),
        ({"access": 5}, ("access",), "5"),
        ({"access": str(ALL_ACCESS)}, ("access",), str(ALL_ACCESS)),
        ({"weir": {"durability": "relaxed"}}, ("weir", "durability"), "relaxed"),
        ({"mirror": {"enabled": False}}, ("mirror", "enabled"), False),
        ({"force": True, "mirror": None}, ("mirror", "copies"), 2),
    ],
)
def test_change(wanted: dict[str, Any], path: tuple[str, ...], expected: object) -> None:
    found: Any = shown(props.changed(BucketProps(), wanted))
    for name in path:
        found = found[name]
    assert found == expected


def test_reset_leaves_what_s3_has_set() -> None:
    before = BucketProps(policy="{}", tags={"a": "b"})
    changed = props.changed(before, {"features": 1, "weir": {"durability": "relaxed"}})
    assert props.reset(changed) == before


@given(st.dictionaries(section_names | st.text(max_size=10), json_values, max_size=3))
def test_any_json_is_kept_or_refused(wanted: dict[str, Any]) -> None:
    try:
        found = props.changed(BucketProps(), wanted)
    except InvalidArgument as error:
        assert error.reason  # noqa: PT017  # either outcome is fine
        return
    assert set(shown(found)) == set(shown(BucketProps()))
    assert replace(found, native=BucketProps().native, durability="durable") == BucketProps()


@pytest.mark.parametrize(
    ("uname", "expected"),
    [
        ("ais/@#/b/", bucket_ref("b")),
        ("ais/@#mine/b/", bucket_ref("b", "ais", "#mine")),
        ("s3/@#/b", bucket_ref("b", "aws")),
        ("b", bucket_ref("b")),
    ],
)
def test_unames(uname: str, expected: BucketRef) -> None:
    assert ref_of_uname(uname) == expected


@pytest.mark.parametrize(
    "uname", ["", "/", "ais/b/", "ais/#/b/", "x/@#/b/", "ais/@#/b/c/d", "ais/@#//"]
)
def test_unames_that_are_none(uname: str) -> None:
    with pytest.raises(InvalidArgument):
        ref_of_uname(uname)


BOUND = BackendBinding(BucketRef(BucketName("far"), "aws"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"name": "far", "provider": "s3"}, BOUND),
        ({"name": "far", "provider": "aws", "namespace": {"uuid": "", "name": ""}}, BOUND),
        (
            {"name": "b", "provider": "gcp", "namespace": {"uuid": "", "name": "team"}},
            BackendBinding(BucketRef(BucketName("b"), "gcp", "@#team")),
        ),
        (
            {"name": "b", "provider": "ais", "namespace": "@other#"},
            BackendBinding(BucketRef(BucketName("b"), "ais", "@other#")),
        ),
        ({"name": ""}, None),
        ({}, None),
    ],
)
def test_binding(wanted: dict[str, Any], expected: BackendBinding | None) -> None:
    before = BucketProps(backend=BackendBinding(BucketRef(BucketName("other"), "aws"), "account"))
    assert props.changed(before, {"backend_bck": wanted}).backend == expected


def test_binding_keeps_its_account() -> None:
    before = BucketProps(backend=replace(BOUND, account="one"))
    again = {"backend_bck": {"name": "far", "provider": "aws"}}
    assert props.changed(before, again).backend == replace(BOUND, account="one")
    both = {"weir": {"account": "two"}, **again}
    assert props.changed(BucketProps(), both).backend == replace(BOUND, account="two")


def test_bucket_of_a_provider_is_bound_to_itself() -> None:
    ref = BOUND.bucket
    before = BucketProps(backend=BOUND)
    assert props.changed(before, {"backend_bck": {"name": ""}}, ref) == before
    with pytest.raises(InvalidArgument):
        props.changed(before, {"backend_bck": {"name": "x", "provider": "gcp"}}, ref)
    assert props.props_json(Bucket(ref, 1, OWNER, 1, props=before))["backend_bck"]["name"] == ""


def test_buckets_with_versions_are_not_bound() -> None:
    before = BucketProps(versioning=Versioning.ENABLED)
    with pytest.raises(InvalidArgument):
        props.changed(before, {"backend_bck": {"name": "far", "provider": "aws"}})


def test_reset_leaves_a_bucket_where_it_lives() -> None:
    before = props.changed(
        BucketProps(backend=BOUND), {"extra": {"aws": {"endpoint": "http://x"}, "custom": "y"}}
    )
    after = props.reset(before)
    assert after.backend == BOUND
    assert after.native.sections == {"extra.aws.endpoint": '"http://x"'}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"backend_bck": {"name": ""}}, True),
        ({"weir": {"account": "x"}}, True),
        ({"extra": {"aws": {"endpoint": "http://x"}}}, True),
        ({"extra": {"aws": {"profile": "p"}}, "features": 1}, True),
        ({"extra": {"http": {"original_url": "http://x"}}}, True),
        ({"extra": {"custom": "x"}}, False),
        ({"features": 1, "weir": {"durability": "relaxed"}}, False),
        ({"extra": None}, False),
        (None, False),
    ],
)
def test_what_uses_credentials(wanted: Any, expected: bool) -> None:
    assert props.uses_backends(wanted) is expected


@pytest.mark.parametrize(
    "ref",
    [
        bucket_ref(".sys-inventory", "aws"),
        bucket_ref("b", "aws", "@uuid#"),
        bucket_ref("b", "ais", "@a/b#"),
        bucket_ref("b", "ais", "#" + "x" * 33),
        bucket_ref("b", "ais", "#a/b"),
        bucket_ref("..", "ais"),
        bucket_ref("b\n", "ais"),
        bucket_ref("ä", "ais"),
    ],
)
def test_buckets_that_cannot_be_made(ref: BucketRef) -> None:
    with pytest.raises(StoreError):
        check_new_bucket(ref)


@given(st.text(max_size=70))
def test_native_names_are_safe_in_paths(text: str) -> None:
    try:
        name = parse_native_bucket_name(text)
    except StoreError:
        return
    assert name.isascii()
    assert "/" not in name
    assert name not in (".", "..", "v1", "s3", "-")
