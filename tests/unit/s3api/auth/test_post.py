"""POST forms: parsing in any pieces, signatures of both versions, policies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import HmacV1PostAuth, S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import EntityTooLarge
from core.names import AccessKey
from core.types import ANONYMOUS, ChecksumAlgorithm, Identity
from s3api.auth.errors import (
    AccessDenied,
    BadDigest,
    InvalidAccessKeyId,
    InvalidPolicyDocument,
    InvalidPostField,
    InvalidToken,
    MalformedPostRequest,
    PostFieldsTooLarge,
    PostTooSmall,
    SignatureDoesNotMatch,
)
from s3api.auth.post_form import PostForm, read_post_form
from s3api.auth.post_policy import verify_post
from tests.unit.s3api.auth.support import (
    ACCESS_KEY,
    ALICE,
    BOTO_CREDENTIALS,
    SETTINGS,
    Arriving,
    OneKey,
    read,
)

CONTENT_TYPE = "multipart/form-data; boundary=BOUNDARY"
FILE = ("file", "bar", "a.txt")
Fields = list[tuple[str, str] | tuple[str, str, str]]


def encode(fields: Fields) -> bytes:
    parts = []
    for name, value, *filename in fields:
        named = f'; filename="{filename[0]}"' if filename else ""
        parts.append(
            f'--BOUNDARY\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n{value}\r\n'
        )
    return "".join([*parts, "--BOUNDARY--\r\n"]).encode()


def read_form(raw: bytes, size_bytes: int = 1 << 20) -> PostForm:
    arriving = [raw[at : at + size_bytes] for at in range(0, len(raw), size_bytes)]
    return asyncio.run(read_post_form(Arriving(arriving), CONTENT_TYPE))


def contents(form: PostForm) -> bytes:
    return asyncio.run(read(form.file))


# --- the form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 7, 64, 1 << 20])
@given(data=st.text(st.sampled_from("\r\n-BOUNDARYx"), max_size=60))
def test_form_in_any_pieces(size_bytes: int, data: str) -> None:
    raw = encode([("Key", "dir/${filename}"), ("x-amz-meta-ü", "ü"), ("file", data, r"C:\u\ü.txt")])
    form = read_form(raw, size_bytes)
    assert form.fields == {"key": "dir/ü.txt", "x-amz-meta-ü": "ü"}
    assert form.filename == "ü.txt"
    assert form.file.size_bytes is None
    assert contents(form) == data.encode()


def test_fields_after_the_file_are_ignored() -> None:
    form = read_form(encode([("key", "k"), FILE, ("acl", "public-read"), FILE]))
    assert contents(form) == b"bar"
    assert form.fields == {"key": "k"}


def test_empty_file_without_name() -> None:
    form = read_form(encode([("key", "${filename}k"), ("file", "")]))
    assert form.fields["key"] == "k"
    assert contents(form) == b""


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", MalformedPostRequest),
        (b"key=k&file=bar", MalformedPostRequest),
        (encode([("key", "k")]), InvalidPostField),
        (encode([("acl", "private"), FILE]), InvalidPostField),
        (encode([FILE, ("key", "k")]), InvalidPostField),
        (encode([("key", "k"), ("KEY", "l"), FILE]), InvalidPostField),
        (encode([("key", "k")])[:-5], MalformedPostRequest),
        (encode([("key", "k" * 20_481), FILE]), PostFieldsTooLarge),
        (encode([(f"field-{n}", "v" * 90) for n in range(200)]), PostFieldsTooLarge),
        (encode([("key", "K"), FILE]).replace(b"K", b"\xff"), MalformedPostRequest),
        (encode([("key", "k"), FILE]).replace(b"name=", b"nom="), MalformedPostRequest),
        (encode([("key", "k"), ("x-amz-checksum-sha256", "sailorjerry"), FILE]), BadDigest),
    ],
)
def test_bad_forms(raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_form(raw)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 999],
)
def test_bad_content_types(content_type: str) -> None:
    with pytest.raises(MalformedPostRequest):
        asyncio.run(read_post_form(Arriving([encode([("key", "k"), FILE])]), content_type))


def test_truncated_file() -> None:
    raw = encode([("key", "k"), FILE])
    for cut in range(raw.index(b"bar"), len(raw) - 4):
        form = read_form(raw[:cut])
        with pytest.raises(MalformedPostRequest):
            contents(form)


def test_checksum_field() -> None:
    digest = base64.b64encode(hashlib.sha256(b"bar").digest()).decode()
    form = read_form(encode([("key", "k"), ("x-amz-checksum-sha256", digest), FILE]))
    assert form.file.wanted_checksum is ChecksumAlgorithm.SHA256
    assert form.file.expected_algorithms() == ("sha256",)
    assert form.file.expected_digests()[0].source == "checksum"


# --- who posts, and what -----------------------------------------------------------------------------------------


def policy_of(*conditions: Any, **document: Any) -> dict[str, Any]:
    return {
        "expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60)),
        "conditions": [{"bucket": "b"}, ["starts-with", "$key", "foo"], *conditions],
        **document,
    }


def signed(
    signer: Any, policy: dict[str, Any], fields: dict[str, str], data: str = "bar"
) -> PostForm:
    """A form as botocore's signers make it."""
    made: Any = AWSRequest(method="POST", url="http://h/b")
    made.context["s3-presign-post-fields"] = dict(fields)
    made.context["s3-presign-post-policy"] = policy
    signer.add_auth(made)
    signed_fields: dict[str, str] = made.context["s3-presign-post-fields"]
    return read_form(encode([*signed_fields.items(), ("file", data, "foo.txt")]))


