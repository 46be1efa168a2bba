"""The access log says what happened to each request, and keeps signatures out."""

from __future__ import annotations

import asyncio
import io
import re
import threading

from gateway.access_log import AccessLog
from s3api.call import Request


def request(path: bytes = b"/bucket/a%20key") -> Request:
    return Request(
        method="GET",
        raw_path=path,
        raw_query=b"X-Amz-Signature=secret",
        headers={},
        query={},
        bucket="bucket",
        key=b"a key",
        scheme="http",
        host="x",
        client_address="192.0.2.1",
        request_id="0123456789ABCDEF",
        operation="GetObject",
    )


def test_a_line_a_request() -> None:
    async def scenario() -> bytes:
        stream = io.BytesIO()
        log = AccessLog(stream)
        log(request(), 200, 4096, 0.0012)
        log(request(b'/bucket/"quoted"'), 404, 0, 0.5)
        log.close()
        return stream.getvalue()

    first, second = asyncio.run(scenario()).decode().splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 0123456789ABCDEF 192\.0\.2\.1 GetObject "
        r'"GET /bucket/a%20key" 200 4096 1\.2',
        first,
    )
    assert second.endswith('"GET /bucket/%22quoted%22" 404 0 500.0')


def test_a_stalled_reader_stalls_no_request() -> None:
    class Stalled(io.BytesIO):
        def __init__(self) -> None:
            super().__init__()
            self.released = threading.Event()

        def flush(self) -> None:
            self.released.wait(20)

    async def scenario() -> int:
        stream = Stalled()
        log = AccessLog(stream)
        for _ in range(60_000):
            log(request(), 200, 1, 0.1)
        stream.released.set()
        log.close()
        return stream.getvalue().count(b"\n")

    assert 50_000 <= asyncio.run(scenario()) < 60_000
