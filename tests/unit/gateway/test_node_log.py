"""The log that is kept on disk: bounded, read by severity, archived."""

from __future__ import annotations

import io
import logging
import tarfile
from pathlib import Path

import pytest

from gateway import node_log
from gateway.config import LogConfig
from gateway.log import TextFormatter, keep_log
from gateway.node_log import NodeLog, archive_log_sync, read_log_sync


@pytest.fixture
def kept(tmp_path: Path) -> NodeLog:
    made = NodeLog(tmp_path / "log")
    made.setFormatter(TextFormatter())
    return made


def say(kept: NodeLog, level: int, message: str) -> None:
    kept.emit(logging.LogRecord("weir.test", level, "", 0, message, (), None))


def test_by_severity(kept: NodeLog, tmp_path: Path) -> None:
    say(kept, logging.INFO, "started")
    say(kept, logging.WARNING, "slow")
    say(kept, logging.ERROR, "broken\nTraceback of it")
    directory = tmp_path / "log"
    assert len(read_log_sync(directory, "info").splitlines()) == 4
    assert "started" not in read_log_sync(directory, "warning")
    errors = read_log_sync(directory, "error").splitlines()
    assert len(errors) == 2
    assert errors[1] == "Traceback of it"


def test_is_bounded(kept: NodeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_log, "_MAX_BYTES", 1000)
    for number in range(100):
        say(kept, logging.INFO, f"line {number}")
    directory = tmp_path / "log"
    assert sorted(path.name for path in directory.iterdir()) == ["weir.log", "weir.log.1"]
    assert sum(path.stat().st_size for path in directory.iterdir()) < 2200
    with tarfile.open(
        fileobj=io.BytesIO(archive_log_sync(directory, "head")), mode="r:gz"
    ) as found:
        assert found.getnames() == ["node.txt", "weir.log.1", "weir.log"]
    (directory / "weir.log").unlink()
    assert "line" in read_log_sync(directory, "info")


def test_a_directory_that_is_gone_is_no_error(kept: NodeLog, tmp_path: Path) -> None:
    (tmp_path / "log").rmdir()
    say(kept, logging.INFO, "lost")
    assert read_log_sync(tmp_path / "log", "info") == ""
    keep_log(LogConfig(), Path("/proc/none"))
    assert not any(isinstance(each, NodeLog) for each in logging.getLogger().handlers)
