"""Signature version 2 against AWS's published examples and botocore's signers."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from s3api.auth.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidAuthArgument,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from s3api.call import Request
from tests.unit.s3api.auth.support import (
    ACCESS_KEY,
    ALICE,
    BOTO_CREDENTIALS,
    authenticate,
    request,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
queries = st.dictionaries(
    st.sampled_from(
        ["acl", "uploadId", "partNumber", "prefix", "response-content-type", "versionId", "x"]
    ),
    texts,
    max_size=4,
)
header_sets = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-acl", "content-type", "content-md5"]), values
)
# 2007-03-27 19:36:42 GMT, of AWS's examples.
EXAMPLE_NS = 1_175_024_202 * 1_000_000_000


def signed_by(
    signer: Any, method: str, key: str, query: dict[str, str], headers: dict[str, str]
) -> Request:
    path = "/bucket/" + quote(key, safe="/-_.~")
    text = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in query.items())
    url = f"http://127.0.0.1:9000{path}" + (f"?{text}" if text else "")
    made: Any = AWSRequest(method=method, url=url, headers=headers, data=b"")
    signer.add_auth(made)
    return request(method, made.url, dict(made.headers.items()))


@given(key=texts, query=queries, headers=header_sets)
def test_botocore_header(key: str, query: dict[str, str], headers: dict[str, str]) -> None:
    asked = signed_by(HmacV1Auth(BOTO_CREDENTIALS), "PUT", key, query, headers)
    assert authenticate(asked, time.time_ns()).identity.user == ALICE
    asked.raw_path += b"x"
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(asked, time.time_ns())


@given(key=texts, query=queries, headers=header_sets)
def test_botocore_query(key: str, query: dict[str, str], headers: dict[str, str]) -> None:
    signer = HmacV1QueryAuth(BOTO_CREDENTIALS, expires=60)
    asked = signed_by(signer, "GET", key, query, headers)
    # A presigned URL is followed without the headers that it carries.
    asked.headers = {"host": "127.0.0.1:9000"}
    assert authenticate(asked, time.time_ns()).identity.user == ALICE
    assert {name: asked.headers[name] for name in headers} == headers
    with pytest.raises(AccessDenied):
        authenticate(asked, time.time_ns() + 61_000_000_000)


@pytest.mark.parametrize(
    "added",
    ["retention", "legal-hold", "%72etention", "encryption", "publicAccessBlock", "attributes"],
)
def test_nobody_makes_another_operation_of_a_presigned_url(added: str) -> None:
    """None of these is signed: who was given a URL to put an object with could lock what is there."""
    signer = HmacV1QueryAuth(BOTO_CREDENTIALS, expires=60)
    made: Any = AWSRequest(method="PUT", url="http://127.0.0.1:9000/bucket/key", data=b"")
    signer.add_auth(made)
    url = made.url + "&"
    assert authenticate(request("PUT", url, {}), time.time_ns()).identity.user == ALICE
    assert (
        authenticate(request("PUT", url + "list-type=2", {}), time.time_ns()).identity.user == ALICE
    )
    with pytest.raises(AccessDenied):
        authenticate(request("PUT", url + added, {}), time.time_ns())


def test_aws_example_virtual_host() -> None:
    asked = request(
        "GET",
        "http://awsexamplebucket1.us-west-1.s3.amazonaws.com/photos/puppy.jpg",
        {
            "Host": "awsexamplebucket1.s3.amazonaws.com",
            "Date": "Tue, 27 Mar 2007 19:36:42 +0000",
            "Authorization": f"AWS {ACCESS_KEY}:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        },
    )
    assert authenticate(asked, EXAMPLE_NS).identity.user == ALICE


def test_aws_example_upload() -> None:
    asked = request(
        "PUT",
        "http://s3.amazonaws.com/db-backup.dat.gz",
        {
            "Host": "static.example.com.s3.amazonaws.com",
            "Date": "Tue, 27 Mar 2007 21:06:08 +0000",
            "x-amz-acl": "public-read",
            "content-type": "application/x-download",
            "Content-MD5": "4gJE4saaMU4BqNR0kLY+lw==",
            "X-Amz-Meta-ReviewedBy": "joe@example.com,jane@example.com",
            "X-Amz-Meta-FileChecksum": "0x02661779",
            "X-Amz-Meta-ChecksumAlgorithm": "crc32",
            "Authorization": f"AWS {ACCESS_KEY}:jtBQa0Aq+DkULFI8qrpwIjGEx0E=",
        },
    )
    assert authenticate(asked, EXAMPLE_NS + 5366 * 1_000_000_000).identity.user == ALICE


@pytest.mark.parametrize("signed_path", ["/bucket", "/bucket/"])
@pytest.mark.parametrize("path", ["/bucket", "/s3/bucket"])
def test_bucket_alone(path: str, signed_path: str) -> None:
    """What botocore does: it signs a slash that it does not send, and not the endpoint's own path."""
    made: Any = AWSRequest(method="PUT", url=f"http://h{path}", headers={}, data=b"")
    made.auth_path = signed_path
    HmacV1Auth(BOTO_CREDENTIALS).add_auth(made)
    asked = request("PUT", f"http://h{path}", dict(made.headers.items()))
    assert authenticate(asked, time.time_ns()).identity.user == ALICE


def test_key_with_a_slash_more() -> None:
    made: Any = AWSRequest(method="PUT", url="http://h/bucket/k/", headers={}, data=b"")
    HmacV1Auth(BOTO_CREDENTIALS).add_auth(made)
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(
            request("PUT", "http://h/bucket/k", dict(made.headers.items())), time.time_ns()
        )


def example(**headers: str) -> Request:
    signer = HmacV1Auth(Credentials(ACCESS_KEY, BOTO_CREDENTIALS.secret_key))
    asked = signed_by(signer, "GET", "k", {}, {})
    asked.headers = {**asked.headers, **headers}
    return asked


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"authorization": "AWS HAHAHA"}, InvalidAuthArgument),
        ({"authorization": "AWS :x"}, InvalidAuthArgument),
        ({"authorization": "AWS"}, InvalidAuthArgument),
        (
            {"authorization": "AWS AKIAIGR7ZNNBHC5BKSUB:FWeDfwojDSdS2Ztmpfeubhd9isU="},
            InvalidAccessKeyId,
        ),
        ({"authorization": f"AWS {ACCESS_KEY}:\xe9"}, SignatureDoesNotMatch),
        ({"x-amz-date": "Bad Date"}, AccessDenied),
        ({"x-amz-date": ""}, AccessDenied),
        ({"date": ""}, AccessDenied),
        ({"x-amz-date": "Tue, 07 Jul 2010 21:53:04 GMT"}, RequestTimeTooSkewed),
        ({"x-amz-date": "Tue, 07 Jul 1950 21:53:04 GMT"}, AccessDenied),
        ({"x-amz-date": "Tue, 07 Jul 9999 21:53:04 GMT"}, RequestTimeTooSkewed),
        ({"x-amz-meta-a": "b"}, SignatureDoesNotMatch),
        ({"content-type": "b"}, SignatureDoesNotMatch),
    ],
)
def test_header_refused(headers: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        authenticate(example(**headers), time.time_ns())


@pytest.mark.parametrize(
    "query",
    [
        "AWSAccessKeyId=a&Expires=1",
        "Signature=a&Expires=1",
        f"AWSAccessKeyId={ACCESS_KEY}&Signature=a&Expires=soon",
    ],
)
def test_query_malformed(query: str) -> None:
    with pytest.raises(AccessDenied):
        authenticate(request("GET", f"http://127.0.0.1/b/k?{query}", {}))
