"""ACLs, object ownership and public access blocks: documents, headers and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from core.names import BucketName, BucketRef, UserId
from core.types import BucketProps, CannedAcl, Grant, Group, ObjectInfo, Permission, User
from tests.unit.s3api.front import ALICE, BOB, Answer, Front

ALL_USERS = Group.ALL_USERS.value
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
ENFORCED = {"x-amz-object-ownership": "BucketOwnerEnforced"}


def grant(kind: str, name: str, value: str, permission: str = "READ") -> str:
    return (
        f'<Grant><Grantee {XSI} xsi:type="{kind}"><{name}>{value}</{name}></Grantee>'
        f"<Permission>{permission}</Permission></Grant>"
    )


def policy(*grants: str, owner: str = "alice-id") -> bytes:
    return (
        f"<AccessControlPolicy><Owner><ID>{owner}</ID></Owner>"
        f"<AccessControlList>{''.join(grants)}</AccessControlList></AccessControlPolicy>"
    ).encode()


OWNERS = grant("CanonicalUser", "ID", "alice-id", "FULL_CONTROL")


def shown(answer: Answer) -> list[tuple[str, str]]:
    """(grantee, permission) of each grant."""
    found = []
    for node in answer.xml.findall("AccessControlList/Grant"):
        who = node.findtext("Grantee/ID") or node.findtext("Grantee/URI") or ""
        found.append((who, node.findtext("Permission") or ""))
    return found


def props_of(front: Front) -> BucketProps:
    return front.store.get_bucket(BucketRef(BucketName("bucket"))).props


# --- get and put -------------------------------------------------------------------------------------------------


def test_get_bucket_acl_default(front: Front) -> None:
    answer = front("GET", "/bucket?acl")
    assert answer.text("Owner/ID") == "alice-id"
    assert answer.text("Owner/DisplayName") == "Alice <3"
    assert shown(answer) == [("alice-id", "FULL_CONTROL")]
    grantee = answer.xml.find("AccessControlList/Grant/Grantee")
    assert grantee is not None
    assert list(grantee.attrib.values()) == ["CanonicalUser"]
    assert grantee.findtext("DisplayName") == "Alice <3"


def test_put_bucket_acl_canned(front: Front) -> None:
    assert front("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read"}).status == 200
    assert shown(front("GET", "/bucket?acl")) == [
        (ALL_USERS, "READ"),
        ("alice-id", "FULL_CONTROL"),
    ]


def test_put_bucket_acl_document(front: Front) -> None:
    body = policy(
        OWNERS,
        grant("CanonicalUser", "ID", "bob-id", "WRITE"),
        grant("AmazonCustomerByEmail", "EmailAddress", "ALICE@example.com", "READ_ACP"),
        grant("Group", "URI", ALL_USERS),
    )
    assert front("PUT", "/bucket?acl", body).status == 200
    assert shown(front("GET", "/bucket?acl")) == [
        (ALL_USERS, "READ"),
        ("alice-id", "FULL_CONTROL"),
        ("bob-id", "WRITE"),
        ("alice-id", "READ_ACP"),
    ]


def test_what_was_shown_can_be_put_back(front: Front) -> None:
    front("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read-write"})
    before = front("GET", "/bucket?acl")
    assert front("PUT", "/bucket?acl", before.body).status == 200
    assert shown(front("GET", "/bucket?acl")) == shown(before)


def test_put_bucket_acl_without_grants(front: Front) -> None:
    assert front("PUT", "/bucket?acl", policy()).status == 200
    assert shown(front("GET", "/bucket?acl")) == []


def test_grantee_who_is_gone_is_shown_by_id(front: Front) -> None:
    carol = User(UserId("carol-id"), "carol", "Carol")
    front.store.known_users = (ALICE, BOB, carol)
    front("PUT", "/bucket?acl", headers={"x-amz-grant-read": "id=carol-id"})
    front.store.known_users = (ALICE, BOB)
    answer = front("GET", "/bucket?acl")
    assert shown(answer) == [("carol-id", "READ")]
    assert answer.text("AccessControlList/Grant/Grantee/DisplayName") is None


def test_get_object_acl_of_absent_key(front: Front) -> None:
    assert front("GET", "/bucket/absent?acl").code == "NoSuchKey"


def test_object_of_the_anonymous(front: Front) -> None:
    front("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read-write"})
    assert front("PUT", "/bucket/k", b"x", user="").status == 200
    assert shown(front("GET", "/bucket/k?acl"))[0][0].startswith("65a011a2")


def test_acl_is_not_put_on_what_came_in_between(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob overwrites the object after Alice, its owner, was let in."""
    front("PUT", "/bucket?acl", headers={"x-amz-acl": "public-read-write"})
    front("PUT", "/bucket/k", b"alice's")
    update = front.store.update_object
    raced: list[bool] = []

    async def overwritten_first(*arguments: Any, **named: Any) -> ObjectInfo:
        if not raced:
            raced.append(True)
            await front._send("PUT", "/bucket/k", b"bob's", {"x-test-user": "bob"})
        return await update(*arguments, **named)

    monkeypatch.setattr(front.store, "update_object", overwritten_first)
    answer = front("PUT", "/bucket/k?acl", headers={"x-amz-acl": "public-read"})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    shown_to_bob = front("GET", "/bucket/k?acl", user="bob")
    assert shown(shown_to_bob) == [("bob-id", "FULL_CONTROL")]


