"""Buckets of a provider by their identity: added when they are first used, bound and bound anew, listed, counted, and
found by their bare names by S3 clients."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aistore.sdk.errors import AISError
from botocore.exceptions import ClientError

from tests.remote.front import Front


@pytest.fixture
def there(front: Front) -> str:
    """A bucket at the provider that weir has not heard of."""
    name = f"there-{secrets.token_hex(6)}"
    front.there.create_bucket(Bucket=name)
    return name


@pytest.fixture
def mine(front: Front) -> Iterator[str]:
    """An ais bucket."""
    name = f"mine-{secrets.token_hex(6)}"
    front.sdk.bucket(name).create()
    yield name
    front.sdk.bucket(name).delete(missing_ok=True)


def known(front: Front, **query: str) -> set[str]:
    reply = front.ask("GET", "/v1/buckets", params=query, json={"action": "list"})
    assert reply.status_code == 200, reply.text
    return {f"{each['provider']}:{each['name']}" for each in reply.json()}


def bind(front: Front, bucket: str, **binding: Any) -> int:
    value = {"backend_bck": {"name": "", "provider": "", **binding}}
    message = {"action": "set-bprops", "value": value}
    return front.ask("PATCH", f"/v1/buckets/{bucket}", json=message).status_code


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_first_use_adds_a_bucket(front: Front, there: str) -> None:
    front.put_there(there, "k", b"far away")
    assert f"aws:{there}" not in known(front)
    assert front.bucket(there).object("k").get_reader().read_all() == b"far away"
    assert f"aws:{there}" in known(front)
    props = front.bucket(there).head()
    assert props["Ais-Bucket-Props"]


def test_a_batch_is_a_first_use(front: Front, there: str) -> None:
    """Of a bucket that an item names."""
    front.put_there(there, "k", b"far away")

    def ask(bucket: str) -> int:
        item = {"objname": "k", "bucket": bucket, "provider": "aws"}
        message = {"in": [item], "coer": True, "strm": True}
        return front.ask("GET", "/v1/ml/moss", json=message).status_code

    assert ask(there) == 200
    assert f"aws:{there}" in known(front, presence="2")
    assert ask(f"absent-{there}") == 404


def test_other_names_of_a_provider(front: Front, there: str) -> None:
    front.put_there(there, "k", b"1")
    reply = front.ask("GET", f"/v1/objects/{there}/k?provider=s3")
    assert (reply.status_code, reply.content) == (200, b"1")
    assert f"aws:{there}" in known(front, provider="s3", presence="2")


def test_buckets_that_are_not_there(front: Front) -> None:
    absent = f"absent-{secrets.token_hex(6)}"
    bucket = front.bucket(absent)
    started = time.monotonic()
    for ask in (
        bucket.head,
        bucket.list_objects,
        lambda: bucket.make_request("post", "create-bck"),
    ):
        with pytest.raises(AISError) as caught:
            ask()
        assert caught.value.status_code == 404
    assert time.monotonic() - started < 15  # Not repeated by the client.
    assert f"aws:{absent}" not in known(front)


@pytest.mark.parametrize(
    ("method", "query", "action", "status"),
    [
        ("HEAD", "presence=2", "", 404),
        ("HEAD", "dont_add_remote_bck_md=true", "", 200),
        ("GET", "", "list", 200),
        ("DELETE", "", "evict-remote-bck", 404),
        ("DELETE", "", "destroy-bck", 404),
    ],
)
def test_looking_without_adding(
    front: Front, there: str, method: str, query: str, action: str, status: int
) -> None:
    front.put_there(there, "k", b"1")
    message = {"action": action, "value": {"flags": "256"}} if action else None
    path = f"/v1/buckets/{there}?provider=aws&{query}"
    reply = front.ask(method, path, json=message)
    assert reply.status_code == status, reply.text
    if method == "GET":
        assert [each["name"] for each in reply.json()["entries"]] == ["k"]
    assert f"aws:{there}" not in known(front, presence="2")


def test_a_bucket_added_without_asking_for_it(front: Front) -> None:
    name = f"later-{secrets.token_hex(6)}"
    path = f"/v1/buckets/{name}?provider=aws&dont_head_remote_bck=true"
    message = {"action": "create-bck", "value": {"features": "1"}}
    assert front.ask("POST", path, json=message).status_code == 200
    assert front.ask("POST", path, json=message).status_code == 409
    with pytest.raises(AISError) as caught:
        front.bucket(name).list_objects()
    assert caught.value.status_code == 404
    front.there.create_bucket(Bucket=name)
    front.bucket(name).object("k").get_writer().put_content(b"1")
    assert front.read_there(name, "k") == b"1"


def test_lists_of_what_the_account_has(front: Front, there: str, remote: str) -> None:
    assert f"aws:{there}" in known(front, provider="aws")
    assert {each.name for each in front.sdk.cluster().list_buckets("aws")} >= {there, remote}
    outside = known(front, provider="aws", presence="5")
    assert f"aws:{there}" in outside
    assert f"aws:{remote}" not in outside
    inside = known(front, provider="aws", presence="2")
    assert f"aws:{remote}" in inside
    assert f"aws:{there}" not in inside
    assert not {each for each in known(front, provider="ais") if each.startswith("aws")}


def test_destroying_leaves_what_is_there(front: Front, remote: str) -> None:
    front.put_there(remote, "k", b"1")
    assert front.bucket(remote).object("k").get_reader().read_all() == b"1"
    front.bucket(remote).make_request("delete", "destroy-bck")
    assert f"aws:{remote}" not in known(front, presence="2")
    assert front.read_there(remote, "k") == b"1"


def test_counts_of_here_and_there(front: Front, remote: str) -> None:
    for number in range(3):
        front.put_there(remote, f"k{number}", b"x" * 10)
    bucket = front.bucket(remote)
    bucket.object("k1").get_reader().read_all()
    _, summary = bucket.info()
    assert summary["provider"] == "aws"
    assert summary["ObjCount"] == {"obj_count_present": "1", "obj_count_remote": "3"}
    assert summary["TotalSize"]["size_all_present_objs"] == "10"
    assert summary["TotalSize"]["size_all_remote_objs"] == "30"
    assert bucket.summary()["ObjCount"] == {"obj_count_present": "1", "obj_count_remote": "0"}


# --- binding -----------------------------------------------------------------------------------------------------


def test_an_ais_bucket_is_bound_bound_anew_and_let_go(front: Front, mine: str) -> None:
    first, second = front.new_bucket(), front.new_bucket()
    front.put_there(first, "k", b"of the first")
    front.put_there(first, "only-first", b"1")
    front.put_there(second, "k", b"of the second")
    bucket = front.sdk.bucket(mine)
    assert bind(front, mine, name=first, provider="aws") == 200
    assert bucket.object("k").get_reader().read_all() == b"of the first"
    assert front.s3.get_object(Bucket=mine, Key="k")["Body"].read() == b"of the first"
    assert bucket.object("only-first").get_reader().read_all() == b"1"
    assert bind(front, mine, name=second, provider="aws") == 200
    # Nothing that was kept of the first is seen.
    assert front.s3.get_object(Bucket=mine, Key="k")["Body"].read() == b"of the second"
    assert bucket.object("k").get_reader().read_all() == b"of the second"
    assert [each.name for each in bucket.list_all_objects()] == ["k"]
    with pytest.raises(AISError):
        bucket.object("only-first").get_reader().read_all()
    bucket.object("new").get_writer().put_content(b"2")
    assert front.read_there(second, "new") == b"2"
    assert bind(front, mine) == 200
    bucket.object("mine").get_writer().put_content(b"3")
    assert {each.name for each in bucket.list_all_objects()} == {"k", "new", "mine"}
    listed = front.there.list_objects_v2(Bucket=second)["Contents"]
    assert [each["Key"] for each in listed] == ["k", "new"]


def test_bindings_that_are_refused(front: Front, mine: str, remote: str) -> None:
    absent = f"absent-{secrets.token_hex(6)}"
    assert bind(front, mine, name=absent, provider="aws") == 404
    assert bind(front, mine, name=mine, provider="ais") == 400
    assert bind(front, mine, name="x", provider="nimbus") == 400
    assert (
        bind(front, mine, name="b", provider="ais", namespace={"uuid": "gone", "name": ""}) == 404
    )
    front.sdk.bucket(mine).object("k").get_writer().put_content(b"1")
    assert bind(front, mine, name=remote, provider="aws") == 409
    assert front.sdk.bucket(mine).object("k").get_reader().read_all() == b"1"
    reply = front.ask(
        "PATCH",
        f"/v1/buckets/{remote}?provider=aws",
        json={"action": "set-bprops", "value": {"backend_bck": {"name": "x", "provider": "aws"}}},
    )
    assert reply.status_code == 400


def test_what_a_job_would_do_to_copies_alone_is_refused(
    front: Front, mine: str, remote: str
) -> None:
    s3: Any = front.s3
    target = {"LoggingEnabled": {"TargetBucket": mine, "TargetPrefix": ""}}
    assert bind(front, mine, name=remote, provider="aws") == 200
    logged = f"logged-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=logged)
    s3.put_bucket_policy(Bucket=mine, Policy=_lets_logs_in(mine))
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_logging(Bucket=logged, BucketLoggingStatus=target)
    assert "must not live elsewhere" in str(caught.value)
    assert bind(front, mine) == 200
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=logged, LifecycleConfiguration={"Rules": [rule]})
    assert bind(front, logged, name=remote, provider="aws") == 400
    s3.delete_bucket(Bucket=logged)


def _lets_logs_in(bucket: str) -> str:
    return json.dumps(
        {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "logging.s3.amazonaws.com"},
                    "Action": "s3:PutObject",
                    "Resource": f"arn:aws:s3:::{bucket}/*",
                }
            ]
        }
    )


def test_renaming_is_for_buckets_of_ours(front: Front, remote: str) -> None:
    path = f"/v1/buckets/{remote}?provider=aws&bck_to=ais/@%23/other/"
    reply = front.ask("POST", path, json={"action": "move-bck"})
    assert reply.status_code == 400


# --- S3 ----------------------------------------------------------------------------------------------------------


def test_s3_clients_find_it_by_its_bare_name(front: Front, remote: str) -> None:
    front.put_there(remote, "k", b"1")
    assert front.s3.get_object(Bucket=remote, Key="k")["Body"].read() == b"1"
    assert front.s3.head_bucket(Bucket=remote)["BucketRegion"] == "us-east-1"
    assert front.s3.get_bucket_location(Bucket=remote)["LocationConstraint"] is None
    assert remote in {each["Name"] for each in front.s3.list_buckets()["Buckets"]}
    front.s3.put_object(Bucket=remote, Key="new", Body=b"2")
    assert front.read_there(remote, "new") == b"2"


def test_a_name_that_is_taken_elsewhere(front: Front, remote: str) -> None:
    with pytest.raises(ClientError) as caught:
        front.s3.create_bucket(Bucket=remote)
    assert code_of(caught) == ("BucketAlreadyOwnedByYou", 409)
    # Natively both can be; what is ours is then meant first.
    front.put_there(remote, "k", b"there")
    front.sdk.bucket(remote).create().object("k").get_writer().put_content(b"here")
    try:
        assert front.s3.get_object(Bucket=remote, Key="k")["Body"].read() == b"here"
        assert front.bucket(remote).object("k").get_reader().read_all() == b"there"
    finally:
        front.sdk.bucket(remote).delete()
    assert front.s3.get_object(Bucket=remote, Key="k")["Body"].read() == b"there"


def test_what_only_the_other_side_could_keep_is_refused(front: Front, remote: str) -> None:
    s3: Any = front.s3
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    sse = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    asks: tuple[Callable[[], object], ...] = (
        lambda: s3.delete_bucket(Bucket=remote),
        lambda: s3.put_bucket_versioning(
            Bucket=remote, VersioningConfiguration={"Status": "Enabled"}
        ),
        lambda: s3.put_bucket_lifecycle_configuration(
            Bucket=remote, LifecycleConfiguration={"Rules": [rule]}
        ),
        lambda: s3.put_bucket_encryption(
            Bucket=remote, ServerSideEncryptionConfiguration={"Rules": [sse]}
        ),
    )
    for ask in asks:
        with pytest.raises(ClientError) as caught:
            ask()
        assert code_of(caught) == ("NotImplemented", 501)
        assert "lives elsewhere" in str(caught.value)
    assert "Status" not in s3.get_bucket_versioning(Bucket=remote)
    front.there.head_bucket(Bucket=remote)


def test_policies_and_tags_are_our_own(front: Front, remote: str) -> None:
    tags = [{"Key": "team", "Value": "a"}]
    front.s3.put_bucket_tagging(Bucket=remote, Tagging={"TagSet": tags})  # type: ignore[typeddict-item]
    assert front.s3.get_bucket_tagging(Bucket=remote)["TagSet"] == tags
    with pytest.raises(ClientError):
        front.there.get_bucket_tagging(Bucket=remote)


def test_deleting_a_bound_bucket_of_ours(front: Front, mine: str, remote: str) -> None:
    front.put_there(remote, "k", b"1")
    assert bind(front, mine, name=remote, provider="aws") == 200
    with pytest.raises(ClientError) as caught:
        front.s3.delete_bucket(Bucket=mine)
    assert code_of(caught) == ("BucketNotEmpty", 409)
    front.there.delete_object(Bucket=remote, Key="k")
    front.s3.delete_bucket(Bucket=mine)
    front.there.head_bucket(Bucket=remote)


# --- other clusters ----------------------------------------------------------------------------------------------


def test_clusters_are_attached_and_let_go(front: Front) -> None:
    def attached() -> dict[str, str]:
        found = front.ask("GET", "/v1/cluster?what=remote").json()["a"] or []
        return {each["alias"]: each["url"] for each in found}

    path = "/v1/cluster/attach?what=remote&other=http://127.0.0.1:9"
    assert front.ask("PUT", path).status_code == 200
    assert attached() == {"other": "http://127.0.0.1:9"}
    path = "/v1/buckets/b?provider=ais&namespace=@other%23"
    assert 400 <= front.ask("HEAD", path).status_code < 500
    assert front.ask("PUT", "/v1/cluster/detach?what=remote&other=").status_code == 200
    assert attached() == {}
    assert front.ask("PUT", "/v1/cluster/detach?other=").status_code == 404
    for wrong in ("", "?a%2Fb=http://x", "?other=ftp://x", "?other="):
        assert front.ask("PUT", f"/v1/cluster/attach{wrong}").status_code == 400
