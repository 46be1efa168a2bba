"""Accounts of a provider side by side, who may use them, and that their secrets are never told."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from aistore.sdk import Client
from aistore.sdk.namespace import Namespace
from botocore.exceptions import ClientError

from tests.counterparts.process import Counterpart, free_port, program
from tests.counterparts.started import S3Endpoint
from tests.s3compat.boto import connect as connect_boto
from tests.server import OTHER_KEYS, Keys, Server, ServerOptions

TEAM_KEYS = Keys("AKIATEAMACCESSKEY001", "team/secret+key=that0nobody1else2sees345")
TEAM = Namespace(uuid="", name="team")


@dataclass(frozen=True, slots=True)
class Place:
    """A weir with access control, its default account of aws at one moto, and `team` at another."""

    server: Server
    default: S3Endpoint
    team: S3Endpoint
    root: str
    alice: str

    def client(self, token: str) -> Client:
        return Client(self.server.endpoint, token=token)

    def ask(self, method: str, path: str, token: str = "", **more: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {token or self.root}"
            return session.request(method, f"{self.server.endpoint}{path}", timeout=60, **more)


def add_account(server: Server, directory: Path, name: str, at: S3Endpoint, *more: str) -> None:
    secret = directory / f"{name}.secret"
    secret.write_text(f"{at.keys.secret_key}\n")
    identity = ("aws", name) if name else ("aws",)
    options = (
        "--endpoint",
        at.endpoint,
        "--account-region",
        at.region,
        "--option",
        "addressing=path",
    )
    server.admin(
        "account",
        "add",
        *identity,
        *options,
        *("--secret", f"access_key=file:{access_key_file(directory, at)}"),
        *("--secret", f"secret_key=file:{secret}"),
        *more,
    )


def access_key_file(directory: Path, at: S3Endpoint) -> Path:
    path = directory / f"{at.keys.access_key}.id"
    path.write_text(at.keys.access_key)
    return path


@pytest.fixture(scope="module")
def second_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Endpoint]:
    port = free_port()
    directory = tmp_path_factory.mktemp("moto2")
    command = [program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    moto = Counterpart(command, port, directory / "log")
    moto.start()
    try:
        yield S3Endpoint(moto.endpoint, TEAM_KEYS)
    finally:
        moto.stop()


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, moto: S3Endpoint, second_moto: S3Endpoint
) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("accounts")
    options = ServerOptions(
        [directory / "data"],
        arguments=("--log-level", "debug"),
        environment=moto.environment() | {"AWS_EC2_METADATA_DISABLED": "true"},
    )
    server = Server(options)
    server.start()
    try:
        server.add_user("alice", OTHER_KEYS)
        add_account(server, directory, "team", second_moto)
        root, alice = (
            server.admin("token", "create", "--cluster", "all", "--sub", name).stdout.strip()
            for name in ("root", "alice")
        )
        yield Place(server, moto, second_moto, root, alice)
    finally:
        server.stop()


@pytest.fixture
def twins(place: Place) -> str:
    """A name that a bucket of each account has."""
    name = f"twin-{secrets.token_hex(6)}"
    for at, data in ((place.default, b"default"), (place.team, b"team")):
        client = at.client()
        client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key="k", Body=data)
    return name


def test_same_names_of_two_accounts(place: Place, twins: str) -> None:
    client = place.client(place.root)
    default = client.bucket(twins, provider="aws")
    team = client.bucket(twins, provider="aws", namespace=TEAM)
    assert team.object("k").get_reader().read_all() == b"team"
    # S3 clients find the one that is known here.
    s3 = connect_boto(place.server)
    assert s3.get_object(Bucket=twins, Key="k")["Body"].read() == b"team"
    assert default.object("k").get_reader().read_all() == b"default"
    assert team.object("k").get_reader().read_all() == b"team"
    team.object("new").get_writer().put_content(b"1")
    assert place.team.client().get_object(Bucket=twins, Key="new")["Body"].read() == b"1"
    assert [each.name for each in default.list_all_objects()] == ["k"]
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=twins, Key="k")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=twins, Key="k")
    assert caught.value.response["Error"]["Code"] == "AmbiguousBucketName"
    names = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert names.count(twins) == 1
    listed = place.ask("GET", "/v1/buckets?provider=aws&namespace=%23team", json={"action": "list"})
    assert {each["namespace"]["name"] for each in listed.json()} == {"team"}


def test_an_account_that_a_binding_names(place: Place, twins: str) -> None:
    client = place.client(place.root)
    mine = client.bucket(f"mine-{secrets.token_hex(6)}").create()
    value = {"backend_bck": {"name": twins, "provider": "aws"}, "weir": {"account": "team"}}
    mine.make_request("patch", "set-bprops", value=value)
    assert mine.object("k").get_reader().read_all() == b"team"
    props = json.loads(mine.head()["Ais-Bucket-Props"])
    assert props["weir"]["account"] == "team"
    assert props["backend_bck"]["name"] == twins
    removed = place.server.admin("account", "rm", "aws", "team", is_checked=False)
    assert removed.returncode == 1
    assert "buckets are reached by" in removed.stderr
    mine.delete()


def test_a_bucket_with_an_endpoint_of_its_own(place: Place, twins: str) -> None:
    """The default account's credentials, at the other moto."""
    path = f"/v1/buckets/{twins}?provider=aws&namespace=%23other"
    assert place.ask("HEAD", path).status_code == 404
    value = {"extra": {"aws": {"endpoint": place.team.endpoint, "cloud_region": "us-east-1"}}}
    message = {"action": "create-bck", "value": value}
    assert place.ask("POST", path, json=message).status_code == 200
    reply = place.ask("GET", f"/v1/objects/{twins}/k?provider=aws&namespace=%23other")
    assert reply.content == b"team"


