"""Without access control only programs on the same machine may reach the store, unless that is forced."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli import serve
from gateway.cli.main import main

LOOPBACK = ["127.0.0.1:0", "localhost:1", "[::1]:1", "127.9.9.9:1"]
ELSEWHERE = [":9000", "0.0.0.0:1", "[::]:1", "192.0.2.1:1", "weir.test:1", "localhost.test:1"]


class BoundError(Exception):
    """The start went as far as listening."""


@pytest.fixture(autouse=True)
def never_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def bind(*_: object) -> None:
        raise BoundError

    monkeypatch.setattr(serve, "_bind", bind)
    monkeypatch.setenv("WEIR_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("listen", LOOPBACK)
def test_on_loopback(listen: str) -> None:
    with pytest.raises(BoundError):
        main(["serve", "--no-auth", "--listen", listen])


@pytest.mark.parametrize("listen", ELSEWHERE)
def test_elsewhere(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--no-auth", "--listen", listen]) != 0
    assert "--no-auth-anywhere" in capsys.readouterr().err
    with pytest.raises(BoundError):
        main(["serve", "--no-auth-anywhere", "--listen", listen])
    with pytest.raises(BoundError):
        main(["serve", "--listen", listen])
