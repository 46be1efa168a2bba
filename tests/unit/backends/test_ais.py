"""Other clusters that redirect, refuse and lie: what becomes of requests by the native API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import msgpack
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from backends.ais import AisBackend
from backends.ais_facts import attributes_of, custom_pairs, pack_attributes, unpack_attributes
from core.accounts import Account
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    InvalidRange,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    StoreError,
    Unsupported,
)
from core.listing import ListQuery
from core.names import ObjectKey
from core.types import ObjectAttributes
from tests.contract.world import Body, pattern

KEY = ObjectKey("dir/k")
DATA = pattern(1_000_000)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that answers everything by `handler`."""
    runner = web.ServerRunner(web.Server(cast(Any, handler)), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def cluster(handler: Handler, **account: Any) -> AsyncIterator[AisBackend]:
    async with serving(handler) as endpoint:
        backend = AisBackend(
            Account("ais", "other", endpoint=endpoint, secrets={"token": "tok"}, **account)
        )
        try:
            yield backend
        finally:
            await backend.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def answering(status: int, **more: Any) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **more)

    return handler


# --- redirects ---


@pytest.mark.parametrize("size_bytes", [0, 1000, len(DATA)])
def test_a_write_goes_to_the_node_that_the_cluster_names(size_bytes: int) -> None:
    stored: list[bytes] = []
    seen: list[tuple[str, str | None]] = []
    data = DATA[:size_bytes]

    async def node(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, request.headers.get("Authorization")))
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(size_bytes), "ETag": '"e"'})
        if request.headers.get("Expect"):
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        stored.append(await request.read())
        return web.Response()

    async def work() -> None:
        async with AsyncExitStack() as stack:
            target = await stack.enter_async_context(serving(node))

            async def proxy(request: web.Request) -> web.StreamResponse:
                # Without having read the body, as AIStore's proxies do.
                return web.Response(
                    status=307, headers={"Location": f"{target}{request.raw_path}&pid=p1"}
                )

            backend = await stack.enter_async_context(cluster(proxy))
            info = await backend.put("b", KEY, Body(data), ObjectAttributes())
            assert info.size_bytes == size_bytes

    run(work())
    assert stored == [data]
    assert seen[0] == ("/v1/objects/b/dir/k?provider=ais&pid=p1", None)


def test_redirects_without_end() -> None:
    async def work() -> None:
        headers = {"Location": "/v1/objects/b/dir/k"}
        async with cluster(answering(301, headers=headers)) as backend:
            with pytest.raises(BackendDown):
                await backend.open("b", KEY)

    run(work())


# --- what requests say ---


def test_a_namespace_over_there_and_the_token() -> None:
    seen: list[tuple[str, str | None]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, request.headers.get("Authorization")))
        return web.Response(headers={"ETag": '"e"'})

    async def work() -> None:
        async with cluster(handler, settings={"namespace": "#space"}) as backend:
            await backend.head_bucket("b")
            await backend.delete("b", ObjectKey("ü/100%?#"))

    run(work())
    assert seen == [
        ("/v1/buckets/b?provider=ais&namespace=%23space", "Bearer tok"),
        ("/v1/objects/b/%C3%BC/100%25%3F%23?provider=ais&namespace=%23space", "Bearer tok"),
    ]


# --- errors ---


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (404, {"tcode": "ErrBckNotFound"}, NoSuchBucket),
        (404, {"message": 'bucket "ais://b" does not exist'}, NoSuchBucket),
        (404, {"tcode": "ErrNotFound", "message": "ais://b/dir/k does not exist"}, NoSuchKey),
        (404, None, NoSuchKey),
        (404, [], NoSuchKey),
        (401, None, BackendDenied),
        (403, None, BackendDenied),
        (409, None, BackendBusy),
        (429, None, BackendBusy),
        (503, None, BackendBusy),
        (500, None, BackendDown),
        (507, None, BackendDown),
        (501, None, Unsupported),
    ],
)
def test_errors(status: int, said: Any, error: type[StoreError]) -> None:
    async def work() -> None:
        handler = answering(status) if said is None else said_by(status, said)
        async with cluster(handler) as backend:
            with pytest.raises(error):
                await backend.open("b", KEY)
            with pytest.raises(error):
                await backend.head("b", KEY)

    run(work())


def said_by(status: int, said: Any) -> Handler:
    """An error as the native API writes it: of a HEAD in a header."""

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.json_response(said, status=status)
        if request.method == "HEAD":
            answer.headers["Hdr-Error"] = answer.text or ""
        return answer

    return handler


def test_another_version_than_was_meant() -> None:
    async def work() -> None:
        async with cluster(answering(200, body=DATA, headers={"ETag": '"new"'})) as backend:
            with pytest.raises(PreconditionFailed):
                await backend.open("b", KEY, if_match="old")

    run(work())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        msgpack.packb([1]),
        msgpack.packb({"Entries": [1]}),
        msgpack.packb({"Entries": 5}),
        b"\x91" * 10_000,
    ],
)
def test_listings_that_are_none(body: bytes) -> None:
    async def work() -> None:
        async with cluster(answering(200, body=body)) as backend:
            with pytest.raises(BackendBroken):
                await backend.list_page("b", ListQuery())

    run(work())


@pytest.mark.parametrize("names", [[], ["a"], ["a/b"]])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_listings_that_do_not_get_on(names: list[str], delimiter: str) -> None:
    body = msgpack.packb({"Entries": [{"n": name} for name in names], "ContinuationToken": "t"})

    async def work() -> None:
        async with cluster(answering(200, body=body)) as backend:
            with pytest.raises(BackendBroken):
                await backend.list_page("b", ListQuery(after="b", delimiter=delimiter))

    run(work())


def test_answers_with_numbers_of_thousands_of_digits() -> None:
    endless = "9" * 5000
    for status, headers in (
        (503, {"Retry-After": endless}),
        (416, {"Content-Range": f"bytes */{endless}"}),
    ):
        handler = answering(status, headers=headers)

        async def work(handler: Handler = handler) -> None:
            async with cluster(handler) as backend:
                with pytest.raises((BackendBusy, InvalidRange)):
                    await backend.open("b", KEY)

        run(work())


@pytest.mark.parametrize("body", [b"x", b"5", b"[5]", b"[" * 100_000])
def test_lists_of_buckets_that_are_none(body: bytes) -> None:
    async def work() -> None:
        async with cluster(answering(200, body=body)) as backend:
            with pytest.raises(BackendBroken):
                await backend.list_buckets()

    run(work())


# --- attributes ---

_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(str.lower)


@given(st.dictionaries(_NAMES, st.text(st.characters(codec="utf-8"), max_size=30), max_size=5))
def test_metadata_comes_back(user_metadata: dict[str, str]) -> None:
    headers = {"content-type": "a/b; c=d", "expires": "Thu, 01 Jan 2032 00:00:00 GMT"}
    attributes = ObjectAttributes(headers=headers, user_metadata=user_metadata)
    lines = [f"{name}={value}" for name, value in custom_pairs(attributes)]
    assert all(line.isascii() and line.isprintable() for line in lines)
    found = attributes_of(lines)
    assert (found.headers, found.user_metadata) == (headers, user_metadata)
    upload_id, kept = unpack_attributes(pack_attributes("id", attributes))
    assert (upload_id, kept.headers, kept.user_metadata) == ("id", headers, user_metadata)


def test_upload_ids_that_are_none() -> None:
    for wrong in ("", "id", "id AAAA", "id !!"):
        with pytest.raises(NoSuchUpload):
            unpack_attributes(wrong)
