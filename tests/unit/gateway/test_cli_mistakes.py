"""What a user who gets something wrong reads, and that nothing is made on the way."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.config import Config
from gateway.startup import prepare_store
from storage.database import open_writer_sync
from storage.doctor import Finding
from storage.layout import Layout
from storage.schema import VERSION


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "weir serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["serv"], "did you mean serve? see weir --help"),
        (["serve", "--wrokers", "3"], "did you mean --workers? see weir serve --help"),
        (["user", "ls", "extra"], "unrecognized arguments: extra; see weir user ls --help"),
        (["user", "add"], "required: NAME; see weir user add --help"),
    ],
)
def test_not_understood(
    arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert wanted in capsys.readouterr().err


def test_taken_port_makes_no_key_pair_that_nobody_sees(
    taken_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--data", "data", "--listen", f"127.0.0.1:{taken_port}"]) == 1
    assert "choose another address with --listen" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_unusable_certificate_is_said_before_a_store_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    tls = ["--tls-cert", "x.pem", "--tls-key", "x.pem"]
    assert main(["serve", "--data", "data", "--listen", "127.0.0.1:0", *tls]) == 2
    assert "PEM certificate chain" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_setting_like_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--set", "zzzz=1"]) == 2
    assert "weir config shows every setting" in capsys.readouterr().err


def test_doctor_advises_by_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.cli.doctor import _print_advice

    _print_advice([Finding("/disk1", "bytes damaged", 1, "key")])
    assert "Put them again" in capsys.readouterr().out
    _print_advice([Finding("/disk2", "its directory was not given")])
    advice = capsys.readouterr().out
    assert "--data" in advice
    assert "Put them again" not in advice


@pytest.mark.parametrize(
    ("version", "advice"),
    [(VERSION - 1, "weir doctor --rebuild-index"), (VERSION + 1, "use that one")],
)
def test_a_store_of_another_weir_is_not_served(
    version: int, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Config(data=(tmp_path / "data",))
    for fd in prepare_store(config).held_fds:
        os.close(fd)
    layout = Layout(tmp_path / "data")
    open_writer_sync(layout).close()
    for path in (layout.small_db, layout.index_db):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
    assert main(["serve", "--data", "data", "--listen", "127.0.0.1:0"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path / "data") in said
    assert advice in said
    assert main(["doctor", "--data", "data"]) == 1
    is_rebuilt = main(["doctor", "--data", "data", "--rebuild-index"]) == 0
    assert is_rebuilt is (version < VERSION)
    if is_rebuilt:
        assert main(["doctor", "--data", "data"]) == 0
