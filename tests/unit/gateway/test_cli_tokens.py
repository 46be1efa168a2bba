"""`weir token`: what it issues, and what it does not understand."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.config import Config
from gateway.startup import prepare_store
from gateway.tokens.parse import parse_token


class Weir:
    """The command on one store."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        status = main(["token", *arguments, "--data", str(self.data)])
        self.out, self.err = self._capsys.readouterr()
        return status

    def issued(self, *options: str) -> dict[str, Any]:
        assert self("create", "--sub", "me", *options) == 0, self.err
        return dict(parse_token(self.out.strip()).payload)


@pytest.fixture
def weir(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Weir:
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    prepared = prepare_store(Config(data=(tmp_path / "data",)))
    for fd in prepared.held_fds:
        os.close(fd)
    return Weir(tmp_path / "data", capsys)


def test_create(weir: Weir) -> None:
    said = weir.issued(
        "--bucket",
        "data=ro",
        "--bucket",
        "s3://cloud=get,put",
        "--cluster",
        "cluster-ro,1",
        "--expires",
        "90m",
        "--aud",
        "here",
        "--issuer",
        "https://me.test",
    )
    cluster_id = said["clusters"][0]["id"]
    assert len(cluster_id) == 32
    assert said["clusters"] == [{"id": cluster_id, "perm": str(12288 + 1)}]
    space = {"uuid": cluster_id, "name": ""}
    assert said["buckets"] == [
        {"bck": {"name": "data", "provider": "ais", "namespace": space}, "perm": "771"},
        {"bck": {"name": "cloud", "provider": "aws", "namespace": space}, "perm": "5"},
    ]
    assert (said["sub"], said["iss"], said["aud"]) == ("me", "https://me.test", ["here"])
    assert said["exp"] - said["iat"] == 90 * 60
    assert "admin" not in said


def test_create_for_a_bucket_whose_name_s3_does_not_take(weir: Weir) -> None:
    assert weir.issued("--bucket", "My_Bucket=ro")["buckets"][0]["bck"]["name"] == "My_Bucket"


def test_create_for_an_admin(weir: Weir) -> None:
    said = weir.issued("--admin")
    assert said["admin"] is True
    assert said["iss"] == "http://127.0.0.1:9000"
    assert "aud" not in said


def test_the_audience_that_is_demanded_is_given(weir: Weir) -> None:
    assert weir.issued("--admin", "--set", "auth.token_audiences=a,b")["aud"] == ["a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "permits nothing"),
        (["--bucket", "data"], "NAME=PERMISSIONS"),
        (["--bucket", "=ro"], "NAME=PERMISSIONS"),
        (["--bucket", "data=read"], "'read' is no permission"),
        (["--bucket", "Data!=ro"], "bucket"),
        (["--bucket", "mars://data=ro"], "provider"),
        (["--cluster", str(2**64)], "is no permission"),
        (["--admin", "--expires", "1"], "s, m, h or d"),
        (["--admin", "--expires", "0s"], "s, m, h or d"),
        (["--admin", "--expires", "91d"], "no token may live longer"),
    ],
)
def test_create_refused(weir: Weir, options: list[str], said: str) -> None:
    assert weir("create", "--sub", "me", *options) != 0
    assert said in weir.err
    assert "Traceback" not in weir.err


def test_inspect_and_revoke(weir: Weir, monkeypatch: pytest.MonkeyPatch) -> None:
    weir.issued("--admin")
    token = weir.out.strip()
    assert weir("inspect", token) == 0
    said = json.loads(weir.out)
    assert said["state"] == "good here"
    assert said["claims"]["admin"] is True
    assert weir("revoke", token) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{token}\n"))
    assert weir("inspect", "-") == 0
    assert json.loads(weir.out)["state"] == "refused here: the token was revoked"


def test_inspect_of_another_store(
    weir: Weir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weir.issued("--admin")
    token = weir.out.strip()
    prepared = prepare_store(Config(data=(tmp_path / "other",)))
    for fd in prepared.held_fds:
        os.close(fd)
    other = Weir(tmp_path / "other", capsys)
    assert other("inspect", token) == 0
    assert "nobody who is trusted" in json.loads(other.out)["state"]


@pytest.mark.parametrize("command", ["inspect", "revoke"])
def test_no_token(weir: Weir, command: str) -> None:
    assert weir(command, "nonsense") != 0
    assert "no JWT" in weir.err


def test_rotate_key(weir: Weir) -> None:
    weir.issued("--admin")
    before = parse_token(weir.out.strip()).key_id
    assert weir("rotate-key") == 0
    weir.issued("--admin")
    after = parse_token(weir.out.strip()).key_id
    assert before != after
