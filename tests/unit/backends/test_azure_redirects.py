"""Servers that say they are Azure's and redirect: nobody is told a token by it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from backends.azure import AzureBackend
from core.accounts import Account
from core.errors import Unavailable
from core.listing import ListQuery
from core.names import ObjectKey
from tests.unit.backends.test_http import serving

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:azure")


def test_redirects_are_not_followed() -> None:
    seen: list[str] = []

    async def other(request: web.Request) -> web.StreamResponse:
        seen.append(str(request.rel_url))
        return web.Response(body=b"stolen")

    async def work() -> None:
        async with serving(other) as there:
            target = f"{there._client._account.endpoint}/x"

            async def redirect(_: web.Request) -> web.StreamResponse:
                return web.Response(status=307, headers={"Location": target})

            async with serving(redirect, path="/devstoreaccount1") as here:
                endpoint = here._client._account.endpoint
                token = {"sas_token": "sv=1&sig=secret"}
                backend = AzureBackend(Account("azure", endpoint=endpoint, secrets=token))
                try:
                    for call in (
                        lambda: backend.head("b", ObjectKey("k")),
                        lambda: backend.open("b", ObjectKey("k")),
                        lambda: backend.list_page("b", ListQuery()),
                        lambda: backend.head_bucket("b"),
                    ):
                        with pytest.raises(Unavailable):
                            await call()
                finally:
                    await backend.close()

    asyncio.run(work())
    assert seen == []