# --- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "grants"),
    [
        ("id=bob-id", [("bob-id", "READ")]),
        ('id="bob-id"', [("bob-id", "READ")]),
        ('ID="bob-id" , id=alice-id', [("bob-id", "READ"), ("alice-id", "READ")]),
        (f'uri="{ALL_USERS}"', [(ALL_USERS, "READ")]),
        ("emailAddress=alice@example.com", [("alice-id", "READ")]),
        ("id=bob-id,id=bob-id", [("bob-id", "READ")]),
    ],
)
def test_grant_header(front: Front, value: str, grants: list[tuple[str, str]]) -> None:
    assert front("PUT", "/bucket/k", b"x", {"x-amz-grant-read": value}).status == 200
    assert shown(front("GET", "/bucket/k?acl")) == grants


def test_all_grant_headers(front: Front) -> None:
    names = ("read", "write", "read-acp", "write-acp", "full-control")
    front("PUT", "/fresh", headers={f"x-amz-grant-{name}": "id=bob-id" for name in names})
    assert shown(front("GET", "/fresh?acl")) == [
        ("bob-id", name.upper().replace("-", "_")) for name in names
    ]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-acl": "public-ready"}, "InvalidArgument"),
        ({"x-amz-grant-read": "bob-id"}, "InvalidArgument"),
        ({"x-amz-grant-read": "id=bob-id,"}, "InvalidArgument"),
        ({"x-amz-grant-read": "id=nobody"}, "InvalidArgument"),
        ({"x-amz-grant-read": "id="}, "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://example.com/group"}, "InvalidArgument"),
        ({"x-amz-grant-read": "emailAddress=x@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"x-amz-grant-read": "id=bob-id", "x-amz-acl": "private"}, "InvalidRequest"),
    ],
)
@pytest.mark.parametrize("path", ["/fresh", "/bucket/k", "/bucket?acl", "/bucket/old?acl"])
def test_bad_header(front: Front, path: str, headers: Mapping[str, str], code: str) -> None:
    front("PUT", "/bucket/old", b"x")
    answer = front("PUT", path, b"" if "?acl" in path or path == "/fresh" else b"x", headers)
    assert (answer.status, answer.code) == (400, code)
    assert front("HEAD", "/fresh").status == 404
    assert front("HEAD", "/bucket/k").status == 404


def test_email_of_several_users(front: Front) -> None:
    front.store.known_users = (ALICE, replace(BOB, email=ALICE.email))
    answer = front("PUT", "/bucket?acl", b"", {"x-amz-grant-read": f"emailAddress={ALICE.email}"})
    assert (answer.status, answer.code) == (400, "AmbiguousGrantByEmailAddress")


