"""The SDK with tokens: what each permits, 401 and 403, and taking tokens back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from aistore.sdk import Client, Object
from aistore.sdk.errors import AISError

from tests.native.sdk import connect
from tests.native.tokens import Guarded, start_guarded
from tests.server import OTHER_KEYS

BUCKET = "guarded"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = start_guarded(tmp_path_factory.mktemp("tokens") / "data")
    try:
        made.server.add_user("alice", OTHER_KEYS)
        admin = made.s3(made.issue("--admin"))
        for name in (BUCKET, "elsewhere"):
            admin.create_bucket(Bucket=name)
            admin.put_object(Bucket=name, Key="k", Body=b"data")
        yield made
    finally:
        made.server.stop()


@contextmanager
def refused(status: int, said: str = "") -> Iterator[None]:
    with pytest.raises(AISError) as caught:
        yield
    assert caught.value.status_code == status
    assert said in str(caught.value)


def object_of(client: Client, bucket: str = BUCKET, name: str = "k") -> Object:
    return client.bucket(bucket).object(name)


def read(client: Client, bucket: str = BUCKET) -> bytes:
    data: bytes = object_of(client, bucket).get_reader().read_all()
    return data


def write(client: Client, name: str = "w") -> None:
    object_of(client, name=name).get_writer().put_content(b"written")


def test_no_token(guarded: Guarded) -> None:
    client = connect(guarded.server)
    with refused(401, "token required"):
        read(client)
    with refused(401, "token required"):
        write(client)


def test_nobody_sends_long_messages(guarded: Guarded) -> None:
    message = {"action": "list", "value": "x" * 100_000}
    reply = guarded.ask("GET", f"/v1/buckets/{BUCKET}", json=message)
    assert (reply.status_code, "token required" in reply.text) == (401, True)
    admin = guarded.issue("--admin")
    assert guarded.ask("GET", f"/v1/buckets/{BUCKET}", admin, json=message).status_code == 400


def test_token_of_the_environment(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_AUTHN_TOKEN", guarded.issue("--admin"))
    assert read(connect(guarded.server)) == b"data"


def test_read_only(guarded: Guarded) -> None:
    client = connect(guarded.server, token=guarded.issue("--bucket", f"{BUCKET}=ro"))
    assert read(client) == b"data"
    object_of(client).head()
    with refused(403):
        write(client)
    with refused(403):
        object_of(client).delete()
    with refused(403):
        object_of(client).get_writer().set_custom_props({"a": "b"})
    with refused(403):
        read(client, "elsewhere")


def test_read_write(guarded: Guarded) -> None:
    client = connect(guarded.server, token=guarded.issue("--bucket", f"{BUCKET}=rw"))
    write(client)
    object_of(client, name="w").delete()
    with refused(403):
        object_of(client).get_writer().set_custom_props({"a": "b"})


@pytest.mark.parametrize("permission", ["get", "put", "head-object", "delete-object"])
def test_one_permission_alone(guarded: Guarded, permission: str) -> None:
    client = connect(guarded.server, token=guarded.issue("--cluster", permission))
    write(connect(guarded.server, token=guarded.issue("--admin")), "one")
    one = object_of(client, name="one")
    calls = {
        "get": lambda: one.get_reader().read_all(),
        "put": lambda: one.get_writer().put_content(b"x"),
        "head-object": one.head,
        "delete-object": one.delete,
    }
    calls.pop(permission)()
    for call in calls.values():
        with refused(403):
            call()


@pytest.mark.parametrize(
    "permission",
    [
        "list-buckets",
        "show-cluster",
        "create-bucket",
        "head-bucket",
        "list-objects",
        "patch",
        "destroy-bucket",
    ],
)
def test_one_permission_on_buckets_alone(guarded: Guarded, permission: str) -> None:
    client = connect(guarded.server, token=guarded.issue("--cluster", permission))
    guarded.s3(guarded.issue("--admin")).create_bucket(Bucket="shared")
    shared = client.bucket("shared")
    calls = {
        "list-buckets": client.cluster().list_buckets,
        "show-cluster": client.cluster().get_info,
        "create-bucket": lambda: client.bucket(f"made-by-{permission}").create(),
        "head-bucket": shared.head,
        "list-objects": shared.list_objects,
        "patch": lambda: guarded_patch(guarded, permission),
        "destroy-bucket": shared.delete,
    }
    allowed = calls.pop(permission)
    for call in calls.values():
        with refused(403):
            call()
    allowed()


def guarded_patch(guarded: Guarded, permission: str) -> None:
    """What the SDK has no call for: changing a property of the bucket."""
    message = {"action": "set-bprops", "value": {"mirror": {"enabled": False}}}
    token = guarded.issue("--cluster", permission)
    reply = guarded.ask("PATCH", "/v1/buckets/shared", token, json=message)
    if reply.status_code >= 400:
        raise AISError(reply.status_code, reply.text, "", reply.request)


def test_token_of_a_user(guarded: Guarded) -> None:
    client = connect(guarded.server, token=guarded.issue("--cluster", "all", subject="alice"))
    with refused(403):
        read(client)
    client.bucket("alices").create()
    assert [bucket.name for bucket in client.cluster().list_buckets()] == ["alices"]
    # Files of the server's machine are nothing that an account of its own has a say in.
    with refused(403):
        client.bucket("alices").object("k").promote("/etc/hostname")


def test_bad_tokens(guarded: Guarded) -> None:
    with refused(401, "no JWT"):
        read(connect(guarded.server, token="nonsense"))
    token = guarded.issue("--admin")
    damaged = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    reply = guarded.ask("GET", f"/v1/objects/{BUCKET}/k", damaged)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.json()["status"] == 401
    assert damaged not in reply.text


def test_expired(guarded: Guarded) -> None:
    token = guarded.issue("--admin", "--expires", "1s")
    deadline = time.monotonic() + 20
    while guarded.ask("GET", f"/v1/objects/{BUCKET}/k", token).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with refused(401, "expired"):
        read(connect(guarded.server, token=token))


def test_revoked(guarded: Guarded) -> None:
    admin = guarded.issue("--admin")
    token = guarded.issue("--cluster", "ro", subject="gone")
    client = connect(guarded.server, token=token)
    read(client)
    body = {"tokens": [token], "version": 1}
    assert guarded.ask("DELETE", "/v1/tokens", token, json=body).status_code == 403
    assert guarded.ask("DELETE", "/v1/tokens", json=body).status_code == 401
    assert guarded.ask("DELETE", "/v1/tokens", admin, json=body).status_code == 200
    with refused(401, "revoked"):
        read(client)


@pytest.mark.parametrize("body", [[], {"tokens": "x"}, {"tokens": [5]}, {"tokens": [""] * 10_001}])
def test_revoking_what_is_no_list(guarded: Guarded, body: object) -> None:
    reply = guarded.ask("DELETE", "/v1/tokens", guarded.issue("--admin"), json=body)
    assert reply.status_code == 400


def test_rotated_key(guarded: Guarded) -> None:
    before = guarded.issue("--cluster", "ro", subject="before")
    guarded.server.admin("token", "rotate-key")
    after = guarded.issue("--cluster", "ro", subject="after")
    for token in (before, after):
        assert read(connect(guarded.server, token=token)) == b"data"
    assert len(guarded.ask("GET", "/.well-known/jwks.json").json()["keys"]) == 2


def test_inspect(guarded: Guarded) -> None:
    said = guarded.server.admin("token", "inspect", guarded.issue("--cluster", "ro")).stdout
    assert '"state": "good here"' in said
    assert '"perm": "771"' in said


def test_discovery(guarded: Guarded) -> None:
    guarded.issue("--admin")
    found = guarded.ask("GET", "/.well-known/openid-configuration").json()
    assert found["issuer"] == guarded.server.endpoint
    keys = requests.get(found["jwks_uri"], timeout=60)
    assert "max-age" in keys.headers["cache-control"]
    assert {"kty", "kid", "n", "e", "alg", "use"} == set(keys.json()["keys"][0])
    assert guarded.ask("PUT", "/.well-known/jwks.json").status_code == 405
    assert guarded.ask("GET", "/.well-known/other").status_code == 404
