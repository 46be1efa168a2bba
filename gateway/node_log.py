"""Owns the last of the log that is kept on disk, so that administrators can read it from afar: two files of bounded
size in the control directory, written by all processes of the node. They hold what goes to standard error, but for
the lines of requests.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

_MAX_BYTES = 1024**2
_CURRENT = "weir.log"
_FORMER = "weir.log.1"
_LEVELS = {"info": 0, "warning": 1, "error": 2, "critical": 2}


class NodeLog(logging.Handler):
    """Appends each record in one write; the file that is full takes the place of the former one."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def emit(self, record: logging.LogRecord) -> None:
        """A disk that takes no line loses that line; standard error has it."""
        try:
            line = self.format(record).encode("utf-8", "replace") + b"\n"
            path = self._directory / _CURRENT
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line)
                if os.fstat(fd).st_size > _MAX_BYTES:
                    self._turn(fd, path)
            finally:
                os.close(fd)
        except OSError:
            pass

    def _turn(self, fd: int, path: Path) -> None:
        """One of the processes that see the file full gets to do it."""
        fcntl.flock(fd, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_ino == os.fstat(fd).st_ino:
            path.rename(self._directory / _FORMER)


def read_log_sync(directory: Path, severity: str) -> str:
    """The lines of that severity and above, of the newer file: each with what follows it, up to the next."""
    path = directory / _CURRENT
    if not path.exists():
        path = directory / _FORMER
    least = _LEVELS.get(severity, 0)
    return "".join(_chosen(path, least))


def _chosen(path: Path, least: int) -> Iterator[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return
    is_chosen = False
    for line in text.splitlines(keepends=True):
        words = line.split(" ", 2)
        # A line that begins a record: time, level, message.
        if len(words) == 3 and words[0].endswith("Z") and words[1] in ("debug", *_LEVELS):
            is_chosen = _LEVELS.get(words[1], 0) >= least
        if is_chosen:
            yield line


def archive_log_sync(directory: Path, head: str) -> bytes:
    """Both files as tar.gz, after one that says whose they are."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        contents = [("node.txt", head.encode())]
        for name in (_FORMER, _CURRENT):
            try:
                contents.append((name, (directory / name).read_bytes()))
            except OSError:
                continue
        for name, data in contents:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()
