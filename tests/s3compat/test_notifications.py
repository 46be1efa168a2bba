"""Event notifications: configurations and what is refused of them, and that what happened is told, once it did."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import requests
from botocore.exceptions import BotoCoreError, ClientError
from fakeredis import TcpFakeServer
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, list_keys
from tests.s3compat.receiver import WAIT_S, Receiver
from tests.server import Server, ServerOptions

HOOKS = "arn:weir:sqs:us-east-1:hooks:webhook"
OTHER_HOOKS = "arn:weir:sns:us-east-1:other:webhook"
STREAM = "arn:weir:lambda:us-east-1:stream:redis"
TOKEN = "Bearer of-good-news"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def other_receiver() -> Iterator[Receiver]:
    running = Receiver()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def broker() -> Iterator[redis.Redis]:
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    client = redis.Redis(port=server.server_address[1])
    yield client
    client.close()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    receiver: Receiver,
    other_receiver: Receiver,
    broker: redis.Redis,
) -> Iterator[Server]:
    """A weir of its own, which knows three destinations."""
    port = broker.connection_pool.connection_kwargs["port"]
    destinations = [
        {"name": "hooks", "kind": "webhook", "url": receiver.url, "authorization": TOKEN},
        {"name": "other", "kind": "webhook", "url": other_receiver.url},
        {"name": "stream", "kind": "redis", "url": f"redis://127.0.0.1:{port}", "stream": "s3"},
    ]
    environment = {
        "WEIR_EVENTS_DESTINATIONS": json.dumps(destinations),
        "WEIR_EVENTS_POLL_INTERVAL_S": "0.02",
        "WEIR_EVENTS_MAX_RETRY_INTERVAL_S": "0.2",
        "WEIR_LIFECYCLE_DAY_S": "0.001",
        "WEIR_LIFECYCLE_INTERVAL_S": "1e6",
    }
    data = [tmp_path_factory.mktemp("events") / name for name in ("disk1", "disk2")]
    running = Server(ServerOptions(data, workers=1, environment=environment))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> S3Client:
    return connect(server)


@pytest.fixture
def bucket(client: S3Client) -> str:
    """The module's server goes with all that is in it, so nothing is cleaned up."""
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    return name


def _queue(
    *events: str,
    arn: str = HOOKS,
    prefix: str | None = None,
    suffix: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    rules = [
        {"Name": name, "Value": value}
        for name, value in (("prefix", prefix), ("suffix", suffix))
        if value is not None
    ]
    filters = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"QueueArn": arn, "Events": list(events), **filters, **more}


def _configure(client: S3Client, bucket: str, **configuration: Any) -> None:
    request: Any = {"Bucket": bucket, "NotificationConfiguration": configuration}
    client.put_bucket_notification_configuration(**request)


def _refusal(client: S3Client, bucket: str, **configuration: Any) -> str:
    with pytest.raises(ClientError) as caught:
        _configure(client, bucket, **configuration)
    return code_of(caught.value)


# --- configuring -------------------------------------------------------------------------------------------------


def test_get_notification_configuration_unset(client: S3Client, bucket: str) -> None:
    reply = client.get_bucket_notification_configuration(Bucket=bucket)
    assert set(reply) == {"ResponseMetadata"}


def test_put_notification_configuration(client: S3Client, bucket: str) -> None:
    queue = _queue("s3:ObjectCreated:*", prefix="in/", suffix=".jpg", Id="images")
    topic = {"Id": "gone", "TopicArn": OTHER_HOOKS, "Events": ["s3:ObjectRemoved:Delete"]}
    function = {
        "Id": "tags",
        "LambdaFunctionArn": STREAM,
        "Events": ["s3:ObjectTagging:Put", "s3:ObjectTagging:Delete"],
    }
    _configure(
        client,
        bucket,
        QueueConfigurations=[queue],
        TopicConfigurations=[topic],
        LambdaFunctionConfigurations=[function],
    )
    reply = client.get_bucket_notification_configuration(Bucket=bucket)
    filters = reply["QueueConfigurations"][0].pop("Filter")
    assert filters == {
        "Key": {
            "FilterRules": [
                {"Name": "Prefix", "Value": "in/"},
                {"Name": "Suffix", "Value": ".jpg"},
            ]
        }
    }
    queue.pop("Filter")
    assert reply["QueueConfigurations"] == [queue]
    assert reply["TopicConfigurations"] == [topic]
    assert reply["LambdaFunctionConfigurations"] == [function]
    _configure(client, bucket)
    assert set(client.get_bucket_notification_configuration(Bucket=bucket)) == {"ResponseMetadata"}


