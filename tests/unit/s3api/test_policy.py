"""Bucket policies, their status and request payment over S3: documents, permissions of requests, and errors."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from tests.unit.s3api.front import Answer, Front

BUCKET = "arn:aws:s3:::bucket"
OBJECTS = f"{BUCKET}/*"


def statement(action: Any, resource: Any = (BUCKET, OBJECTS), **more: Any) -> dict[str, Any]:
    """An Allow for bob, unless `more` says otherwise."""
    found = {"Effect": "Allow", "Principal": {"AWS": "bob-id"}, "Action": action}
    found["Resource"] = list(resource) if isinstance(resource, tuple) else resource
    return {**found, **more}


def put(front: Front, *statements: dict[str, Any], **headers: str) -> Answer:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return front("PUT", "/bucket?policy", text.encode(), named)


def allow(front: Front, *statements: dict[str, Any]) -> None:
    assert put(front, *statements).status == 204


def status(front: Front, method: str, path: str, **more: Any) -> int:
    """What bob is answered."""
    return front(method, path, user="bob", **more).status


def test_policy_is_kept_as_it_was_put(front: Front) -> None:
    assert front("GET", "/bucket?policy").code == "NoSuchBucketPolicy"
    text = b'{ "Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"%s"}}' % (
        OBJECTS.encode()
    )
    assert front("PUT", "/bucket?policy", text).status == 204
    answer = front("GET", "/bucket?policy")
    assert answer.body == text
    assert answer.headers["content-type"] == "application/json"
    assert front("DELETE", "/bucket?policy").status == 204
    assert front("DELETE", "/bucket?policy").status == 204
    assert front("GET", "/bucket?policy").status == 404


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "first byte must be '{'"),
        (b" {}", "first byte must be '{'"),
        (b"{", "invalid Json"),
        (b"\xff{}", "invalid Json"),
        (b"{}", "Missing required field Statement"),
        (b"{" + b" " * 20480 + b"}", "20480 bytes"),
    ],
)
def test_malformed_policy(front: Front, text: bytes, message: str) -> None:
    answer = front("PUT", "/bucket?policy", text)
    assert (answer.status, answer.code) == (400, "MalformedPolicy")
    assert message in (answer.text("Message") or "")
    assert front("GET", "/bucket?policy").status == 404


def test_policy_of_another_bucket(front: Front) -> None:
    answer = put(front, statement("s3:GetObject", "arn:aws:s3:::other/*"))
    assert answer.text("Message") == "Policy has invalid resource"


def test_others_are_let_in_and_kept_out(front: Front) -> None:
    front("PUT", "/bucket/open", b"x")
    front("PUT", "/bucket/shut", b"x")
    allow(
        front,
        statement(["s3:GetObject", "s3:ListBucket"]),
        statement("s3:GetObject", f"{BUCKET}/shut", Effect="Deny", Principal="*"),
    )
    assert status(front, "GET", "/bucket/open") == 200
    assert status(front, "GET", "/bucket/shut") == 403
    assert status(front, "GET", "/bucket/absent") == 404
    assert status(front, "GET", "/bucket") == 200
    assert status(front, "PUT", "/bucket/open", body=b"y") == 403
    assert front("GET", "/bucket/open", user="").status == 403
    # A denial holds for the owner too.
    assert front("GET", "/bucket/shut").status == 403


def test_versions_have_actions_of_their_own(front: Front) -> None:
    front("PUT", "/bucket/key", b"x")
    allow(front, statement("s3:GetObject"))
    assert status(front, "GET", "/bucket/key") == 200
    assert status(front, "GET", "/bucket/key?versionId=null") == 403
    allow(front, statement(["s3:GetObjectVersion", "s3:DeleteObjectVersion"]))
    assert status(front, "GET", "/bucket/key") == 403
    assert status(front, "HEAD", "/bucket/key?versionId=null") == 200
    assert status(front, "DELETE", "/bucket/key") == 403
    assert status(front, "DELETE", "/bucket/key?versionId=null") == 204


def test_attributes_need_reading_too(front: Front) -> None:
    front("PUT", "/bucket/key", b"x")
    asked = {"x-amz-object-attributes": "ETag"}
    allow(front, statement("s3:GetObjectAttributes"))
    assert status(front, "GET", "/bucket/key?attributes", headers=asked) == 403
    allow(front, statement(["s3:GetObjectAttributes", "s3:GetObject"]))
    assert status(front, "GET", "/bucket/key?attributes", headers=asked) == 200


def test_listing_of_a_prefix(front: Front) -> None:
    condition = {"StringLike": {"s3:prefix": "public/*"}}
    allow(front, statement("s3:ListBucket", BUCKET, Condition=condition))
    assert status(front, "GET", "/bucket?prefix=public/") == 200
    assert status(front, "GET", "/bucket?prefix=private/") == 403
    assert status(front, "GET", "/bucket") == 403
    assert status(front, "HEAD", "/bucket/public/absent") == 404
    assert status(front, "HEAD", "/bucket/private/absent") == 403


def test_what_comes_with_an_object_needs_permission(front: Front) -> None:
    allow(front, statement("s3:PutObject"))
    assert status(front, "PUT", "/bucket/key", body=b"x") == 200
    tagged = {"x-amz-tagging": "a=b"}
    assert status(front, "PUT", "/bucket/key", body=b"x", headers=tagged) == 403
    opened = {"x-amz-acl": "public-read"}
    assert status(front, "PUT", "/bucket/key", body=b"x", headers=opened) == 200
    allow(
        front,
        statement(["s3:PutObject", "s3:PutObjectTagging"]),
        statement("s3:PutObjectAcl", Effect="Deny"),
    )
    assert status(front, "PUT", "/bucket/key", body=b"x", headers=tagged) == 200
    assert status(front, "PUT", "/bucket/key", body=b"x", headers=opened) == 403
    assert status(front, "POST", "/bucket/key?uploads", headers=opened) == 403


def test_existing_tags(front: Front) -> None:
    condition = {"StringEquals": {"s3:ExistingObjectTag/Level": "open"}}
    allow(front, statement("s3:GetObject", OBJECTS, Condition=condition))
    for key, tags in (("a", "Level=open"), ("b", "Level=shut"), ("c", "level=open"), ("d", "")):
        front("PUT", f"/bucket/{key}", b"x", {"x-amz-tagging": tags})
    assert [status(front, "GET", f"/bucket/{key}") for key in "abcd"] == [200, 403, 403, 403]


def test_request_tags(front: Front) -> None:
    condition = {"StringEquals": {"s3:RequestObjectTag/Level": "open"}}
    both = ["s3:PutObject", "s3:PutObjectTagging"]
    allow(front, statement(both, OBJECTS, Condition=condition))
    for tags, expected in (("Level=open", 200), ("Level=shut", 403), ("", 403)):
        headers = {"x-amz-tagging": tags}
        assert status(front, "PUT", "/bucket/k", body=b"x", headers=headers) == expected


def test_copy_needs_both_sides(front: Front) -> None:
    front("PUT", "/bucket/plain", b"x")
    front("PUT", "/bucket/tagged", b"x", {"x-amz-tagging": "a=b"})
    front("PUT", "/bobs", user="bob")

    def copied(key: str, **headers: str) -> int:
        source = {"x-amz-copy-source": f"/bucket/{key}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return status(front, "PUT", "/bobs/copy", headers=source | named)

    assert copied("plain") == 403
    allow(front, statement("s3:GetObject"))
    assert copied("plain") == 200
    assert copied("absent") == 403
    assert copied("tagged") == 403
    assert copied("tagged", x_amz_tagging_directive="REPLACE") == 200
    allow(front, statement(["s3:GetObject", "s3:GetObjectTagging"]))
    assert copied("tagged") == 200


def test_copy_source_condition(front: Front) -> None:
    front("PUT", "/bucket/public/k", b"x")
    front("PUT", "/bucket/private/k", b"x")
    condition = {"StringLike": {"s3:x-amz-copy-source": "bucket/public/*"}}
    allow(
        front,
        statement("s3:PutObject", f"{BUCKET}/copies/*", Condition=condition),
        statement("s3:GetObject"),
    )
    for source, expected in (
        ("/bucket/public/k", 200),
        ("bucket%2Fpublic%2Fk", 200),
        ("bucket/private/k", 403),
    ):
        headers = {"x-amz-copy-source": source}
        assert status(front, "PUT", "/bucket/copies/k", headers=headers) == expected
    assert status(front, "PUT", "/bucket/copies/k", body=b"x") == 403


def test_parts_say_what_their_upload_said(front: Front) -> None:
    undemanded = {"StringNotEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    untagged = {"Null": {"s3:RequestObjectTag/a": "true"}}
    allow(
        front,
        statement(["s3:PutObject", "s3:PutObjectTagging"]),
        statement("s3:PutObject", Effect="Deny", Condition=undemanded),
        statement("s3:PutObject", Effect="Deny", Condition=untagged),
    )
    assert status(front, "POST", "/bucket/k?uploads") == 403
    said = {"x-amz-acl": "bucket-owner-full-control", "x-amz-tagging": "a=b"}
    upload = front("POST", "/bucket/k?uploads", headers=said, user="bob").text("UploadId")
    part = front("PUT", f"/bucket/k?partNumber=1&uploadId={upload}", b"x", user="bob")
    assert part.status == 200
    etag = part.headers["etag"].strip('"')
    document = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    ).encode()
    assert status(front, "POST", f"/bucket/k?uploadId={upload}", body=document) == 200
    # An upload that there is not says nothing.
    assert status(front, "PUT", "/bucket/k?partNumber=1&uploadId=none", body=b"x") == 403


def test_deletion_of_many_decides_each_key(front: Front) -> None:
    front("PUT", "/bucket/a", b"x")
    front("PUT", "/bucket/b", b"x")
    allow(front, statement("s3:DeleteObject", f"{BUCKET}/a"))
    document = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>"
    answer = front("POST", "/bucket?delete", document, _md5(document), user="bob")
    assert answer.texts("Deleted/Key") == ["a"]
    assert answer.texts("Error/Key") == ["b"]
    assert front("GET", "/bucket/b").status == 200


def _md5(document: bytes) -> dict[str, str]:
    return {"content-md5": base64.b64encode(hashlib.md5(document).digest()).decode()}


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("made-1", {}, 200),
        ("made-2", {"x-amz-acl": "public-read"}, 200),
        ("other", {}, 403),
        ("made-3", {"x-amz-object-ownership": "ObjectWriter"}, 403),
        ("made-4", {"x-amz-bucket-object-lock-enabled": "true"}, 403),
    ],
)
def test_creation_by_a_user_with_policies(
    front: Front, name: str, headers: dict[str, str], expected: int
) -> None:
    assert front("PUT", f"/{name}", headers=headers, user="carol").status == expected
    assert front("GET", "/", user="carol").status == 403


# --- who may change the policy -----------------------------------------------------------------------------------


def test_owner_cannot_be_locked_out(front: Front) -> None:
    lock = statement("s3:*", Effect="Deny", Principal="*")
    allow(front, lock)
    assert front("GET", "/bucket").status == 403
    assert front("GET", "/bucket?policy").status == 200
    assert front("DELETE", "/bucket?policy").status == 204
    assert put(front, lock, x_amz_confirm_remove_self_bucket_access="true").status == 204
    for method in ("GET", "PUT", "DELETE"):
        assert front(method, "/bucket?policy", b"{}").status == 403


def test_policy_is_its_accounts_own(front: Front) -> None:
    allow(front, statement("s3:*"))
    for method in ("GET", "PUT", "DELETE"):
        answer = front(method, "/bucket?policy", b"{}", user="bob")
        assert (answer.status, answer.code) == (405, "MethodNotAllowed")


# --- public or not -----------------------------------------------------------------------------------------------


def is_public(front: Front) -> str | None:
    return front("GET", "/bucket?policyStatus").text("IsPublic")


def test_policy_status(front: Front) -> None:
    assert is_public(front) == "false"
    allow(front, statement("s3:GetObject"))
    assert is_public(front) == "false"
    allow(front, statement("s3:GetObject", Principal="*"))
    assert is_public(front) == "true"
    front("DELETE", "/bucket?policy")
    front("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read"})
    assert is_public(front) == "true"
    block(front, "IgnorePublicAcls")
    assert is_public(front) == "false"


def block(front: Front, *names: str) -> None:
    said = "".join(f"<{name}>true</{name}>" for name in names)
    document = f"<PublicAccessBlockConfiguration>{said}</PublicAccessBlockConfiguration>"
    assert front("PUT", "/bucket?publicAccessBlock", document.encode()).status == 200


def test_public_policies_are_blocked(front: Front) -> None:
    block(front, "BlockPublicPolicy")
    answer = put(front, statement("s3:GetObject", Principal="*"))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    allow(front, statement("s3:GetObject"))


def test_public_buckets_are_restricted(front: Front) -> None:
    front("PUT", "/bucket/key", b"x")
    allow(front, statement("s3:GetObject"), statement("s3:GetObject", Principal="*"))
    assert status(front, "GET", "/bucket/key") == 200
    block(front, "RestrictPublicBuckets")
    assert status(front, "GET", "/bucket/key") == 403
    assert front("GET", "/bucket/key", user="").status == 403
    assert front("GET", "/bucket/key").status == 200
    allow(front, statement("s3:GetObject"))
    assert status(front, "GET", "/bucket/key") == 200


# --- who pays ----------------------------------------------------------------------------------------------------


def payment(payer: str) -> bytes:
    return (
        f"<RequestPaymentConfiguration><Payer>{payer}</Payer></RequestPaymentConfiguration>"
    ).encode()


def test_requester_pays(front: Front) -> None:
    front("PUT", "/bucket/key", b"x")
    assert front("GET", "/bucket?requestPayment").text("Payer") == "BucketOwner"
    assert front("PUT", "/bucket?requestPayment", payment("Requester")).status == 200
    assert front("GET", "/bucket?requestPayment").text("Payer") == "Requester"
    allow(front, statement("s3:*", Principal="*"))
    pays = {"x-amz-request-payer": "requester"}
    assert status(front, "GET", "/bucket/key") == 403
    answer = front("GET", "/bucket/key", headers=pays, user="bob")
    assert (answer.status, answer.headers["x-amz-request-charged"]) == (200, "requester")
    assert front("GET", "/bucket/key", headers=pays, user="").status == 403
    answer = front("GET", "/bucket/key")
    assert answer.status == 200
    assert "x-amz-request-charged" not in answer.headers


@pytest.mark.parametrize("document", [b"", b"<a/>", payment("Nobody"), payment("")])
def test_malformed_request_payment(front: Front, document: bytes) -> None:
    answer = front("PUT", "/bucket?requestPayment", document)
    assert (answer.status, answer.code) == (400, "MalformedXML")
