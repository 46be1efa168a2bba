"""ACLs of buckets and objects through boto3: what is shown, and whom they let in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, purge, read, status_of
from tests.s3compat.wire import exchange
from tests.server import Keys, Server

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
ANNE = Keys("WEIRANNEKEY000000003", "anne/secret+key=of0the1test2server345678")
BEN = Keys("WEIRBENKEY0000000004", "ben/secret+key=of0the1test2server3456789")


@pytest.fixture(scope="module")
def anne(server: Server) -> S3Client:
    """One who is not root, and so may do in the buckets of others what they allow."""
    server.add_user("anne", ANNE, "--id", "anne-id", "--email", "anne@example.com")
    return connect(server, ANNE)


@pytest.fixture(scope="module")
def ben(server: Server) -> S3Client:
    server.add_user("ben", BEN, "--id", "ben-id", "--email", "ben@example.com")
    return connect(server, BEN)


@pytest.fixture
def annes(anne: S3Client) -> Iterator[str]:
    """A private bucket of Anne's with one object."""
    name = f"test-{secrets.token_hex(6)}"
    anne.create_bucket(Bucket=name)
    anne.put_object(Bucket=name, Key="k", Body=b"x")
    yield name
    purge(anne, name)


def grants_of(shown: object) -> list[tuple[str, str]]:
    """(grantee, permission) of each grant of an answer."""
    grants = shown["Grants"]  # type: ignore[index]
    return [
        (grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"])
        for grant in grants
    ]


def refusal(call: object, **arguments: object) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)  # type: ignore[operator]
    return code_of(caught.value)


def test_default_acls(anne: S3Client, annes: str) -> None:
    for shown in (anne.get_bucket_acl(Bucket=annes), anne.get_object_acl(Bucket=annes, Key="k")):
        assert shown["Owner"]["ID"] == "anne-id"
        assert grants_of(shown) == [("anne-id", "FULL_CONTROL")]


@pytest.mark.parametrize(
    ("canned", "group"),
    [("public-read", ALL_USERS), ("authenticated-read", AUTHENTICATED)],
)
def test_canned_acl_of_an_object(
    server: Server, anne: S3Client, ben: S3Client, annes: str, canned: str, group: str
) -> None:
    anne.put_object_acl(Bucket=annes, Key="k", ACL=canned)  # type: ignore[arg-type]
    shown = anne.get_object_acl(Bucket=annes, Key="k")
    assert grants_of(shown) == [(group, "READ"), ("anne-id", "FULL_CONTROL")]
    assert read(ben, annes, "k") == b"x"
    anonymous = exchange(server, "GET", f"/{annes}/k", keys=None)
    assert anonymous.status == (200 if group == ALL_USERS else 403)
    assert refusal(ben.put_object, Bucket=annes, Key="k", Body=b"y") == "AccessDenied"
    assert refusal(ben.get_object_acl, Bucket=annes, Key="k") == "AccessDenied"


def test_grants_by_header(anne: S3Client, ben: S3Client, annes: str) -> None:
    anne.put_object(
        Bucket=annes,
        Key="shared",
        Body=b"shared",
        GrantRead='emailAddress="ben@example.com"',
        GrantFullControl="id=anne-id",
        GrantReadACP=f'id="ben-id",uri="{AUTHENTICATED}"',
    )
    assert read(ben, annes, "shared") == b"shared"
    assert sorted(grants_of(ben.get_object_acl(Bucket=annes, Key="shared"))) == [
        ("anne-id", "FULL_CONTROL"),
        ("ben-id", "READ"),
        ("ben-id", "READ_ACP"),
        (AUTHENTICATED, "READ_ACP"),
    ]
    assert refusal(ben.put_object_acl, Bucket=annes, Key="shared", ACL="private") == "AccessDenied"


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        ("READ", {"list"}),
        ("WRITE", {"put", "delete"}),
        ("READ_ACP", {"get acl"}),
        ("WRITE_ACP", {"put acl"}),
        ("FULL_CONTROL", {"list", "put", "delete", "get acl", "put acl"}),
    ],
)
def test_permissions_of_a_bucket(
    anne: S3Client, ben: S3Client, annes: str, permission: str, allowed: set[str]
) -> None:
    policy = anne.get_bucket_acl(Bucket=annes)
    grants = [
        *policy["Grants"],
        {"Grantee": {"Type": "CanonicalUser", "ID": "ben-id"}, "Permission": permission},
    ]
    document = {"Owner": policy["Owner"], "Grants": grants}
    anne.put_bucket_acl(Bucket=annes, AccessControlPolicy=document)  # type: ignore[arg-type]
    tried: dict[str, Callable[[], object]] = {
        "list": lambda: ben.list_objects_v2(Bucket=annes),
        "read": lambda: ben.get_object(Bucket=annes, Key="k"),
        "policy": lambda: ben.get_bucket_policy(Bucket=annes),
        "put": lambda: ben.put_object(Bucket=annes, Key="bens", Body=b"y"),
        "delete": lambda: ben.delete_object(Bucket=annes, Key="k"),
        "get acl": lambda: ben.get_bucket_acl(Bucket=annes),
        "put acl": lambda: ben.put_bucket_acl(Bucket=annes, AccessControlPolicy=document),  # type: ignore[arg-type]
    }
    assert {name for name, act in tried.items() if not _is_denied(act)} == allowed