def test_a_server_that_runs_uses_what_was_changed(place: Place, twins: str, tmp_path: Path) -> None:
    add_account(place.server, tmp_path, "moved", place.default)
    path = f"/v1/objects/{twins}/k?provider=aws&namespace=%23moved"
    assert place.ask("GET", path).content == b"default"
    add_account(place.server, tmp_path, "moved", place.team)
    place.ask(
        "DELETE",
        f"/v1/objects/{twins}/k?provider=aws&namespace=%23moved",
        json={"action": "evict-obj"},
    )
    place.ask(
        "DELETE",
        f"/v1/buckets/{twins}?provider=aws&namespace=%23moved",
        json={"action": "evict-remote-bck"},
    )
    assert place.ask("GET", path).content == b"team"


def test_accounts_are_tried_from_the_command_line(place: Place, twins: str) -> None:
    said = place.server.admin("account", "test", "aws", "team", "--json")
    tried = json.loads(said.stdout)
    assert tried["works"]
    assert twins in tried["buckets"]
    absent = place.server.admin(
        "account", "test", "aws", "team", "--bucket", "absent", is_checked=False
    )
    assert absent.returncode == 1
    assert "check its name" in absent.stdout
    assert TEAM_KEYS.secret_key not in said.stdout + said.stderr + absent.stdout + absent.stderr


def test_only_administrators_lend_the_credentials(place: Place, twins: str) -> None:
    path = f"/v1/buckets/{twins}?provider=aws"
    add = {"action": "create-bck", "value": None}
    assert place.ask("HEAD", path, place.alice).status_code == 404
    assert place.ask("GET", f"/v1/objects/{twins}/k?provider=aws", place.alice).status_code == 404
    assert place.ask("POST", path, place.alice, json=add).status_code == 403
    hers = f"hers-{secrets.token_hex(6)}"
    create = f"/v1/buckets/{hers}"
    endpoint = {"extra": {"aws": {"endpoint": "http://127.0.0.1:9"}}}
    lend = {"action": "create-bck", "value": endpoint}
    assert place.ask("POST", create, place.alice, json=lend).status_code == 403
    assert place.ask("POST", create, place.alice, json=add).status_code == 200
    for value in (
        {"backend_bck": {"name": twins, "provider": "aws"}},
        {"weir": {"account": "team"}},
        endpoint,
        {"extra": {"aws": {"profile": "root"}}},
    ):
        message = {"action": "set-bprops", "value": value}
        assert place.ask("PATCH", create, place.alice, json=message).status_code in (400, 403), (
            value
        )
    copy = {"action": "copy-bck", "value": {}}
    to = f"{create}?bck_to=aws/@%23/{twins}/"
    assert place.ask("POST", to, place.alice, json=copy).status_code == 403
    listed = place.ask("GET", "/v1/buckets?provider=aws", place.alice, json={"action": "list"})
    assert listed.json() == []
    assert place.ask("PUT", "/v1/cluster/attach?x=http://x", place.alice).status_code == 403
    assert place.ask("HEAD", path).status_code == 200
    # Known here, it is root's; others come in as its policy lets them.
    assert place.ask("HEAD", path, place.alice).status_code == 403