def test_put_notification_configuration_makes_ids(client: S3Client, bucket: str) -> None:
    one, two = _queue("s3:ObjectCreated:Put"), _queue("s3:ObjectCreated:Copy")
    _configure(client, bucket, QueueConfigurations=[one, two])
    reply = client.get_bucket_notification_configuration(Bucket=bucket)
    assert len({rule["Id"] for rule in reply["QueueConfigurations"]}) == 2


_CREATED = "s3:ObjectCreated:*"


@pytest.mark.parametrize(
    "rules",
    [
        [_queue(_CREATED, arn="arn:aws:sqs:us-east-1:123456789012:queue")],
        [_queue(_CREATED, arn="nonsense")],
        [_queue(_CREATED, arn="arn:weir:sqs:us-east-1:nobody:webhook")],
        [_queue(_CREATED, arn="arn:weir:sqs:us-east-1:hooks:redis")],
        [_queue(_CREATED, arn="arn:weir:sns:us-east-1:hooks:webhook")],
        [_queue(_CREATED, arn="arn:weir:sqs:eu-west-9:hooks:webhook")],
        [_queue("s3:ObjectCreated:Whatever")],
        [_queue("s3:TestEvent")],
        [_queue(_CREATED, prefix="a" * 1025)],
        [_queue(_CREATED, Id="same"), _queue("s3:ObjectRemoved:*", Id="same")],
        [_queue(_CREATED, Id="i" * 256)],
        [_queue(_CREATED), _queue("s3:ObjectCreated:Put")],
        [_queue(_CREATED, prefix="a"), _queue(_CREATED, prefix="ab")],
        [_queue(_CREATED, suffix=".jpg"), _queue(_CREATED, suffix="jpg")],
        [
            _queue(
                _CREATED,
                Filter={
                    "Key": {
                        "FilterRules": [
                            {"Name": "prefix", "Value": "a"},
                            {"Name": "prefix", "Value": "b"},
                        ]
                    }
                },
            )
        ],
        [_queue(_CREATED, Filter={"Key": {"FilterRules": [{"Name": "infix", "Value": "a"}]}})],
    ],
)
def test_put_notification_configuration_refused(
    client: S3Client, bucket: str, rules: list[dict[str, Any]]
) -> None:
    assert _refusal(client, bucket, QueueConfigurations=rules) == "InvalidArgument"
    assert set(client.get_bucket_notification_configuration(Bucket=bucket)) == {"ResponseMetadata"}


def test_put_notification_configuration_malformed(client: S3Client, bucket: str) -> None:
    assert _refusal(client, bucket, QueueConfigurations=[_queue()]) == "MalformedXML"
    assert _refusal(client, bucket, EventBridgeConfiguration={}) == "NotImplemented"


def test_rules_that_do_not_meet(client: S3Client, bucket: str) -> None:
    _configure(
        client,
        bucket,
        QueueConfigurations=[
            _queue(_CREATED, prefix="a/"),
            _queue(_CREATED, prefix="b/", suffix=".x"),
            _queue(_CREATED, prefix="b/", suffix=".y"),
            _queue("s3:ObjectRemoved:*"),
        ],
    )


# --- being told --------------------------------------------------------------------------------------------------


def test_events_of_objects(client: S3Client, bucket: str, receiver: Receiver) -> None:
    _configure(
        client,
        bucket,
        QueueConfigurations=[_queue("s3:ObjectCreated:*", "s3:ObjectRemoved:*", Id="all")],
    )
    key = "a b/ü&.txt"
    etag = client.put_object(Bucket=bucket, Key=key, Body=b"hello")["ETag"]
    client.copy_object(
        Bucket=bucket,
        Key=key,
        CopySource={"Bucket": bucket, "Key": key},
        MetadataDirective="REPLACE",
    )
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")[
        "ETag"
    ]
    client.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": part, "PartNumber": 1}]},
    )
    client.delete_object(Bucket=bucket, Key="was-never-there")
    client.delete_object(Bucket=bucket, Key=key)
    expected = [
        "ObjectCreated:Put",
        "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectRemoved:Delete",
    ]
    receiver.wait_for(lambda: len(receiver.names(bucket)) == len(expected))
    records = receiver.records(bucket)
    assert [record["eventName"] for record in records] == expected
    sequencers = [record["s3"]["object"]["sequencer"] for record in records]
    assert sequencers == sorted(set(sequencers))
    owner = client.list_buckets()["Owner"]["ID"]
    _check_record(records[0], owner, bucket, etag)
    assert "size" not in records[-1]["s3"]["object"]
    assert any(headers.get("authorization") == TOKEN for headers in receiver.headers)