def test_copy_takes_the_acl_of_its_headers(front: Front) -> None:
    front("PUT", "/bucket/source", b"x", {"x-amz-acl": "public-read", "x-amz-meta-a": "1"})
    copy = {"x-amz-copy-source": "/bucket/source"}
    assert front("PUT", "/bucket/plain", headers=copy).status == 200
    assert shown(front("GET", "/bucket/plain?acl")) == [("alice-id", "FULL_CONTROL")]
    answer = front("PUT", "/bucket/shared", headers={**copy, "x-amz-grant-read": "id=bob-id"})
    assert answer.status == 200
    assert shown(front("GET", "/bucket/shared?acl")) == [("bob-id", "READ")]
    assert front("HEAD", "/bucket/shared").headers["x-amz-meta-a"] == "1"


def test_copy_onto_itself_for_an_acl_alone(front: Front) -> None:
    front("PUT", "/bucket/k", b"x")
    headers = {"x-amz-copy-source": "/bucket/k", "x-amz-grant-read": "id=bob-id"}
    assert front("PUT", "/bucket/k", headers=headers).code == "InvalidRequest"


def test_upload_has_the_acl_it_was_begun_with(front: Front) -> None:
    begun = front("POST", "/bucket/k?uploads", headers={"x-amz-grant-read": "id=bob-id"})
    upload_id = begun.text("UploadId")
    part = front("PUT", f"/bucket/k?uploadId={upload_id}&partNumber=1", b"x")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    assert front("POST", f"/bucket/k?uploadId={upload_id}", body).status == 200
    assert shown(front("GET", "/bucket/k?acl")) == [("bob-id", "READ")]


def test_create_bucket_again_with_other_grants(front: Front) -> None:
    grants = {"x-amz-grant-read": "id=bob-id"}
    assert front("PUT", "/fresh", headers=grants).status == 200
    assert front("PUT", "/fresh", headers=grants).status == 200
    assert front("PUT", "/fresh").code == "BucketAlreadyExists"


# --- documents ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "MissingSecurityHeader"),
        (b"<a", 400, "MalformedACLError"),
        (b"<Other/>", 400, "MalformedACLError"),
        (b"<AccessControlPolicy/>", 400, "MalformedACLError"),
        (policy("<Grant/>"), 400, "MalformedACLError"),
        (policy("<Other/>"), 400, "MalformedACLError"),
        (policy(grant("CanonicalUser", "ID", "bob-id", "OWN")), 400, "MalformedACLError"),
        (policy(grant("Robot", "ID", "bob-id")), 400, "MalformedACLError"),
        (policy(grant("CanonicalUser", "URI", ALL_USERS)), 400, "MalformedACLError"),
        (policy(grant("CanonicalUser", "ID", "nobody")), 400, "InvalidArgument"),
        (policy(grant("CanonicalUser", "ID", "")), 400, "InvalidArgument"),
        (policy(grant("Group", "URI", "http://example.com")), 400, "InvalidArgument"),
        (policy(OWNERS, owner="bob-id"), 403, "AccessDenied"),
        (policy(OWNERS, owner=""), 403, "AccessDenied"),
        (
            policy(grant("AmazonCustomerByEmail", "EmailAddress", "")),
            400,
            "UnresolvableGrantByEmailAddress",
        ),
    ],
)
def test_bad_document(front: Front, body: bytes, status: int, code: str) -> None:
    answer = front("PUT", "/bucket?acl", body)
    assert (answer.status, answer.code) == (status, code)
    assert shown(front("GET", "/bucket?acl")) == [("alice-id", "FULL_CONTROL")]


def test_too_many_grants(front: Front) -> None:
    users = [User(UserId(f"user-{n}"), f"u{n}", "") for n in range(101)]
    front.store.known_users = (ALICE, *users)
    grants = [grant("CanonicalUser", "ID", user.user_id) for user in users]
    assert front("PUT", "/bucket?acl", policy(*grants)).code == "MalformedACLError"
    assert front("PUT", "/bucket?acl", policy(*grants[:100])).status == 200


