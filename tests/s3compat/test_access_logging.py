"""Server access logging: its configuration, and that requests come to stand in the target bucket."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, list_keys, read
from tests.server import OTHER_KEYS, Keys, Server, ServerOptions

WAIT_S = 60.0
FIELDS = tuple(
    """owner bucket time address requester request_id operation key request status code sent size total turnaround
    referer agent version host_id signature cipher authentication host tls access_point acl""".split()  # noqa: SIM905
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A weir of its own, which is quick with its logs."""
    environment = {
        "WEIR_ACCESS_LOGGING_INTERVAL_S": "0.1",
        "WEIR_ACCESS_LOGGING_FLUSH_INTERVAL_S": "0.02",
        "WEIR_WEBSITE_DOMAINS": "site.test",
    }
    data = [tmp_path_factory.mktemp("logging") / "data"]
    running = Server(ServerOptions(data, workers=1, environment=environment))
    running.start()
    running.add_user("other", OTHER_KEYS)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> S3Client:
    return connect(server)


@pytest.fixture(scope="module")
def other_client(server: Server) -> S3Client:
    return connect(server, OTHER_KEYS)


@pytest.fixture
def make_bucket(client: S3Client) -> Callable[[], str]:
    """The module's server goes with all that is in it, so nothing is cleaned up."""

    def make() -> str:
        name = f"test-{secrets.token_hex(6)}"
        client.create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture
def source(make_bucket: Callable[[], str]) -> str:
    return make_bucket()


@pytest.fixture
def target(make_bucket: Callable[[], str], client: S3Client) -> str:
    """A bucket that takes its owner's logs."""
    name = make_bucket()
    _open(client, name)
    return name


def _open(client: S3Client, target: str) -> None:
    """By ACL, as buckets were opened to logs before policies knew of services."""
    acl: Any = "log-delivery-write"
    client.put_bucket_acl(Bucket=target, ACL=acl)


def _allow(client: S3Client, target: str, **conditions: Any) -> None:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
    }
    if conditions:
        statement["Condition"] = conditions
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket=target, Policy=json.dumps(policy))


def _log(client: S3Client, source: str, target: str, prefix: str = "log/", **more: Any) -> None:
    enabled = {"TargetBucket": target, "TargetPrefix": prefix, **more}
    request: Any = {"Bucket": source, "BucketLoggingStatus": {"LoggingEnabled": enabled}}
    client.put_bucket_logging(**request)


def _refusal(client: S3Client, source: str, target: str, **more: Any) -> str:
    with pytest.raises(ClientError) as caught:
        _log(client, source, target, **more)
    return code_of(caught.value)


# --- configuring -------------------------------------------------------------------------------------------------


def test_put_bucket_logging(client: S3Client, source: str, target: str) -> None:
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=source)
    forms: list[Any] = [
        {"SimplePrefix": {}},
        {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
        {"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}},
    ]
    for form in forms:
        _log(client, source, target, TargetObjectKeyFormat=form)
        assert client.get_bucket_logging(Bucket=source)["LoggingEnabled"] == {
            "TargetBucket": target,
            "TargetPrefix": "log/",
            "TargetObjectKeyFormat": form,
        }
    client.put_bucket_logging(Bucket=source, BucketLoggingStatus={})
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=source)


def test_put_bucket_logging_with_grants(client: S3Client, source: str, target: str) -> None:
    everybody = "http://acs.amazonaws.com/groups/global/AllUsers"
    grant = {"Grantee": {"Type": "Group", "URI": everybody}, "Permission": "READ"}
    _log(client, source, target, TargetGrants=[grant])
    shown = client.get_bucket_logging(Bucket=source)["LoggingEnabled"]
    assert shown["TargetGrants"] == [grant]


def test_put_bucket_logging_refused(
    client: S3Client, make_bucket: Callable[[], str], source: str, target: str
) -> None:
    assert _refusal(client, source, "no-such-bucket-at-all") == "NoSuchKey"
    assert _refusal(client, "no-such-bucket-at-all", target) == "NoSuchBucket"
    assert _refusal(client, target, target) == "InvalidArgument"
    assert _refusal(client, source, make_bucket()) == "AccessDenied"
    form = {"PartitionedPrefix": {"PartitionDateSource": "Tomorrow"}}
    assert _refusal(client, source, target, TargetObjectKeyFormat=form) == "MalformedXML"
    logged = make_bucket()
    _open(client, logged)
    _log(client, logged, target)
    assert _refusal(client, source, logged) == "InvalidArgument"
    client.put_bucket_request_payment(
        Bucket=target, RequestPaymentConfiguration={"Payer": "Requester"}
    )
    assert _refusal(client, source, target) == "InvalidArgument"


def test_put_bucket_logging_by_policy(
    client: S3Client, make_bucket: Callable[[], str], source: str
) -> None:
    target = make_bucket()
    _allow(client, target, ArnLike={"aws:SourceArn": "arn:aws:s3:::another"})
    assert _refusal(client, source, target) == "AccessDenied"
    owner = client.list_buckets()["Owner"]["ID"]
    _allow(
        client,
        target,
        ArnLike={"aws:SourceArn": f"arn:aws:s3:::{source}"},
        StringEquals={"aws:SourceAccount": owner},
    )
    _log(client, source, target)


def test_put_bucket_logging_by_acl(
    client: S3Client, make_bucket: Callable[[], str], source: str
) -> None:
    target = make_bucket()
    assert _refusal(client, source, target) == "AccessDenied"
    _open(client, target)
    _log(client, source, target)
    controls: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    client.put_bucket_acl(Bucket=target, ACL="private")
    client.put_bucket_ownership_controls(Bucket=target, OwnershipControls=controls)
    assert _refusal(client, source, target) == "AccessDenied"


def test_put_bucket_logging_for_the_owner_alone(
    client: S3Client, other_client: S3Client, source: str, target: str
) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:PutBucketLogging",
                "Resource": f"arn:aws:s3:::{source}",
            }
        ],
    }
    client.put_bucket_policy(Bucket=source, Policy=json.dumps(policy))
    assert _refusal(other_client, source, target) == "AccessDenied"


