"""`weir account`: where secrets come from, what is shown, what is refused, and what a test says to do next."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from core.errors import BackendDown
from gateway.cli.main import main
from gateway.config import Config
from gateway.startup import prepare_store

SECRET = "a/very+secret=thing0of0this0test"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WEIR_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for fd in prepare_store(Config(data=(tmp_path / "data",))).held_fds:
        os.close(fd)
    return tmp_path / "data"


def account(data: Path, *arguments: str) -> int:
    return main(["account", *arguments, "--data", str(data)])


def rows(data: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert account(data, "ls", "--json") == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_an_account_from_its_making_to_its_end(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KEY", "AKIA1")
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}-token\n"))
    secrets = ("access_key=env:KEY", f"secret_key=file:{tmp_path / 'secret'}", "session_token")
    options = [word for each in secrets for word in ("--secret", each)]
    endpoint = ("--endpoint", "http://127.0.0.1:9/", "--option", "addressing=path")
    assert account(data, "add", "aws", "team", *endpoint, *options) == 0
    assert SECRET not in "".join(capsys.readouterr())
    (row,) = rows(data, capsys)
    assert row == {
        "provider": "aws",
        "name": "team",
        "endpoint": "http://127.0.0.1:9",
        "region": "",
        "profile": "",
        "options": "addressing=path",
        "secrets": "access_key secret_key session_token",
        "buckets": 0,
    }
    assert account(data, "ls") == 0
    assert SECRET not in "".join(capsys.readouterr())
    assert account(data, "add", "aws", "team", "--profile", "p") == 0
    assert rows(data, capsys)[0]["secrets"] == ""
    assert account(data, "rm", "aws", "team") == 0
    assert rows(data, capsys) == []
    assert account(data, "rm", "aws", "team") == 1
    assert "weir account ls" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "aws", "--secret", f"secret_key={SECRET}"], "not taken from the command line"),
        (["add", "aws", "--secret", "secret_key=env:ABSENT"], "not in the environment"),
        (["add", "aws", "--secret", "secret_key=file:absent"], "cannot be read"),
        (["add", "aws", "--secret", "secret_key=env:"], "not taken from the command line"),
        (["add", "aws", "--option", "x"], "NAME=VALUE"),
        (["add", "aws", "--option", "adressing=path"], "is addressing meant?"),
        (["add", "aws", "--option", "zzz=1"], "docs/providers.md"),
        (["add", "aws", "a b"], "letters, digits"),
        (["add", "aws", "--endpoint", "http://me:secret@host"], "credentials"),
        (["add", "ais"], "needs a name and an endpoint"),
        (["test", "aws", "absent"], "no account 'absent'"),
    ],
)
def test_what_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert account(data, *arguments) == 1
    shown = "".join(capsys.readouterr())
    assert said in shown
    assert SECRET not in shown


def test_unknown_providers(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        account(data, "add", "nimbus")
    assert caught.value.code == 2


def test_keys_of_this_weir_are_not_taken_for_the_providers(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        main(
            [
                "user",
                "add",
                "alice",
                "--access-key",
                "WEIRS",
                "--secret-key",
                SECRET,
                "--data",
                str(data),
            ]
        )
        == 0
    )
    monkeypatch.setenv("KEY", "WEIRS")
    assert account(data, "add", "aws", "--secret", "access_key=env:KEY") != 0
    assert "go together" in capsys.readouterr().err
    assert account(data, "add", "aws", "--secret", "tokn=env:KEY") != 0
    assert "has access_key, secret_key" in capsys.readouterr().err
    monkeypatch.setenv("SECRET", SECRET)
    secrets = ["--secret", "access_key=env:KEY", "--secret", "secret_key=env:SECRET"]
    assert account(data, "add", "aws", *secrets) != 0
    assert "WEIRS is a key of this weir" in capsys.readouterr().err
    assert account(data, "add", "aws", "other", "--endpoint", "http://127.0.0.1:9", *secrets) == 0


def test_a_test_says_where(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("backends.registry.OpenBackends.of_account", _refusing)
    assert account(data, "test", "aws") == 1
    assert "http://127.0.0.1:9 (AWS_ENDPOINT_URL of this shell)" in capsys.readouterr().out


def _refusing(*_: object) -> None:
    raise BackendDown(provider="aws", reason="away", retry_after_s=1)
