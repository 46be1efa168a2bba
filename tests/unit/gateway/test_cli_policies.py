"""`weir user policy`: attaching, showing and removing, and what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cluster.user_policies import MAX_POLICIES
from tests.unit.gateway.test_cli import Weir, start_once

STATEMENT = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}
GOOD = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})


@pytest.fixture
def weir(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Weir:
    monkeypatch.chdir(tmp_path)
    start_once(tmp_path / "data")
    capsys.readouterr()
    command = Weir(tmp_path / "data", capsys)
    assert command("user", "add", "alice") == 0
    Path("good.json").write_text(GOOD)
    return command


def put(weir: Weir, name: str = "reader", file: str = "good.json", user: str = "alice") -> int:
    return weir("user", "policy", "put", user, name, file)


def test_put_list_show_remove(weir: Weir) -> None:
    assert weir.rows("user", "policy", "ls") == []
    assert put(weir) == 0
    assert "only what its policies allow" in weir.out
    assert put(weir) == 0
    assert "only what" not in weir.out
    assert weir.rows("user", "policy", "ls", "alice") == [
        {"user": "alice", "policy": "reader", "statements": 1}
    ]
    assert weir("user", "policy", "show", "alice", "reader") == 0
    assert weir.out.strip() == GOOD
    assert weir("user", "policy", "rm", "alice", "reader") == 0
    assert "no policy left" in weir.out
    assert weir("user", "policy", "rm", "alice", "reader") == 1
    assert "see weir user policy ls" in weir.err


def test_from_standard_input(weir: Weir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode() + b"\n")))
    assert put(weir, file="-") == 0
    assert weir("user", "policy", "show", "alice", "reader") == 0
    assert weir.out.strip() == GOOD


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "first byte must be '{'"),
        (b"\xff", "no text in UTF-8"),
        (b"{}", "Missing required field Statement"),
        (GOOD.replace("Get", "Fly").encode(), "Policy has invalid action"),
        (GOOD.replace('"Effect"', '"Principal": "*", "Effect"').encode(), "principal"),
        (GOOD.encode() + b"x" * 7000, "6144 bytes"),
    ],
)
def test_bad_documents(weir: Weir, text: bytes, said: str) -> None:
    Path("bad.json").write_bytes(text)
    assert put(weir, file="bad.json") == 1
    assert said in weir.err
    assert weir.rows("user", "policy", "ls") == []


def test_refusals(weir: Weir) -> None:
    assert put(weir, file="absent.json") == 1
    assert "absent.json: No such file or directory" in weir.err
    assert put(weir, name="a/b") == 1
    assert "letters, digits" in weir.err
    assert put(weir, user="nobody") == 1
    assert "see weir user ls" in weir.err
    assert put(weir, user="root") == 1
    assert "no policy can be attached to root" in weir.err
    for number in range(MAX_POLICIES):
        assert put(weir, name=f"p{number}") == 0
    assert put(weir, name="p0") == 0
    assert put(weir, name="more") == 1
    assert f"has {MAX_POLICIES} policies already" in weir.err


def test_policies_go_with_the_user(weir: Weir) -> None:
    assert put(weir) == 0
    assert weir("user", "rm", "alice") == 0
    assert weir("user", "add", "alice") == 0
    assert weir.rows("user", "policy", "ls", "alice") == []
