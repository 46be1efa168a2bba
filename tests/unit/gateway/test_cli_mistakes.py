"""What a user who gets something wrong reads, and that nothing is made on the way."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.main import main
from storage.doctor import Finding


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
