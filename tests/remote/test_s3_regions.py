"""Buckets of another region than the account's: they are found and used, whatever the operation that comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from backends.s3 import S3Backend, s3_backend
from core.accounts import Account
from core.errors import BackendDenied
from core.listing import ListQuery
from core.names import ObjectKey
from core.types import ObjectAttributes
from tests.contract.world import Body, pattern

REGION = "eu-central-9"
KEY = ObjectKey("k")
LARGE = pattern(2 * 1024**2)
_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


class Regional(BaseHTTPRequestHandler):
    """As S3: who signs for another region is told the bucket's, before any body is taken; `hides` has it not told."""

    protocol_version = "HTTP/1.1"
    hides: ClassVar[bool] = False
    bodies: ClassVar[list[bytes]] = []
    status: ClassVar[int] = 301

    def handle_expect_100(self) -> bool:
        return super().handle_expect_100() if self._is_right() else self._redirect()

    def _is_right(self) -> bool:
        return f"/{REGION}/s3/" in self.headers.get("Authorization", "")

    def _redirect(self) -> bool:
        status = 400 if self.command == "HEAD" and self.status == 400 else self.status
        code = "PermanentRedirect" if status == 301 else "AuthorizationHeaderMalformed"
        told = "" if self.hides else f"<Region>{REGION}</Region>"
        body = f"<Error><Code>{code}</Code>{told}</Error>".encode()
        self.send_response(status)
        if not self.hides:
            self.send_header("x-amz-bucket-region", REGION)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True
        return False

    def _answer(self, body: bytes = b"", size: int | None = None) -> None:
        taken = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self._is_right():
            self._redirect()
            return
        if self.command == "PUT":
            self.bodies.append(taken)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.send_header("x-amz-bucket-region", REGION)
        self.send_header("ETag", '"etag"')
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._answer(size=4)

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer(_LISTING if "list-type" in self.path else b"data")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Regional)
    thread = Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


async def first(backend: S3Backend, operation: str, bucket: str) -> None:
    """One operation on a bucket of which nothing is known yet."""
    match operation:
        case "head bucket":
            found = await backend.head_bucket(bucket)
            assert found.region == REGION
        case "head":
            assert (await backend.head(bucket, KEY)).size_bytes == 4
        case "list":
            assert not (await backend.list_page(bucket, ListQuery())).entries
        case "read":
            reader = await backend.open(bucket, KEY)
            assert b"".join([chunk async for chunk in reader]) == b"data"
            await reader.close()
        case "delete":
            await backend.delete(bucket, KEY)
        case "put small" | "put large":
            data = b"data" if operation == "put small" else LARGE
            await backend.put(bucket, KEY, Body(data), ObjectAttributes())
            assert Regional.bodies[-1] == data


OPERATIONS = ["head bucket", "head", "list", "read", "delete", "put small", "put large"]


def run(endpoint: str, work: Any) -> None:
    async def whole() -> None:
        secrets = {"access_key": "key", "secret_key": "secret"}
        backend = s3_backend(Account("aws", endpoint=endpoint, region="us-east-1", secrets=secrets))
        try:
            await work(backend)
        finally:
            await backend.close()

    asyncio.run(whole())


@pytest.mark.parametrize("status", [301, 400])
def test_bucket_of_another_region(
    endpoint: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Regional, "status", status)

    async def work(backend: S3Backend) -> None:
        for place, operation in enumerate(OPERATIONS):
            await first(backend, operation, f"bucket-{status}-{place}")

    run(endpoint, work)


def test_bucket_of_a_region_that_is_not_told(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Regional, "hides", True)

    async def work(backend: S3Backend) -> None:
        for place, operation in enumerate(OPERATIONS):
            with pytest.raises(BackendDenied):
                await first(backend, operation, f"hidden-{place}")

    run(endpoint, work)