# --- what is logged ----------------------------------------------------------------------------------------------


def _records(client: S3Client, target: str, prefix: str = "log/") -> list[dict[str, str]]:
    found = []
    for key in list_keys(client, target, prefix):
        for line in read(client, target, key).decode().splitlines():
            values = shlex.split(line.replace("[", '"').replace("]", '"'))
            assert len(values) == len(FIELDS), line
            found.append(dict(zip(FIELDS, values, strict=True)))
    return found


def _wait_for(
    client: S3Client, target: str, *operations: str, prefix: str = "log/"
) -> dict[str, dict[str, str]]:
    """The records by operation, once all of these are there."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = {record["operation"]: record for record in _records(client, target, prefix)}
        if found.keys() >= set(operations):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_records_of_requests(client: S3Client, source: str, target: str) -> None:
    _log(client, source, target)
    key = 'a "b"/ü'
    put = client.put_object(Bucket=source, Key=key, Body=b"hello")
    client.get_object(Bucket=source, Key=key, Range="bytes=1-2")["Body"].read()
    client.head_object(Bucket=source, Key=key)
    client.copy_object(Bucket=source, Key="copy", CopySource={"Bucket": source, "Key": key})
    with pytest.raises(ClientError):
        client.get_object(Bucket=source, Key="absent")
    client.list_objects_v2(Bucket=source)
    client.get_bucket_acl(Bucket=source)
    client.delete_object(Bucket=source, Key="copy")
    client.delete_objects(Bucket=source, Delete={"Objects": [{"Key": key}]})
    found = _wait_for(
        client,
        target,
        "REST.PUT.OBJECT",
        "REST.GET.OBJECT",
        "REST.HEAD.OBJECT",
        "REST.COPY.OBJECT",
        "REST.COPY.OBJECT_GET",
        "REST.GET.BUCKET",
        "REST.GET.ACL",
        "REST.DELETE.OBJECT",
        "REST.POST.MULTI_OBJECT_DELETE",
        "BATCH.DELETE.OBJECT",
    )
    owner = client.list_buckets()["Owner"]["ID"]
    record = found["REST.PUT.OBJECT"]
    assert record["owner"] == record["requester"] == owner
    assert record["bucket"] == source
    assert re.fullmatch(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000", record["time"])
    assert record["address"] == "127.0.0.1"
    assert record["request_id"] == put["ResponseMetadata"]["RequestId"]
    assert record["key"] == "a%20%22b%22/%C3%BC"
    assert record["request"] == f"PUT /{source}/a%20%22b%22/%C3%BC HTTP/1.1"
    assert (record["status"], record["code"], record["size"]) == ("200", "-", "5")
    assert "Boto3" in record["agent"]
    assert (record["signature"], record["authentication"]) == ("SigV4", "AuthHeader")
    assert int(record["total"]) >= int(record["turnaround"])
    assert found["BATCH.DELETE.OBJECT"]["status"] == "204"
    assert found["REST.HEAD.OBJECT"]["size"] == "5"
    assert found["REST.COPY.OBJECT_GET"]["key"] == record["key"]
    gets = [each for each in _records(client, target) if each["operation"] == "REST.GET.OBJECT"]
    assert {(each["status"], each["code"]) for each in gets} == {("206", "-"), ("404", "NoSuchKey")}
    (ranged,) = [each for each in gets if each["status"] == "206"]
    assert (ranged["sent"], ranged["size"]) == ("2", "5")


def test_records_of_strangers(
    client: S3Client, other_client: S3Client, server: Server, source: str, target: str
) -> None:
    """What is refused is logged too, and what is sent cannot make a line look like another."""
    _log(client, source, target)
    reply = requests.get(
        f"{server.endpoint}/{source}/secret",
        headers={"user-agent": 'a" "b', "referer": "http://x/ 200"},
        timeout=30,
    )
    assert reply.status_code == 403
    with pytest.raises(ClientError):
        other_client.get_object_acl(Bucket=source, Key="secret")
    forger = connect(server, Keys(OTHER_KEYS.access_key, "not-the-secret-key-of-anybody"))
    with pytest.raises(ClientError):
        forger.head_bucket(Bucket=source)
    url = client.generate_presigned_url("list_objects_v2", Params={"Bucket": source})
    assert requests.get(url, timeout=30).status_code == 200
    found = _wait_for(
        client, target, "REST.GET.OBJECT", "REST.GET.ACL", "REST.GET.BUCKET", "REST.HEAD.BUCKET"
    )
    assert found["REST.HEAD.BUCKET"]["code"] == "SignatureDoesNotMatch"
    record = found["REST.GET.OBJECT"]
    assert (record["requester"], record["status"], record["code"]) == ("-", "403", "AccessDenied")
    assert (record["agent"], record["signature"]) == ("a%22 %22b", "-")
    assert found["REST.GET.ACL"]["code"] == "AccessDenied"
    listing = found["REST.GET.BUCKET"]
    assert listing["authentication"] == "QueryString"
    assert re.search(r"Signature=\.\.\.", listing["request"])


def test_records_of_visits_to_a_website(
    client: S3Client, server: Server, source: str, target: str
) -> None:
    _log(client, source, target)
    client.put_bucket_website(
        Bucket=source, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}}
    )
    host = {"host": f"{source}.site.test"}
    assert requests.get(f"{server.endpoint}/page", headers=host, timeout=30).status_code == 403
    record = _wait_for(client, target, "WEBSITE.GET.OBJECT")["WEBSITE.GET.OBJECT"]
    assert (record["key"], record["requester"], record["status"]) == ("page", "-", "403")


def test_names_of_log_objects(
    client: S3Client, make_bucket: Callable[[], str], source: str, target: str
) -> None:
    second = make_bucket()
    _log(client, source, target, "simple-")
    form = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    _log(client, second, target, "parts/", TargetObjectKeyFormat=form)
    for name in (source, second):
        client.put_object(Bucket=name, Key="k", Body=b"x")
    _wait_for(client, target, "REST.PUT.OBJECT", prefix="simple-")
    _wait_for(client, target, "REST.PUT.OBJECT", prefix="parts/")
    stamp = r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}"
    assert re.fullmatch(rf"simple-{stamp}", list_keys(client, target, "simple-")[0])
    owner = client.list_buckets()["Owner"]["ID"]
    place = rf"parts/{owner}/us-east-1/{second}/\d{{4}}/\d\d/\d\d/"
    name = list_keys(client, target, "parts/")[0]
    assert re.fullmatch(rf"{place}\d{{4}}-\d\d-\d\d-00-00-00-[0-9A-F]{{16}}", name)


def test_log_objects_carry_grants(
    client: S3Client, server: Server, source: str, target: str
) -> None:
    everybody = "http://acs.amazonaws.com/groups/global/AllUsers"
    grant = {"Grantee": {"Type": "Group", "URI": everybody}, "Permission": "READ"}
    _log(client, source, target, TargetGrants=[grant])
    client.put_object(Bucket=source, Key="k", Body=b"x")
    _wait_for(client, target, "REST.PUT.OBJECT")
    key = list_keys(client, target)[0]
    assert requests.get(f"{server.endpoint}/{target}/{key}", timeout=30).status_code == 200


def test_log_objects_are_encrypted_where_the_bucket_says_so(
    client: S3Client, source: str, target: str
) -> None:
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    rules: Any = {"Rules": [default]}
    _log(client, source, target)
    client.put_bucket_encryption(Bucket=target, ServerSideEncryptionConfiguration=rules)
    assert _refusal(client, source, target) == "InvalidArgument"
    client.put_object(Bucket=source, Key="k", Body=b"x")
    _wait_for(client, target, "REST.PUT.OBJECT")
    key = list_keys(client, target)[0]
    assert client.head_object(Bucket=target, Key=key)["ServerSideEncryption"] == "AES256"


def test_records_survive_a_kill(server: Server, client: S3Client, source: str, target: str) -> None:
    """What was flushed is delivered after the next start."""
    _log(client, source, target)
    server.stop()
    server.start({"WEIR_ACCESS_LOGGING_INTERVAL_S": "3600"})
    client.put_object(Bucket=source, Key="before", Body=b"x")
    spool = server.options.data_dirs[0] / "control" / "server-logs"
    deadline = time.monotonic() + WAIT_S
    while not any("before" in path.read_text() for path in spool.glob("*.log")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list_keys(client, target) == []
    server.kill()
    server.start()
    found = _wait_for(client, target, "REST.PUT.OBJECT")
    assert found["REST.PUT.OBJECT"]["key"] == "before"
    assert len(_records(client, target)) == len(
        {record["request_id"] for record in _records(client, target)}
    )
