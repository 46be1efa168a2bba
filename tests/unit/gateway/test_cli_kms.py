"""`weir kms`: what it makes, lists, turns and refuses."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.config import Config
from gateway.startup import prepare_store


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for fd in prepare_store(Config(data=(tmp_path / "data",))).held_fds:
        os.close(fd)
    return tmp_path / "data"


def kms(data: Path, *arguments: str) -> int:
    return main(["kms", *arguments, "--data", str(data)])


def rows(data: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert kms(data, "ls", "--json") == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_a_key_from_its_making_to_its_end(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kms(data, "create", "reports", "--alias", "aws/s3") == 0
    assert kms(data, "rotate", "alias/aws/s3") == 0
    assert kms(data, "rotate-master") == 0
    (row,) = rows(data, capsys)
    assert (row["key_id"], row["alias"], row["version"]) == ("reports", "alias/aws/s3", 2)
    assert row["state"] == "enabled"
    assert kms(data, "rm", "reports") == 1
    assert "disable it first" in capsys.readouterr().err
    assert kms(data, "disable", "reports") == 0
    assert rows(data, capsys)[0]["state"] == "disabled"
    assert kms(data, "enable", "reports") == 0
    assert kms(data, "disable", "reports") == 0
    assert kms(data, "rm", "reports") == 0
    assert rows(data, capsys) == []


def test_an_id_is_made_where_none_is_given(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kms(data, "create") == 0
    assert len(str(rows(data, capsys)[0]["key_id"])) == 32


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rotate", "absent"], "no encryption key 'absent'"),
        (["create", "taken"], "exists already"),
        (["create", "a b"], "letters, digits"),
        (["rotate-master", "--new-key-file", "absent"], "absent"),
    ],
)
def test_refusals(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    kms(data, "create", "taken")
    capsys.readouterr()
    assert kms(data, *arguments) == 1
    assert said in capsys.readouterr().err


def test_a_master_key_of_the_settings_is_replaced_by_name(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    monkeypatch.setenv("WEIR_ENCRYPTION_MASTER_KEY", old)
    assert kms(data, "create", "k") == 0
    assert kms(data, "rotate-master") == 1
    assert "--new-key-file" in capsys.readouterr().err
    (tmp_path / "new").write_text(new)
    assert kms(data, "rotate-master", "--new-key-file", "new") == 0
    said = capsys.readouterr()
    assert old not in said.out + said.err
    assert new not in said.out + said.err
    assert kms(data, "rotate", "k") == 1
    assert "master key is missing" in capsys.readouterr().err
    monkeypatch.setenv("WEIR_ENCRYPTION_MASTER_KEY", new)
    assert kms(data, "rotate", "k") == 0
    assert not (data / "control" / "master.key").exists()


def test_both_settings_for_the_master_key(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_ENCRYPTION_MASTER_KEY", "x")
    monkeypatch.setenv("WEIR_ENCRYPTION_MASTER_KEY_FILE", "y")
    assert kms(data, "ls") == 2
    assert "exclude each other" in capsys.readouterr().err