def _is_denied(act: Callable[[], object]) -> bool:
    try:
        act()
    except ClientError as error:
        if status_of(error) != 403:
            raise
        return True
    return False


def test_what_others_write_is_theirs(anne: S3Client, ben: S3Client, annes: str) -> None:
    anne.put_bucket_acl(Bucket=annes, ACL="public-read-write")
    ben.put_object(Bucket=annes, Key="closed", Body=b"b")
    assert refusal(anne.get_object, Bucket=annes, Key="closed") == "AccessDenied"
    assert refusal(anne.put_object_acl, Bucket=annes, Key="closed", ACL="private") == "AccessDenied"
    ben.put_object(Bucket=annes, Key="open", Body=b"b", ACL="bucket-owner-read")
    assert read(anne, annes, "open") == b"b"
    shown = ben.get_object_acl(Bucket=annes, Key="open")
    assert grants_of(shown) == [("ben-id", "FULL_CONTROL"), ("anne-id", "READ")]
    anne.delete_object(Bucket=annes, Key="closed")


def test_acl_of_a_version(anne: S3Client, ben: S3Client, annes: str) -> None:
    anne.put_bucket_versioning(Bucket=annes, VersioningConfiguration={"Status": "Enabled"})
    first = anne.put_object(Bucket=annes, Key="v", Body=b"1")["VersionId"]
    second = anne.put_object(Bucket=annes, Key="v", Body=b"2")["VersionId"]
    before = anne.head_object(Bucket=annes, Key="v", VersionId=first)["LastModified"]
    anne.put_object_acl(Bucket=annes, Key="v", VersionId=first, ACL="public-read")
    after = anne.head_object(Bucket=annes, Key="v", VersionId=first)["LastModified"]
    assert after == before
    assert ben.get_object(Bucket=annes, Key="v", VersionId=first)["Body"].read() == b"1"
    assert refusal(ben.get_object, Bucket=annes, Key="v", VersionId=second) == "AccessDenied"
    listed = anne.list_object_versions(Bucket=annes, Prefix="v")["Versions"]
    assert [version["VersionId"] for version in listed] == [second, first]
    anne.delete_object(Bucket=annes, Key="v")
    assert refusal(anne.get_object_acl, Bucket=annes, Key="v") == "NoSuchKey"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"GrantRead": "id=nobody"}, "InvalidArgument"),
        ({"GrantRead": "ben"}, "InvalidArgument"),
        ({"GrantRead": "emailAddress=nobody@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"GrantRead": "id=ben-id", "ACL": "private"}, "InvalidRequest"),
        ({}, "MissingSecurityHeader"),
        (
            {"AccessControlPolicy": {"Owner": {"ID": "ben-id"}, "Grants": []}},
            "AccessDenied",
        ),
    ],
)
def test_bad_acls(anne: S3Client, ben: S3Client, annes: str, arguments: object, code: str) -> None:
    given: dict[str, object] = dict(arguments)  # type: ignore[call-overload]
    assert refusal(anne.put_object_acl, Bucket=annes, Key="k", **given) == code
    assert refusal(anne.put_bucket_acl, Bucket=annes, **given) == code
    assert grants_of(anne.get_bucket_acl(Bucket=annes)) == [("anne-id", "FULL_CONTROL")]
