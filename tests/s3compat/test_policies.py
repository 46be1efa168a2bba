"""Policies of buckets and users, policy status and request payment, through boto3 and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, read, status_of
from tests.s3compat.wire import exchange
from tests.server import OTHER_KEYS, Keys, Server


@pytest.fixture
def own(client: S3Client, bucket: str) -> Iterator[str]:
    """A bucket whose policy is gone before the bucket is emptied."""
    yield bucket
    client.delete_bucket_policy(Bucket=bucket)


@pytest.fixture(scope="module")
def anonymous(server: Server) -> S3Client:
    return connect(server, config=Config(signature_version=UNSIGNED))


@pytest.fixture(scope="module")
def other_id(other_client: S3Client) -> str:
    return other_client.list_buckets()["Owner"]["ID"]


def statement(bucket: str, action: Any, key: str = "*", **more: Any) -> dict[str, Any]:
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{key}"]
    found = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resources}
    return {**found, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def put(client: S3Client, bucket: str, *statements: dict[str, Any]) -> None:
    client.put_bucket_policy(Bucket=bucket, Policy=document(*statements))


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code of a call that must fail."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return code_of(raised.value)


def test_policy_round_trip(client: S3Client, own: str) -> None:
    assert refused(client.get_bucket_policy, Bucket=own) == "NoSuchBucketPolicy"
    text = document(statement(own, "s3:GetObject"))
    answer = client.put_bucket_policy(Bucket=own, Policy=text)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.get_bucket_policy(Bucket=own)["Policy"] == text
    assert client.get_bucket_policy_status(Bucket=own)["PolicyStatus"]["IsPublic"]
    client.delete_bucket_policy(Bucket=own)
    assert refused(client.get_bucket_policy, Bucket=own) == "NoSuchBucketPolicy"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Action": "s3:Fly"}, "Policy has invalid action"),
        ({"Principal": {"AWS": "arn:aws:iam::1:group/x"}}, "Invalid principal in policy"),
        ({"Resource": "arn:aws:s3:::another/*"}, "Policy has invalid resource"),
        ({"Condition": {"Like": {"s3:prefix": "x"}}}, "Invalid Condition type : Like"),
        ({"Effect": "Perhaps"}, "Invalid effect: Perhaps"),
    ],
)
def test_malformed_policy(client: S3Client, own: str, change: Any, message: str) -> None:
    with pytest.raises(ClientError) as raised:
        put(client, own, statement(own, "s3:GetObject", **change))
    assert (status_of(raised.value), code_of(raised.value)) == (400, "MalformedPolicy")
    assert raised.value.response["Error"]["Message"] == message


def test_hostile_policies(server: Server, own: str) -> None:
    for text in (
        b"",
        b"\xff",
        b"{" * 19_000,
        b'{"Statement":' + b"[" * 9000 + b"]" * 9000 + b"}",
        b'{"Statement":' + b"9" * 19_000 + b"}",
        b'{"a":1,"a":2}',
        b" " * 30_000,
    ):
        reply = exchange(server, "PUT", f"/{own}?policy", body=text)
        assert (reply.status, reply.error_code) == (400, "MalformedPolicy")


def test_slow_patterns_are_not_slow(client: S3Client, other_client: S3Client, own: str) -> None:
    client.put_object(Bucket=own, Key="a" * 1000, Body=b"x")
    put(client, own, statement(own, "s3:GetObject", "*a?" * 5000 + "b"))
    assert refused(other_client.get_object, Bucket=own, Key="a" * 1000) == "AccessDenied"


def test_one_user_is_let_in(
    client: S3Client, other_client: S3Client, anonymous: S3Client, own: str, other_id: str
) -> None:
    client.put_object(Bucket=own, Key="home/other/k", Body=b"x")
    client.put_object(Bucket=own, Key="home/else/k", Body=b"x")
    for principal in (other_id, f"arn:aws:iam::{other_id}:root", "arn:aws:iam:::user/other"):
        mine = "home/${aws:username}/*"
        put(client, own, statement(own, "s3:GetObject", mine, Principal={"AWS": principal}))
        assert read(other_client, own, "home/other/k") == b"x"
        assert refused(other_client.get_object, Bucket=own, Key="home/else/k") == "AccessDenied"
        assert refused(anonymous.get_object, Bucket=own, Key="home/other/k") == "AccessDenied"
        assert refused(other_client.list_objects_v2, Bucket=own) == "AccessDenied"


def test_public_reading(client: S3Client, anonymous: S3Client, own: str) -> None:
    client.put_object(Bucket=own, Key="k", Body=b"open")
    put(client, own, statement(own, "s3:GetObject"))
    assert read(anonymous, own, "k") == b"open"
    assert anonymous.head_object(Bucket=own, Key="k")["ContentLength"] == 4
    # Who may not list is not told what is absent.
    assert refused(anonymous.get_object, Bucket=own, Key="absent") == "AccessDenied"
    put(client, own, statement(own, ["s3:GetObject", "s3:ListBucket"]))
    assert refused(anonymous.get_object, Bucket=own, Key="absent") == "NoSuchKey"


def test_denied_by_condition(client: S3Client, own: str) -> None:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    put(client, own, statement(own, "s3:PutObject", Effect="Deny", Condition=insecure))
    assert refused(client.put_object, Bucket=own, Key="k", Body=b"x") == "AccessDenied"
    elsewhere = {"NotIpAddress": {"aws:SourceIp": ["127.0.0.0/8", "::1/128"]}}
    put(client, own, statement(own, "s3:PutObject", Effect="Deny", Condition=elsewhere))
    client.put_object(Bucket=own, Key="k", Body=b"x")


def test_age_and_kind_of_signature(client: S3Client, own: str) -> None:
    client.put_object(Bucket=own, Key="k", Body=b"x")
    presigned = {"StringNotEquals": {"s3:authType": "REST-HEADER"}}
    put(client, own, statement(own, "s3:GetObject", Effect="Deny", Condition=presigned))
    assert read(client, own, "k") == b"x"
    old = {"NumericGreaterThan": {"s3:signatureAge": "600000"}}
    other = {"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}
    put(client, own, *(statement(own, "s3:*", Effect="Deny", Condition=c) for c in (old, other)))
    assert read(client, own, "k") == b"x"


def test_listing_conditions(client: S3Client, other_client: S3Client, own: str) -> None:
    put(
        client,
        own,
        statement(
            own,
            "s3:ListBucket",
            Condition={
                "StringEquals": {"s3:prefix": ["", "open/"], "s3:delimiter": "/"},
                "NumericLessThanEquals": {"s3:max-keys": "10"},
            },
        ),
    )
    asked: Any = {"Bucket": own, "Delimiter": "/", "MaxKeys": 10}
    other_client.list_objects_v2(**asked, Prefix="open/")
    other_client.list_objects(**asked, Prefix="")
    for change in ({"Prefix": "shut/"}, {"MaxKeys": 11}, {"Delimiter": "|"}):
        asked_more: Any = {**asked, "Prefix": "", **change}
        assert refused(other_client.list_objects_v2, **asked_more) == "AccessDenied"


def test_multipart_needs_put(client: S3Client, other_client: S3Client, own: str) -> None:
    put(client, own, statement(own, "s3:PutObject", "up/*"))
    upload = other_client.create_multipart_upload(Bucket=own, Key="up/k")["UploadId"]
    named: Any = {"Bucket": own, "Key": "up/k", "UploadId": upload}
    part = other_client.upload_part(**named, PartNumber=1, Body=b"x")
    assert refused(other_client.list_parts, **named) == "AccessDenied"
    assert refused(other_client.abort_multipart_upload, **named) == "AccessDenied"
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    other_client.complete_multipart_upload(**named, MultipartUpload=parts)
    assert refused(other_client.create_multipart_upload, Bucket=own, Key="k") == "AccessDenied"
    # What another wrote is another's, though it lies in one's bucket.
    other_client.get_object_acl(Bucket=own, Key="up/k")


def test_owner_is_never_locked_out(server: Server, other_client: S3Client, own: str) -> None:
    name = f"{own}-other"
    other_client.create_bucket(Bucket=name)
    lock = document(statement(name, "s3:*", Effect="Deny"))
    other_client.put_bucket_policy(Bucket=name, Policy=lock)
    assert refused(other_client.list_objects_v2, Bucket=name) == "AccessDenied"
    assert refused(connect(server).list_objects_v2, Bucket=name) == "AccessDenied"
    assert other_client.get_bucket_policy(Bucket=name)["Policy"] == lock
    other_client.put_bucket_policy(Bucket=name, Policy=lock, ConfirmRemoveSelfBucketAccess=True)
    assert refused(other_client.delete_bucket_policy, Bucket=name) == "AccessDenied"
    connect(server).delete_bucket_policy(Bucket=name)
    other_client.delete_bucket(Bucket=name)


def test_others_policies(client: S3Client, other_client: S3Client, own: str) -> None:
    put(client, own, statement(own, "s3:*"))
    assert refused(other_client.get_bucket_policy, Bucket=own) == "MethodNotAllowed"
    assert refused(other_client.delete_bucket_policy, Bucket=own) == "MethodNotAllowed"


def test_public_access_block(client: S3Client, other_client: S3Client, own: str) -> None:
    put(client, own, statement(own, "s3:ListBucket"))
    other_client.list_objects_v2(Bucket=own)
    block: Any = {"RestrictPublicBuckets": True, "BlockPublicPolicy": True}
    client.put_public_access_block(Bucket=own, PublicAccessBlockConfiguration=block)
    assert refused(other_client.list_objects_v2, Bucket=own) == "AccessDenied"
    with pytest.raises(ClientError) as raised:
        put(client, own, statement(own, "s3:GetObject"))
    assert code_of(raised.value) == "AccessDenied"


def test_requester_pays(
    client: S3Client, other_client: S3Client, anonymous: S3Client, own: str
) -> None:
    client.put_object(Bucket=own, Key="k", Body=b"x")
    put(client, own, statement(own, ["s3:GetObject", "s3:ListBucket"]))
    assert client.get_bucket_request_payment(Bucket=own)["Payer"] == "BucketOwner"
    payment: Any = {"Payer": "Requester"}
    client.put_bucket_request_payment(Bucket=own, RequestPaymentConfiguration=payment)
    assert client.get_bucket_request_payment(Bucket=own)["Payer"] == "Requester"
    assert refused(other_client.get_object, Bucket=own, Key="k") == "AccessDenied"
    answer = other_client.get_object(Bucket=own, Key="k", RequestPayer="requester")
    assert answer["RequestCharged"] == "requester"
    assert answer["Body"].read() == b"x"
    other_client.list_objects_v2(Bucket=own, RequestPayer="requester")
    pays: Any = {"RequestPayer": "requester"}
    assert refused(anonymous.get_object, Bucket=own, Key="k", **pays) == "AccessDenied"
    assert "RequestCharged" not in client.get_object(Bucket=own, Key="k")


def test_policies_of_a_user(server: Server, client: S3Client, own: str, tmp_path: Path) -> None:
    keys = Keys("WEIRBOUNDUSER0000004", "bound/user+secret=00000000000000000000000")
    server.add_user("bound", keys)
    bound = connect(server, keys)
    bound.create_bucket(Bucket=f"{own}-bound")
    reads = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
    file = tmp_path / "policy.json"
    file.write_text(document(reads))
    server.admin("user", "policy", "put", "bound", "reader", str(file))
    bound.list_buckets()
    bound.list_objects_v2(Bucket=f"{own}-bound")
    assert refused(bound.put_object, Bucket=f"{own}-bound", Key="k", Body=b"x") == "AccessDenied"
    assert refused(bound.create_bucket, Bucket=f"{own}-more") == "AccessDenied"
    # What its account may not, no policy of its own gives it.
    assert refused(bound.list_objects_v2, Bucket=own) == "AccessDenied"
    assert refused(connect(server, OTHER_KEYS).list_objects_v2, Bucket=own) == "AccessDenied"
    server.admin("user", "policy", "rm", "bound", "reader")
    bound.delete_bucket(Bucket=f"{own}-bound")
    server.admin("user", "rm", "bound")