def _check_record(first: dict[str, Any], owner: str, bucket: str, etag: str) -> None:
    assert first["eventVersion"] == "2.1"
    assert first["eventSource"] == "aws:s3"
    assert first["awsRegion"] == "us-east-1"
    assert first["userIdentity"] == {"principalId": owner}
    assert first["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert set(first["responseElements"]) == {"x-amz-request-id", "x-amz-id-2"}
    assert first["s3"]["configurationId"] == "all"
    assert first["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    described = first["s3"]["object"]
    assert described["key"] == "a+b/%C3%BC%26.txt"
    assert (described["size"], f'"{described["eTag"]}"') == (5, etag)
    assert "versionId" not in described


def test_test_event(client: S3Client, bucket: str, receiver: Receiver) -> None:
    _configure(client, bucket, QueueConfigurations=[_queue("s3:ObjectCreated:*")])
    receiver.wait_for(lambda: any(each.get("Bucket") == bucket for each in receiver.messages))
    (message,) = [each for each in receiver.messages if each.get("Bucket") == bucket]
    assert (message["Service"], message["Event"]) == ("Amazon S3", "s3:TestEvent")


def test_filters(client: S3Client, bucket: str, receiver: Receiver) -> None:
    rule = _queue("s3:ObjectCreated:Put", prefix="in/", suffix=".jpg")
    _configure(client, bucket, QueueConfigurations=[rule])
    for key in ("in/one.png", "out/two.jpg", "in/three.jpg"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    client.delete_object(Bucket=bucket, Key="in/three.jpg")
    client.put_object(Bucket=bucket, Key="in/three.jpg", Body=b"xx")
    receiver.wait_for(lambda: len(receiver.names(bucket)) == 2)
    described = [record["s3"]["object"] for record in receiver.records(bucket)]
    assert [(each["key"], each["size"]) for each in described] == [
        ("in/three.jpg", 1),
        ("in/three.jpg", 2),
    ]


def test_events_of_versions(client: S3Client, bucket: str, receiver: Receiver) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    _configure(
        client, bucket, QueueConfigurations=[_queue("s3:ObjectCreated:*", "s3:ObjectRemoved:*")]
    )
    version = client.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    marker = client.delete_object(Bucket=bucket, Key="k")["VersionId"]
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    receiver.wait_for(lambda: len(receiver.names(bucket)) == 3)
    told = [
        (record["eventName"], record["s3"]["object"]["versionId"])
        for record in receiver.records(bucket)
    ]
    assert told == [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", version),
    ]


def test_events_of_tags_and_acls(client: S3Client, bucket: str, receiver: Receiver) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    _configure(
        client, bucket, QueueConfigurations=[_queue("s3:ObjectTagging:*", "s3:ObjectAcl:Put")]
    )
    client.put_object_tagging(
        Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
    )
    client.delete_object_tagging(Bucket=bucket, Key="k")
    client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    receiver.wait_for(lambda: len(receiver.names(bucket)) == 3)
    assert receiver.names(bucket) == ["ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put"]
    assert {record["eventVersion"] for record in receiver.records(bucket)} == {"2.3"}


def test_events_of_lifecycle_rules(
    client: S3Client, server: Server, bucket: str, receiver: Receiver
) -> None:
    client.put_object(Bucket=bucket, Key="old", Body=b"x")
    events = _queue("s3:LifecycleExpiration:*", "s3:ObjectRemoved:*")
    _configure(client, bucket, QueueConfigurations=[events])
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}]
        },
    )
    server.admin("job", "start", "lifecycle", "--bucket", bucket)
    receiver.wait_for(lambda: bool(receiver.names(bucket)))
    (record,) = receiver.records(bucket)
    assert record["eventName"] == "LifecycleExpiration:Delete"
    assert record["userIdentity"] == {"principalId": "s3.amazonaws.com"}


def test_events_of_anonymous_posts(
    client: S3Client, server: Server, bucket: str, receiver: Receiver
) -> None:
    client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    _configure(client, bucket, QueueConfigurations=[_queue("s3:ObjectCreated:Post")])
    reply = requests.post(
        f"{server.endpoint}/{bucket}", data={"key": "posted"}, files={"file": b"x"}, timeout=30
    )
    assert reply.status_code == 204
    receiver.wait_for(lambda: receiver.names(bucket) == ["ObjectCreated:Post"])
    (record,) = receiver.records(bucket)
    assert record["userIdentity"] == {"principalId": "Anonymous"}


def test_refused_changes_are_not_told(client: S3Client, bucket: str, receiver: Receiver) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    _configure(client, bucket, QueueConfigurations=[_queue("s3:ObjectCreated:*")])
    with pytest.raises(ClientError):
        client.put_object(Bucket=bucket, Key="k", Body=b"y", IfNoneMatch="*")
    client.put_object(Bucket=bucket, Key="end", Body=b"z")
    receiver.wait_for(lambda: bool(receiver.names(bucket)))
    assert [record["s3"]["object"]["key"] for record in receiver.records(bucket)] == ["end"]


