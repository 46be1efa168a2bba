"""Owns the conformance of the Azure adapter over Azurite."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType

from backends.azure import AzureBackend
from core.accounts import Account
from core.backends import Backend
from tests.conformance.subject import Subject, new_name
from tests.counterparts.azurite import AzureEndpoint, start_azurite
from tests.counterparts.process import free_port
from tests.counterparts.started import Counterparts

_DOTS = "names with . or .. between slashes are other names in a URL"


class AzureSubject(Subject):
    """Blobs of an account of Azurite's."""

    cannot: Mapping[str, str] = MappingProxyType(
        {
            "tags": "the adapter keeps none",
            "forget uploads": "the service has no uploads, so it does not know that one is over",
            "name ..": _DOTS,
            "name ../up": _DOTS,
            "name a/../b": _DOTS,
            "name a/./b": _DOTS,
            "name back\\slash": "the service takes it for a slash",
            "name \uffff": "XML has no such character",
        }
    )
    missing_bucket = "conformance-no-such-container"
    backend: AzureBackend

    def __init__(self, counterparts: Counterparts) -> None:
        super().__init__()
        self._counterparts = counterparts

    async def open(self) -> None:
        self._azurite: AzureEndpoint = start_azurite(self._counterparts)
        secrets = {"connection_string": self._azurite.connection_string}
        self.backend = AzureBackend(Account("azure", secrets=secrets))

    async def new_bucket(self) -> str:
        name = new_name()
        service = await self.backend._client.service()
        await service.create_container(name)
        return name

    async def denied(self) -> Backend:
        return self._by(self._azurite.endpoint, b64encode(b"of nobody").decode())

    async def down(self) -> Backend:
        return self._by(f"http://127.0.0.1:{free_port()}/weirtest", self._azurite.account_key)

    def open_connections(self) -> int:
        transport = self.backend._client._transport
        assert transport is not None
        assert transport.session is not None
        connector = transport.session.connector
        return len(connector._acquired) if connector is not None else 0

    def _by(self, endpoint: str, key: str) -> Backend:
        settings = {"account_name": self._azurite.account_name}
        return AzureBackend(
            Account("azure", endpoint=endpoint, settings=settings, secrets={"account_key": key})
        )