SIGNERS: list[Callable[[], Any]] = [
    lambda: S3SigV4PostAuth(BOTO_CREDENTIALS, "s3", "us-east-1"),
    lambda: HmacV1PostAuth(BOTO_CREDENTIALS),
]
each_signer = pytest.mark.parametrize("signer", SIGNERS)


def verify(form: PostForm, bucket: str = "b") -> Identity:
    return verify_post(form, OneKey(), time.time_ns(), SETTINGS, bucket)


def test_anonymous() -> None:
    assert verify(read_form(encode([("key", "k"), ("acl", "public-read"), FILE]))) is ANONYMOUS


@each_signer
@pytest.mark.parametrize("key", ["foo", "foo${filename}", r"foo\$"])
def test_signed(signer: Callable[[], Any], key: str) -> None:
    form = signed(signer(), policy_of(["content-length-range", 0, 3]), {"key": key})
    assert verify(form) == Identity(ALICE, AccessKey(ACCESS_KEY))
    assert contents(form) == b"bar"


@each_signer
def test_field_names_and_operators_ignore_case(signer: Callable[[], Any]) -> None:
    policy = policy_of({"aCl": "private"}, ["StArTs-WiTh", "$CoNtEnT-TyPe", "text/"])
    form = signed(
        signer(), policy, {"kEy": "foo", "ACL": "private", "Content-Type": "text/plain,text/html"}
    )
    assert verify(form).user == ALICE


@each_signer
def test_free_fields(signer: Callable[[], Any]) -> None:
    fields = {"key": "foo", "x-ignore-a": "b", "x-amz-checksum-crc32": "AAAAAA=="}
    assert verify(signed(signer(), policy_of(), fields)).user == ALICE


@each_signer
@pytest.mark.parametrize(
    ("conditions", "fields"),
    [
        ([], {"key": "bar"}),
        ([], {"key": "Foo"}),
        ([], {"key": "foo", "acl": "private"}),
        ([{"acl": "private"}], {"key": "foo"}),
        ([{"acl": "private"}], {"key": "foo", "acl": "public-read"}),
        ([["starts-with", "$x-amz-meta-foo", "bar"]], {"key": "foo"}),
        ([["eq", "$x-amz-meta-foo", ""]], {"key": "foo", "x-amz-meta-foo": "barclamp"}),
        (
            [["starts-with", "$content-type", "text/"]],
            {"key": "foo", "content-type": "text/a,image/b"},
        ),
    ],
)
def test_policy_fails(
    signer: Callable[[], Any], conditions: list[Any], fields: dict[str, str]
) -> None:
    with pytest.raises(AccessDenied):
        verify(signed(signer(), policy_of(*conditions), fields))


@each_signer
def test_wrong_bucket(signer: Callable[[], Any]) -> None:
    with pytest.raises(AccessDenied):
        verify(signed(signer(), policy_of(), {"key": "foo", "bucket": "b"}), bucket="other")


@each_signer
def test_expired(signer: Callable[[], Any]) -> None:
    policy = policy_of(expiration="2020-01-01T00:00:00.000Z")
    with pytest.raises(AccessDenied) as caught:
        verify(signed(signer(), policy, {"key": "foo"}))
    assert caught.value.message == "Invalid according to Policy: Policy expired."