def test_events_of_one_key_stay_in_order(client: S3Client, bucket: str, receiver: Receiver) -> None:
    """Also when the destination refuses some of them for a while."""
    _configure(client, bucket, QueueConfigurations=[_queue("s3:ObjectCreated:*")])
    for size in range(40):
        if size in (10, 20):
            receiver.status = 500 if size == 10 else 200
        client.put_object(Bucket=bucket, Key=f"key{size % 2}", Body=b"x" * size)
    receiver.wait_for(lambda: len(receiver.names(bucket)) >= 40)
    for key, sizes in (("key0", range(0, 40, 2)), ("key1", range(1, 40, 2))):
        told = [record["s3"]["object"] for record in receiver.records(bucket)]
        assert [each["size"] for each in told if each["key"] == key] == list(sizes)


def test_a_stream_of_redis_and_a_dead_webhook(
    client: S3Client, bucket: str, other_receiver: Receiver, broker: redis.Redis
) -> None:
    """What is down delays only itself, and is told all when it is back."""
    other_receiver.status = 503
    created = ["s3:ObjectCreated:*"]
    _configure(
        client,
        bucket,
        TopicConfigurations=[
            {
                "TopicArn": OTHER_HOOKS,
                "Events": created,
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "web"}]}},
            }
        ],
        LambdaFunctionConfigurations=[
            {
                "LambdaFunctionArn": STREAM,
                "Events": created,
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "red"}]}},
            }
        ],
    )
    for number in range(3):
        client.put_object(Bucket=bucket, Key=f"web{number}", Body=b"")
        client.put_object(Bucket=bucket, Key=f"red{number}", Body=b"")
    # Only messages about one key come in order: keys are on two disks.
    assert sorted(_streamed(broker, bucket, 3)) == ["red0", "red1", "red2"]
    other_receiver.wait_for(lambda: other_receiver.refused > 1)
    assert other_receiver.names(bucket) == []
    other_receiver.status = 200
    other_receiver.wait_for(lambda: len(other_receiver.names(bucket)) == 3)


def _streamed(broker: redis.Redis, bucket: str, count: int) -> list[str]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        entries: Any = broker.xrange("s3")
        messages = [json.loads(fields[b"event"]) for _, fields in entries]
        keys = [
            record["s3"]["object"]["key"]
            for message in messages
            for record in message.get("Records", ())
            if record["s3"]["bucket"]["name"] == bucket
        ]
        if len(keys) >= count:
            return keys
        time.sleep(0.02)
    raise AssertionError("the stream did not grow")


def test_events_survive_a_kill(
    server: Server, client: S3Client, bucket: str, receiver: Receiver
) -> None:
    """What was acknowledged is told after a restart, though everything died before a word of it got out."""
    _configure(client, bucket, QueueConfigurations=[_queue("s3:ObjectCreated:*")])
    receiver.wait_for(lambda: any(each.get("Bucket") == bucket for each in receiver.messages))
    receiver.status = 503
    for number in range(5):
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
    assert receiver.names(bucket) == []
    server.kill()
    receiver.status = 200
    server.start()
    receiver.wait_for(lambda: len(set(map(str, receiver.records(bucket)))) == 5)
    keys = {record["s3"]["object"]["key"] for record in receiver.records(bucket)}
    assert keys == {f"k{number}" for number in range(5)}


@pytest.mark.parametrize(
    ("point", "is_kept"), [("put:small-written", False), ("put:small-committed", True)]
)
def test_a_change_and_its_event_are_one(
    server: Server, client: S3Client, bucket: str, receiver: Receiver, point: str, is_kept: bool
) -> None:
    """Whatever dies between the two steps of a write: there is an event if and only if there is an object."""
    _configure(client, bucket, QueueConfigurations=[_queue("s3:ObjectCreated:*")])
    server.kill()
    server.start({"WEIR_DEBUG_CRASH_AT": point})
    with pytest.raises(BotoCoreError):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert server.wait_death(WAIT_S)
    server.kill()
    server.start()
    client.put_object(Bucket=bucket, Key="last", Body=b"")
    receiver.wait_for(lambda: "last" in _keys(receiver, bucket))
    expected = ["k", "last"] if is_kept else ["last"]
    assert list_keys(client, bucket) == expected
    receiver.wait_for(lambda: sorted(set(_keys(receiver, bucket))) == expected)


def _keys(receiver: Receiver, bucket: str) -> list[str]:
    return [record["s3"]["object"]["key"] for record in receiver.records(bucket)]