def test_secrets_are_never_told(place: Place, twins: str) -> None:
    path = f"/v1/buckets/{twins}?provider=aws&namespace=%23team"
    objects = f"/v1/objects/{twins}"
    absent = "/v1/buckets/absent-bucket?provider=aws&namespace=%23team"
    message = {"action": "list", "value": {}}
    wrong = {"extra": {"aws": {"endpoint": "http://127.0.0.1:9"}}}
    replies = [
        place.ask("HEAD", path),
        place.ask("GET", path, json=message),
        place.ask("GET", f"{objects}/k?provider=aws&namespace=%23team"),
        place.ask("GET", f"{objects}/absent?provider=aws&namespace=%23team"),
        place.ask("HEAD", absent),
        place.ask("GET", absent, json=message),
        place.ask("PATCH", path, json={"action": "set-bprops", "value": wrong}),
        place.ask("PATCH", path, json={"action": "set-bprops", "value": {**wrong, "force": True}}),
        place.ask("HEAD", f"{objects}/absent?provider=aws&namespace=%23team"),
        place.ask("GET", "/v1/cluster?what=remote"),
        place.ask("GET", "/v1/cluster?what=bmd"),
        place.ask("GET", "/v1/daemon?what=config"),
        place.ask("GET", "/v1/cluster?what=cluster_config"),
        place.ask("GET", "/v1/daemon?what=log&severity=info"),
        place.ask("GET", "/-/metrics"),
    ]
    assert replies[6].status_code == 424
    told = "".join(f"{dict(reply.headers)}{reply.text}" for reply in replies)
    told += place.server.admin("account", "ls", "--json").stdout
    told += place.server.log_path.read_text()
    assert TEAM_KEYS.secret_key not in told
    assert TEAM_KEYS.secret_key[:16] not in told
    assert place.default.keys.secret_key not in told
    for file in place.server.options.data_dirs[0].rglob("*"):
        if file.is_file() and file.name != "master.key":
            assert TEAM_KEYS.secret_key.encode() not in file.read_bytes(), file


def test_nobody_takes_a_bare_name_from_a_bucket_that_lives_elsewhere(
    place: Place, twins: str
) -> None:
    """S3 clients say no provider: what they write to root's bucket would be in alice's."""
    root, alice = place.client(place.root), place.client(place.alice)
    root.bucket(twins, provider="aws").head()
    for query in ("", "?namespace=%23hers"):
        message = {"action": "create-bck", "name": ""}
        reply = place.ask("POST", f"/v1/buckets/{twins}{query}", place.alice, json=message)
        assert reply.status_code == 409, reply.text
    hers = f"hers-{secrets.token_hex(6)}"
    alice.bucket(hers).create()
    for kind in ("copy-bck", "move-bck"):
        path = f"/v1/buckets/{hers}?bck_to=ais/@%23/{twins}/"
        reply = place.ask("POST", path, place.alice, json={"action": kind, "name": ""})
        assert reply.status_code == 409, reply.text
    # In namespaces of their own, buckets have the names that others have there.
    message = {"action": "create-bck", "name": ""}
    for token, space in ((place.root, "roots"), (place.alice, "hers")):
        path = f"/v1/buckets/same-{hers}?namespace=%23{space}"
        assert place.ask("POST", path, token, json=message).status_code == 200
    root.bucket(twins).create()


def test_an_account_that_is_gone_is_not_another_one(place: Place, tmp_path: Path) -> None:
    name = f"gone-{secrets.token_hex(6)}"
    for at, data in ((place.default, b"default"), (place.team, b"team")):
        at.client().create_bucket(Bucket=name)
        at.client().put_object(Bucket=name, Key="k", Body=data)
    add_account(place.server, tmp_path, "soon", place.team)
    space = Namespace(uuid="", name="soon")
    bucket = place.client(place.root).bucket(name, provider="aws", namespace=space)
    assert [each.name for each in bucket.list_all_objects()] == ["k"]
    place.server.admin("account", "rm", "aws", "soon", "--force")
    path = f"/v1/objects/{name}/k?provider=aws&namespace=%23soon"
    reply = place.ask("GET", path)
    assert 400 <= reply.status_code < 500, reply.content
    assert b"default" not in reply.content.replace(b"default account", b"")


def test_a_bucket_at_another_endpoint_has_nothing_of_the_first(place: Place, twins: str) -> None:
    path = f"/v1/buckets/{twins}?provider=aws&dont_head_remote_bck=true"
    assert place.ask("POST", path, json={"action": "create-bck", "name": ""}).status_code == 200
    bucket = place.client(place.root).bucket(twins, provider="aws")
    assert bucket.object("k").get_reader().read_all() == b"default"
    moved = {"extra": {"aws": {"endpoint": place.team.endpoint}}}
    message = {"action": "set-bprops", "value": {**moved, "force": True}}
    reply = place.ask("PATCH", f"/v1/buckets/{twins}?provider=aws", json=message)
    assert reply.status_code == 200, reply.text
    answer = place.ask("GET", f"/v1/objects/{twins}/k?provider=aws")
    # The default account's keys are not the team's: refused, or read there, but not the copy of before.
    assert answer.content != b"default", answer.status_code
