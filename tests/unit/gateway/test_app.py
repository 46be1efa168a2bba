"""The one port: what lies under /-/ and what goes to the S3 front."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from gateway.app import Websites, WellKnown, build_app


async def s3_front(scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": scope["raw_path"]})


async def site_front(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 298, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def native_front(scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 297, "headers": []})
    await send({"type": "http.response.body", "body": scope["raw_path"]})


NO_WEBSITES = Websites(site_front)
WEBSITES = Websites(site_front, ("site.test",), frozenset({8080}))


def ask(
    path: str, states: Mapping[str, str] | None = None, *, base_url: str = "http://weir.test"
) -> httpx.Response:
    async def health() -> Mapping[str, str]:
        return states or {}

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(
            build_app(s3_front, native_front, health, WEBSITES, domains=("s3.test",))
        )
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            return await client.get(path)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ({"/a": "ok", "/b": "ok"}, 200),
        ({"/a": "ok", "/b": "no such directory"}, 200),
        ({"/a": "OutOfSpace"}, 200),
        ({"/a": "no such directory"}, 503),
    ],
)
def test_health(states: dict[str, str], status: int) -> None:
    reply = ask("/-/health", states)
    assert reply.status_code == status
    assert reply.json()["mountpaths"] == states


def test_unknown_operation() -> None:
    assert ask("/-/nothing").status_code == 404


NATIVE = ["/v1/health", "/v1/objects/b/k", "/ais", "/ais/", "/ais/b", "/ais/b/k", "/gs/b/k", "/oc"]


@pytest.mark.parametrize("path", NATIVE)
def test_native_paths(path: str) -> None:
    assert ask(path).status_code == 297
    assert ask(path, base_url="http://s3.test").status_code == 297
    # There they are names of objects.
    assert ask(path, base_url="http://bucket.s3.test").status_code == 299
    assert ask("/-/health", base_url="http://bucket.s3.test").status_code == 299


@pytest.mark.parametrize(
    "path",
    ["/", "/-", "/bucket/-/health", "/bucket/a%2Fb", "/v1", "/v12/k", "/aircraft/k", "/gs1/k"],
)
def test_everything_else_is_s3(path: str) -> None:
    reply = ask(path)
    assert reply.status_code == 299
    assert reply.content == path.encode()


@pytest.mark.parametrize(
    ("base_url", "is_website"),
    [
        ("http://weir.test", False),
        ("http://site.test", False),
        ("http://mysite.test", False),
        ("http://b.site.test", True),
        ("http://B.Site.Test:9000", True),
        ("http://b.site.test.org", False),
        ("http://weir.test:8080", True),
    ],
)
def test_websites_are_told_by_host_name_or_port(base_url: str, is_website: bool) -> None:
    assert ask("/-/health", {"/a": "ok"}, base_url=base_url).status_code == (
        298 if is_website else 200
    )


# --- /.well-known/ -----------------------------------------------------------------------------------------------


async def well_known(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 297, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://weir.test/.well-known/jwks.json", 297),
        ("http://s3.test/.well-known/jwks.json", 297),
        ("http://bucket.s3.test/.well-known/jwks.json", 299),
        ("http://weir.test/.well-known", 299),
        ("http://weir.test/bucket/.well-known/jwks.json", 299),
    ],
)
def test_well_known_but_of_buckets(url: str, status: int) -> None:
    async def run() -> httpx.Response:
        async def health() -> Mapping[str, str]:
            return {}

        told = WellKnown(well_known, (b".s3.test",))
        transport = httpx.ASGITransport(build_app(s3_front, s3_front, health, NO_WEBSITES, told))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(url)

    assert asyncio.run(run()).status_code == status
