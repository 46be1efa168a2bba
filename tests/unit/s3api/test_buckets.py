"""Service and bucket operations: status, headers, documents and errors."""

from __future__ import annotations

import pytest

from core.names import BucketName, BucketRef
from core.types import CannedAcl
from s3api.call import Settings
from tests.unit.s3api.front import NOW_ISO, Front


def test_list_buckets(front: Front) -> None:
    front("PUT", "/abc")
    answer = front("GET", "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/xml"
    assert [node.tag for node in answer.xml] == ["Owner", "Buckets"]
    assert answer.text("Owner/ID") == "alice-id"
    assert answer.text("Owner/DisplayName") == "Alice <3"
    assert answer.texts("Buckets/Bucket/Name") == ["abc", "bucket"]
    assert answer.texts("Buckets/Bucket/CreationDate") == [NOW_ISO, NOW_ISO]
    assert front("GET", "/", user="bob").texts("Buckets/Bucket") == []


def test_list_buckets_in_pages(front: Front) -> None:
    for name in ("bucket-1", "bucket-2", "other"):
        front("PUT", f"/{name}")
    first = front("GET", "/?max-buckets=2&prefix=bucket")
    assert first.texts("Buckets/Bucket/Name") == ["bucket", "bucket-1"]
    assert first.text("Prefix") == "bucket"
    assert first.texts("Buckets/Bucket/BucketRegion") == ["us-east-1", "us-east-1"]
    token = first.text("ContinuationToken")
    second = front("GET", f"/?max-buckets=2&prefix=bucket&continuation-token={token}")
    assert second.texts("Buckets/Bucket/Name") == ["bucket-2"]
    assert second.text("ContinuationToken") is None


def test_list_buckets_of_a_region(front: Front) -> None:
    assert front("GET", "/?bucket-region=us-east-1").texts("Buckets/Bucket/Name") == ["bucket"]
    assert front("GET", "/?bucket-region=eu-west-1").texts("Buckets/Bucket/Name") == []


@pytest.mark.parametrize(
    "query", ["max-buckets=0", "max-buckets=x", "max-buckets=10001", "continuation-token=!"]
)
def test_list_buckets_bad_argument(front: Front, query: str) -> None:
    answer = front("GET", f"/?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_list_buckets_anonymous(front: Front) -> None:
    assert front("GET", "/", user="").code == "AccessDenied"


def test_create_bucket(front: Front) -> None:
    answer = front("PUT", "/fresh")
    assert answer.status == 200
    assert answer.headers["location"] == "/fresh"
    assert answer.body == b""


@pytest.mark.parametrize("name", ["a", "Upper", "under_score", "1.2.3.4", "dot..dot", "x" * 64])
def test_create_bucket_bad_name(front: Front, name: str) -> None:
    answer = front("PUT", f"/{name}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")
    assert answer.text("BucketName") == name


def test_create_bucket_again_in_us_east_1(front: Front) -> None:
    acl = {"x-amz-acl": "public-read"}
    assert front("PUT", "/fresh", headers=acl).status == 200
    assert front("PUT", "/fresh", headers=acl).status == 200


def test_create_bucket_again_with_another_acl_changes_nothing(front: Front) -> None:
    front("PUT", "/fresh", headers={"x-amz-acl": "public-read"})
    answer = front("PUT", "/fresh")
    assert (answer.status, answer.code) == (409, "BucketAlreadyExists")
    bucket = front.store.get_bucket(BucketRef(BucketName("fresh")))
    assert bucket.props.acl is CannedAcl.PUBLIC_READ


def test_create_bucket_again_elsewhere() -> None:
    front = Front(Settings(region="eu-west-1"))
    assert front("PUT", "/fresh").status == 200
    answer = front("PUT", "/fresh")
    assert (answer.status, answer.code) == (409, "BucketAlreadyOwnedByYou")


def test_create_bucket_of_another(front: Front) -> None:
    answer = front("PUT", "/bucket", user="bob")
    assert (answer.status, answer.code) == (409, "BucketAlreadyExists")


def test_create_bucket_anonymous(front: Front) -> None:
    assert front("PUT", "/fresh", user="").status == 403


@pytest.mark.parametrize(
    ("region", "code"),
    [
        ("us-east-1", None),
        ("", None),
        ("eu-west-1", "IllegalLocationConstraintException"),
        ("EU", "IllegalLocationConstraintException"),
        ("moon", "InvalidLocationConstraint"),
    ],
)
def test_create_bucket_in_a_region(front: Front, region: str, code: str | None) -> None:
    body = (
        '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    )
    answer = front("PUT", "/fresh", body.encode())
    assert answer.status == (400 if code else 200)
    if code:
        assert answer.code == code


@pytest.mark.parametrize("body", [b"<a", b"<Other/>", b"\x00", b"<!DOCTYPE a []><a/>"])
def test_create_bucket_malformed(front: Front, body: bytes) -> None:
    answer = front("PUT", "/fresh", body)
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_create_bucket_canned_acl(front: Front) -> None:
    assert front("PUT", "/fresh", headers={"x-amz-acl": "public-read"}).status == 200
    bucket = front.store.get_bucket(BucketRef(BucketName("fresh")))
    assert bucket.props.acl is CannedAcl.PUBLIC_READ
    answer = front("PUT", "/other", headers={"x-amz-acl": "public-ready"})
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("x-amz-bucket-object-lock-enabled", "true", 200),
        ("x-amz-bucket-object-lock-enabled", "false", 200),
    ],
)
def test_create_bucket_unserved_header(front: Front, header: str, value: str, status: int) -> None:
    answer = front("PUT", "/fresh", headers={header: value})
    assert answer.status == status
    if status == 501:
        assert (answer.code, answer.text("Header")) == ("NotImplemented", header)


def test_head_bucket(front: Front) -> None:
    answer = front("HEAD", "/bucket")
    assert answer.status == 200
    assert answer.headers["x-amz-bucket-region"] == "us-east-1"
    assert front("HEAD", "/nothing").status == 404
    assert front("HEAD", "/bucket", user="bob").status == 403


def test_delete_bucket(front: Front) -> None:
    front("PUT", "/bucket/key", b"")
    answer = front("DELETE", "/bucket")
    assert (answer.status, answer.code) == (409, "BucketNotEmpty")
    front("DELETE", "/bucket/key")
    assert front("DELETE", "/bucket").status == 204
    answer = front("DELETE", "/bucket")
    assert (answer.status, answer.code) == (404, "NoSuchBucket")
    assert answer.text("BucketName") == "bucket"


@pytest.mark.parametrize(("region", "shown"), [("us-east-1", ""), ("eu-west-1", "eu-west-1")])
def test_get_bucket_location(region: str, shown: str) -> None:
    front = Front(Settings(region=region))
    front("PUT", "/bucket")
    answer = front("GET", "/bucket?location")
    assert answer.xml.tag == "LocationConstraint"
    assert (answer.xml.text or "") == shown


def test_get_bucket_versioning(front: Front) -> None:
    answer = front("GET", "/bucket?versioning")
    assert (answer.xml.tag, list(answer.xml)) == ("VersioningConfiguration", [])


def test_expected_bucket_owner(front: Front) -> None:
    wrong, right = {"x-amz-expected-bucket-owner": "x"}, {"x-amz-expected-bucket-owner": "alice-id"}
    assert front("GET", "/bucket", headers=wrong).code == "AccessDenied"
    assert front("GET", "/bucket", headers=right).status == 200


def test_request_payer_is_no_matter_in_a_bucket_that_pays_itself(front: Front) -> None:
    assert front("GET", "/bucket", headers={"x-amz-request-payer": "requester"}).status == 200


def test_blanks_around_a_header_change_no_permission(front: Front) -> None:
    headers = {"x-amz-bucket-object-lock-enabled": "\xa0true"}
    assert front("PUT", "/made-here", headers=headers, user="carol").code == "AccessDenied"
