"""Owns the access log: one line a request, written in batches so that a line costs no system call of its own."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import BinaryIO

from s3api.call import Request

_FLUSH_AFTER_S = 0.2
_FLUSH_AT_LINES = 500
_MAX_UNWRITTEN_LINES = 50_000


@lru_cache(maxsize=2)
def _second_text(second: int) -> str:
    """A second as ISO 8601 writes it; making that text anew for each line cost a third of the line."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class AccessLog:
    """A RequestObserver that writes `time id client operation "method path" status bytes ms` to a binary stream.

    Queries are left out: a presigned one carries a signature. Lines wait at most 0.2 s, and are written by a thread of
    its own, so that a log reader that stalls does not stall requests; past 50,000 waiting lines, lines are lost.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._unwritten = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="access-log")

    def __call__(self, request: Request, status: int, sent_bytes: int, seconds: float) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_later(_FLUSH_AFTER_S, self.flush)
        path = request.raw_path.decode("latin-1").replace('"', "%22")
        now = time.time()
        second = int(now)
        self._lines.append(
            f"{_second_text(second)}.{int((now - second) * 1000):03d}Z {request.request_id} "
            f"{request.client_address or '-'} {request.operation} "
            f'"{request.method} {path}" {status} {sent_bytes} {seconds * 1000:.1f}\n'
        )
        if len(self._lines) >= _FLUSH_AT_LINES:
            self.flush()

    def flush(self) -> None:
        """Hand over what has gathered."""
        lines, self._lines = self._lines, []
        if lines and self._unwritten < _MAX_UNWRITTEN_LINES:
            self._unwritten += len(lines)
            self._writer.submit(self._write, lines)

    def close(self) -> None:
        """Write what has gathered, and end the thread."""
        self.flush()
        self._writer.shutdown()

    def _write(self, lines: list[str]) -> None:
        try:
            self._stream.write("".join(lines).encode())
            self._stream.flush()
        except OSError:
            pass  # a log that cannot be written loses lines, not requests
        self._unwritten -= len(lines)
