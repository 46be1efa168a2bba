"""Plain HTTP servers that redirect, lie, or say little: what becomes of their files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import web

from backends.http import HttpBackend
from backends.http_client import _is_public_address
from core.accounts import Account
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    InvalidRange,
    NoSuchKey,
    PreconditionFailed,
    StoreError,
    Unsupported,
)
from core.names import ObjectKey
from core.types import BoundedRange, ByteRange, SuffixRange
from tests.contract.world import pattern

KEY = ObjectKey("dir/k")
DATA = pattern(100_000)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    handler: Handler, *, path: str = "/origin", **account: Any
) -> AsyncIterator[HttpBackend]:
    """A server that answers everything by `handler`, and a backend whose origin is `path` there."""
    runner = web.ServerRunner(web.Server(cast(Any, handler)), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    backend = HttpBackend(Account("ht", endpoint=f"http://127.0.0.1:{port}{path}", **account))
    try:
        yield backend
    finally:
        await backend.close()
        await runner.cleanup()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def read(backend: HttpBackend, byte_range: ByteRange | None = None, **more: Any) -> bytes:
    reader = await backend.open("b", KEY, byte_range=byte_range, **more)
    try:
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.close()


def whole(headers: Mapping[str, str] | None = None) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=DATA, headers=headers)

    return handler


def test_what_the_origin_adds_up_to() -> None:
    seen: list[tuple[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, request.headers.get("Authorization", "")))
        return web.Response(body=DATA)

    async def work() -> None:
        secrets = {"user": "me", "password": "secret"}
        async with serving(
            handler, path="/a b/{bucket}/?k=v".replace(" ", "%20"), secrets=secrets
        ) as it:
            await it.head("the-bucket", ObjectKey("ü/100%"))
        async with serving(handler, secrets={"token": "tok"}) as it:
            await it.head("the-bucket", KEY)

    run(work())
    assert seen == [
        ("/a%20b/the-bucket/%C3%BC/100%25?k=v", "Basic bWU6c2VjcmV0"),
        ("/origin/dir/k", "Bearer tok"),
    ]


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "ftp://h/",
        "http://",
        "http://u:p@h/",
        "h/",
        "http://h:x/",
        "http://h:99999/",
        "http://h/ü",
    ],
)
def test_origins_that_are_none(endpoint: str) -> None:
    backend = HttpBackend(Account("ht", endpoint=endpoint))
    with pytest.raises(Unsupported):
        asyncio.run(backend.head("b", KEY))


@pytest.mark.parametrize("key", ["dir/", "..", "a/../b", "./a", "a/."])
def test_names_that_are_no_files(key: str) -> None:
    backend = HttpBackend(Account("ht", endpoint="http://127.0.0.1:1"))
    with pytest.raises(NoSuchKey):
        asyncio.run(backend.open("b", ObjectKey(key)))


# --- states of a file ---


@pytest.mark.parametrize(
    ("headers", "etag"),
    [
        ({"ETag": '"abc"'}, "abc"),
        ({"ETag": 'W/"abc"'}, "W/abc"),
        ({"ETag": '"a"b"'}, ""),
        ({}, ""),
    ],
)
def test_etags(headers: dict[str, str], etag: str) -> None:
    async def work() -> None:
        async with serving(whole(headers)) as backend:
            info = await backend.head("b", KEY)
            assert info.remote is not None
            assert info.remote.etag == etag
            assert info.etag
            assert await read(backend, if_match=etag) == DATA
            with pytest.raises(PreconditionFailed):
                await read(backend, if_match="another")

    run(work())


def test_time_and_size_stand_for_an_etag() -> None:
    async def work() -> None:
        found = []
        for day in ("01", "01", "02"):
            headers = {"Last-Modified": f"Tue, {day} Jan 2030 00:00:00 GMT"}
            async with serving(whole(headers)) as backend:
                info = await backend.head("b", KEY)
                assert info.remote is not None
                found.append(info.remote.etag)
        assert found[0] == found[1] != found[2]

    run(work())


# --- servers that know little ---


def test_a_range_of_a_server_without_ranges() -> None:
    async def work() -> None:
        async with serving(whole()) as backend:
            assert await read(backend, BoundedRange(70_000, 70_009)) == DATA[70_000:70_010]
            assert await read(backend, SuffixRange(5)) == DATA[-5:]
            with pytest.raises(InvalidRange):
                await read(backend, BoundedRange(100_000, 100_001))

    run(work())


def test_a_server_without_head() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=405) if request.method == "HEAD" else web.Response(body=DATA)

    async def work() -> None:
        async with serving(handler) as backend:
            assert (await backend.head("b", KEY)).size_bytes == len(DATA)
            await backend.head_bucket("b")

    run(work())


def test_a_server_that_does_not_say_how_long_a_file_is() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method == "GET":
            await response.write(DATA)
        return response

    async def work() -> None:
        async with serving(handler) as backend:
            for asked in (backend.head("b", KEY), backend.open("b", KEY)):
                with pytest.raises(Unsupported, match="how long"):
                    await asked

    run(work())


# --- servers that lie ---


@pytest.mark.parametrize("promised", [len(DATA) + 1, 10**9])
def test_a_file_that_ends_early(promised: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(promised)})
        await response.prepare(request)
        await response.write(DATA)
        assert request.transport is not None
        request.transport.close()
        return response

    async def work() -> None:
        async with serving(handler) as backend:
            with pytest.raises(BackendBroken):
                await read(backend)

    run(work())


@pytest.mark.parametrize(
    "place", ["bytes 0-9/100000", "bytes 10-19/100000", "lines 5-14/100000", "bytes 5-14/*", ""]
)
def test_a_range_that_was_not_asked_for(place: str) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=206, body=DATA[:10], headers={"Content-Range": place})

    async def work() -> None:
        async with serving(handler) as backend:
            with pytest.raises(BackendBroken):
                await read(backend, BoundedRange(5, 14))

    run(work())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NoSuchKey),
        (410, NoSuchKey),
        (401, BackendDenied),
        (403, BackendDenied),
        (429, BackendBusy),
        (503, BackendBusy),
        (500, BackendDown),
        (418, BackendBroken),
        (304, BackendBroken),
    ],
)
def test_statuses(status: int, error: type[StoreError]) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Retry-After": "7"})

    async def work() -> None:
        async with serving(handler) as backend:
            for asked in (backend.head("b", KEY), backend.open("b", KEY)):
                with pytest.raises(error) as caught:
                    await asked
                if error is BackendBusy:
                    assert caught.value.retry_after_s == 7

    run(work())


# --- redirects ---


def redirecting(location: str, at: str = "/origin/dir/k") -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == at:
            return web.Response(status=302, headers={"Location": location})
        return web.Response(body=request.path.encode())

    return handler


def test_redirects_are_followed() -> None:
    async def work() -> None:
        async with serving(redirecting("/elsewhere")) as backend:
            assert await read(backend) == b"/elsewhere"

    run(work())


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("/origin/dir/k", BackendBroken),
        ("/origin/dir/k/", NoSuchKey),
        ("ftp://h/", Unsupported),
        ("file:///etc/passwd", Unsupported),
        ("http://[", Unsupported),
    ],
)
def test_redirects_that_are_not(location: str, error: type[StoreError]) -> None:
    async def work() -> None:
        async with serving(redirecting(location)) as backend:
            with pytest.raises(error):
                await read(backend)

    run(work())


@pytest.mark.parametrize(
    "inside", ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::1]/"]
)
def test_a_public_server_does_not_lead_into_private_networks(
    inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends import http_client

    is_public = http_client._is_public

    async def origin_is_public(server: Any) -> bool:
        return server.hostname == "127.0.0.1" or await is_public(server)

    monkeypatch.setattr(http_client, "_is_public", origin_is_public)

    async def work() -> None:
        async with serving(redirecting(inside)) as backend:
            with pytest.raises(Unsupported, match="private"):
                await read(backend)

    run(work())


def test_credentials_stay_with_their_origin() -> None:
    seen: list[str | None] = []

    async def other(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.Response(body=b"other")

    async def work() -> None:
        async with serving(other) as there:
            target = f"{there._client._account.endpoint}/x"
            async with serving(redirecting(target), secrets={"token": "tok"}) as backend:
                assert await read(backend) == b"other"

    run(work())
    assert seen == [None]


def test_a_host_that_was_public_a_moment_ago_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a name decides each time anew where it leads."""

    async def said_public(_: object) -> bool:
        return True

    async def work() -> None:
        async with serving(whole()) as inside:
            target = inside._client._account.endpoint.replace("127.0.0.1", "localhost")
            async with serving(redirecting(target)) as backend:
                monkeypatch.setattr("backends.http_client._is_public", said_public)
                with pytest.raises(BackendDown):
                    await read(backend)

    run(work())


@pytest.mark.parametrize("address", ["64:ff9b::a9fe:a9fe", "::ffff:10.0.0.1", "2002:7f00:1::"])
def test_addresses_in_others_are_no_public_ones(address: str) -> None:
    assert not _is_public_address(address)