def test_headers_and_document(front: Front) -> None:
    answer = front("PUT", "/bucket?acl", policy(OWNERS), {"x-amz-acl": "private"})
    assert (answer.status, answer.code) == (400, "UnexpectedContent")


# --- object ownership --------------------------------------------------------------------------------------------


def ownership(value: str) -> bytes:
    rule = f"<Rule><ObjectOwnership>{value}</ObjectOwnership></Rule>"
    return f"<OwnershipControls>{rule}</OwnershipControls>".encode()


def test_ownership_controls(front: Front) -> None:
    path = "/bucket?ownershipControls"
    answer = front("GET", path)
    assert (answer.status, answer.code) == (404, "OwnershipControlsNotFoundError")
    assert front("PUT", path, ownership("BucketOwnerPreferred")).status == 200
    assert front("GET", path).text("Rule/ObjectOwnership") == "BucketOwnerPreferred"
    assert front("DELETE", path).status == 204
    assert front("DELETE", path).status == 204
    assert front("GET", path).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<OwnershipControls/>",
        ownership("Nobody"),
        ownership("ObjectWriter").replace(b"</Rule>", b"</Rule><Rule/>"),
    ],
)
def test_bad_ownership_controls(front: Front, body: bytes) -> None:
    assert front("PUT", "/bucket?ownershipControls", body).code == "MalformedXML"


@pytest.mark.parametrize("acl", ["public-read", "authenticated-read", "log-delivery-write"])
def test_acls_cannot_go_off_while_they_reach_others(front: Front, acl: str) -> None:
    front("PUT", "/bucket?acl", headers={"x-amz-acl": acl})
    answer = front("PUT", "/bucket?ownershipControls", ownership("BucketOwnerEnforced"))
    assert (answer.status, answer.code) == (400, "InvalidBucketAclWithObjectOwnership")
    answer = front("PUT", "/fresh", headers={"x-amz-acl": acl, **ENFORCED})
    assert answer.code == "InvalidBucketAclWithObjectOwnership"


@pytest.mark.parametrize(
    ("headers", "is_served"),
    [
        ({}, True),
        ({"x-amz-acl": "bucket-owner-full-control"}, True),
        ({"x-amz-grant-full-control": "id=alice-id"}, True),
        ({"x-amz-acl": ""}, True),
        ({"x-amz-acl": "private"}, False),
        ({"x-amz-grant-read": "id=bob-id"}, False),
    ],
)
def test_enforced_ownership_refuses_acls(
    front: Front, headers: dict[str, str], is_served: bool
) -> None:
    front("PUT", "/fresh", headers=ENFORCED)
    answer = front("PUT", "/fresh/k", b"x", headers)
    if is_served:
        assert shown(front("GET", "/fresh/k?acl")) == [("alice-id", "FULL_CONTROL")]
    else:
        assert (answer.status, answer.code) == (400, "AccessControlListNotSupported")
    for path in ("/fresh?acl", "/fresh/k?acl"):
        front("PUT", "/fresh/k", b"x")
        refused = front("PUT", path, b"", {"x-amz-acl": "private"})
        assert refused.code == "AccessControlListNotSupported"


def test_create_bucket_bad_ownership(front: Front) -> None:
    answer = front("PUT", "/fresh", headers={"x-amz-object-ownership": "Mine"})
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("setting", "owner"),
    [("BucketOwnerPreferred", "alice-id"), ("ObjectWriter", "bob-id"), ("", "bob-id")],
)
def test_owner_of_what_others_write(front: Front, setting: str, owner: str) -> None:
    headers = {"x-amz-acl": "public-read-write", "x-amz-object-ownership": setting}
    assert front("PUT", "/fresh", headers=headers).status == 200
    full = {"x-amz-acl": "bucket-owner-full-control"}
    assert front("PUT", "/fresh/k", b"x", full, user="bob").status == 200
    assert front("GET", "/fresh/k?acl").text("Owner/ID") == owner
    assert front("PUT", "/fresh/k", b"x", {"x-amz-acl": "public-read"}, user="bob").status == 200
    assert front("GET", "/fresh/k?acl", user="bob").text("Owner/ID") == "bob-id"