@each_signer
@pytest.mark.parametrize(
    "change",
    [
        {"expiration": "2030-01-01 00:00:00+00:00"},
        {"expiration": "2030-13-01T00:00:00Z"},
        {"expiration": None},
        {"expiration": 7},
        *(
            {"conditions": [{"bucket": "b"}, ["starts-with", "$key", "foo"], condition]}
            for condition in (
                {},
                {"a": "b", "c": "d"},
                {"a": 1},
                [],
                ["eq", "$key"],
                ["eq", "key", "foo"],
                ["eq", "$key", 1],
                ["matches", "$key", "foo"],
                [1, 2, 3],
                "eq",
                ["content-length-range", 0],
                ["content-length-range", -1, 0],
                ["content-length-range", True, 1],
                ["content-length-range", 0, 1.5],
            )
        ),
    ],
)
def test_malformed_policy(signer: Callable[[], Any], change: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicyDocument):
        verify(signed(signer(), policy_of(**change), {"key": "foo"}))


def v2_form(policy: bytes, **fields: str) -> PostForm:
    signer = HmacV1PostAuth(BOTO_CREDENTIALS)
    encoded = base64.b64encode(policy).decode()
    all_fields = {
        "key": "foo",
        "AWSAccessKeyId": ACCESS_KEY,
        "policy": encoded,
        "signature": signer.sign_string(encoded),
        **fields,
    }
    return read_form(encode([*all_fields.items(), FILE]))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"CONDITIONS": []}']
)
def test_policy_that_is_no_document(text: bytes) -> None:
    with pytest.raises(InvalidPolicyDocument):
        verify(v2_form(text))


def test_policy_may_escape_a_dollar() -> None:
    text = json.dumps(policy_of(["starts-with", "$x-amz-meta-a", "DOLLAR"]))
    form = v2_form(text.replace("DOLLAR", r"\$x\u0041").encode(), **{"x-amz-meta-a": "$xA"})
    assert verify(form).user == ALICE


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"AWSAccessKeyId": "foo"}, InvalidAccessKeyId),
        ({"signature": "foo"}, SignatureDoesNotMatch),
        ({"signature": "é"}, SignatureDoesNotMatch),
        ({"x-amz-security-token": "t"}, InvalidToken),
    ],
)
def test_bad_v2_credentials(changes: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        verify(v2_form(json.dumps(policy_of()).encode(), **changes))


@pytest.mark.parametrize("missing", ["policy", "signature", "AWSAccessKeyId"])
def test_missing_v2_fields(missing: str) -> None:
    fields = {"key": "foo", "policy": "e30=", "signature": "x", "AWSAccessKeyId": ACCESS_KEY}
    del fields[missing]
    with pytest.raises(InvalidPostField):
        verify(read_form(encode([*fields.items(), FILE])))


SCOPE = "20130524/us-east-1/s3/aws4_request"
V4_FIELDS = {
    "key": "foo",
    "policy": "e30=",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": f"{ACCESS_KEY}/{SCOPE}",
    "x-amz-date": "20130524T000000Z",
    "x-amz-signature": "x",
}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, SignatureDoesNotMatch),
        *(({name: None}, InvalidPostField) for name in list(V4_FIELDS)[1:]),
        ({"x-amz-algorithm": "AWS4-ECDSA-P256-SHA256"}, InvalidPostField),
        ({"x-amz-credential": ACCESS_KEY}, InvalidPostField),
        ({"x-amz-credential": f"foo/{SCOPE}"}, InvalidAccessKeyId),
        ({"x-amz-date": "today"}, InvalidPostField),
        ({"x-amz-date": "20130525T000000Z"}, InvalidPostField),
    ],
)
def test_bad_v4_credentials(changes: dict[str, str | None], error: type[Exception]) -> None:
    fields = {**V4_FIELDS, **changes}
    with pytest.raises(error):
        verify(read_form(encode([*((k, v) for k, v in fields.items() if v is not None), FILE])))


@pytest.mark.parametrize(
    ("sizes", "error"),
    [
        ((0, 0), EntityTooLarge),
        ((0, 2), EntityTooLarge),
        ((4, 9), PostTooSmall),
        (("4", "9"), PostTooSmall),
    ],
)
def test_size_range(sizes: tuple[Any, Any], error: type[Exception]) -> None:
    policy = policy_of(["content-length-range", *sizes])
    form = signed(SIGNERS[0](), policy, {"key": "foo"})
    verify(form)
    with pytest.raises(error):
        contents(form)


def test_size_ranges_add_up() -> None:
    for data, error in (("b" * 3, PostTooSmall), ("b" * 10, EntityTooLarge), ("b" * 9, None)):
        # A new one each time: signing adds the time to it.
        policy = policy_of(["content-length-range", 0, 9], ["content-length-range", 4, 99])
        form = signed(SIGNERS[0](), policy, {"key": "foo"}, data)
        verify(form)
        if error is None:
            assert contents(form) == data.encode()
        else:
            with pytest.raises(error):
                contents(form)
