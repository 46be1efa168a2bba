"""Owns the conformance of the adapter of other clusters, over a second weir."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backends.ais import AisBackend
from backends.ais_client import AisClient
from core.accounts import Account
from core.backends import Backend
from tests.conformance.subject import Subject, new_name
from tests.counterparts.process import free_port
from tests.counterparts.started import Counterparts
from tests.server import Server, ServerOptions

_DOTS = "the native API has no such names"


class AisSubject(Subject):
    """Buckets of a second weir, by its native API."""

    cannot: Mapping[str, str] = MappingProxyType(
        {
            "tags": "the native API has none",
            "conditional writes": "the native API has none",
            "name ..": _DOTS,
            "name ../up": _DOTS,
            "name a/../b": _DOTS,
            "name a/./b": _DOTS,
            "name dir/": _DOTS,
        }
    )
    backend: AisBackend

    def __init__(self, counterparts: Counterparts) -> None:
        super().__init__()
        self._counterparts = counterparts

    async def open(self) -> None:
        server = Server(ServerOptions([self._counterparts.directory / new_name()], workers=1))
        server.start()
        self._counterparts.on_stop(server.stop)
        self._token = server.admin("token", "create", "--sub", "somebody", "--admin").stdout.strip()
        self._endpoint = server.endpoint
        self.backend = AisBackend(self._account(server.endpoint, self._token))

    async def new_bucket(self) -> str:
        name = new_name()
        await self.backend._client.ask("POST", name, action={"action": "create-bck"})
        return name

    async def denied(self) -> Backend:
        return AisBackend(self._account(self._endpoint, "of.no.body"))

    async def down(self) -> Backend:
        return AisBackend(self._account(f"http://127.0.0.1:{free_port()}", ""))

    def open_connections(self) -> int:
        client: AisClient = self.backend._client
        if client._session is None or client._session.connector is None:
            return 0
        return len(client._session.connector._acquired)

    def _account(self, endpoint: str, token: str) -> Account:
        return Account("ais", "other", endpoint=endpoint, secrets={"token": token})