# --- public access block -----------------------------------------------------------------------------------------


def block(**flags: str) -> bytes:
    said = "".join(f"<{name}>{value}</{name}>" for name, value in flags.items())
    root = "PublicAccessBlockConfiguration"
    return f"<{root}>{said}</{root}>".encode()


def test_public_access_block(front: Front) -> None:
    path = "/bucket?publicAccessBlock"
    answer = front("GET", path)
    assert (answer.status, answer.code) == (404, "NoSuchPublicAccessBlockConfiguration")
    assert front("PUT", path, block(BlockPublicAcls="true", BlockPublicPolicy="TRUE")).status == 200
    answer = front("GET", path)
    assert [(node.tag, node.text) for node in answer.xml] == [
        ("BlockPublicAcls", "true"),
        ("IgnorePublicAcls", "false"),
        ("BlockPublicPolicy", "true"),
        ("RestrictPublicBuckets", "false"),
    ]
    assert front("DELETE", path).status == 204
    assert front("GET", path).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        block(BlockPublicAcls="yes"),
        block(Unknown="true"),
        block(BlockPublicAcls="true").replace(
            b"</Pub", b"<BlockPublicAcls>true</BlockPublicAcls></Pub"
        ),
    ],
)
def test_bad_public_access_block(front: Front, body: bytes) -> None:
    assert front("PUT", "/bucket?publicAccessBlock", body).code == "MalformedXML"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-acl": "public-read"},
        {"x-amz-acl": "authenticated-read"},
        {"x-amz-grant-read-acp": f"uri={ALL_USERS}"},
    ],
)
def test_public_acls_are_blocked(front: Front, headers: dict[str, str]) -> None:
    front("PUT", "/bucket/k", b"x")
    front("PUT", "/bucket?publicAccessBlock", block(BlockPublicAcls="true"))
    copied = {**headers, "x-amz-copy-source": "/bucket/k"}
    for method, path, body, sent in (
        ("PUT", "/bucket?acl", b"", headers),
        ("PUT", "/bucket/k?acl", b"", headers),
        ("PUT", "/bucket/new", b"x", headers),
        ("PUT", "/bucket/new", None, copied),
        ("POST", "/bucket/new?uploads", None, headers),
    ):
        answer = front(method, path, body, sent)
        assert (answer.status, answer.code) == (403, "AccessDenied")
    assert front("PUT", "/bucket/new", b"x", {"x-amz-grant-read": "id=bob-id"}).status == 200
    assert props_of(front).acl is CannedAcl.PRIVATE


def test_grants_are_kept_as_they_were_put(front: Front) -> None:
    front("PUT", "/bucket?acl", headers={"x-amz-grant-write": "id=bob-id"})
    assert props_of(front).acl == (Grant(Permission.WRITE, UserId("bob-id")),)


def test_log_objects_are_not_public_where_public_acls_are_blocked(front: Front) -> None:
    assert front("PUT", "/target", headers={"x-amz-acl": "log-delivery-write"}).status == 200
    grantee = (
        '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">'
        "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>"
    )
    grants = f"<TargetGrants><Grant>{grantee}<Permission>READ</Permission></Grant></TargetGrants>"
    logging = f"<TargetBucket>target</TargetBucket><TargetPrefix/>{grants}"
    document = (
        f"<BucketLoggingStatus><LoggingEnabled>{logging}</LoggingEnabled></BucketLoggingStatus>"
    )
    block = "<BlockPublicAcls>true</BlockPublicAcls>"
    assert front("PUT", "/bucket?logging", document.encode()).status == 200
    front(
        "PUT",
        "/target?publicAccessBlock",
        f"<PublicAccessBlockConfiguration>{block}</PublicAccessBlockConfiguration>".encode(),
    )
    assert front("PUT", "/bucket?logging", document.encode()).code == "AccessDenied"
