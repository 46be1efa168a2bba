"""Owns the way to an account of Azure: its credentials, the SDK's client, and plain calls of the service through it.

Whole objects go by plain calls through the SDK's own pipeline, which signs and sends them: its methods that move bytes
gather them in memory first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest

from backends.azure_errors import error_of, translated
from core.accounts import Account
from core.errors import BackendDenied

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient

_ACCOUNT_NAME = re.compile(r"[a-z0-9]{1,24}\Z")
_CONNECT_S, _READ_S = 10, 300


class Answer:
    """An answer whose head has come. Close it, unless the body was read to its end."""

    def __init__(self, response: Any) -> None:
        self.response: aiohttp.ClientResponse = response.internal_response
        self.status = int(response.status_code)
        self.headers: Mapping[str, str] = self.response.headers

    def close(self) -> None:
        self.response.close()


class AzureClient:
    """One account. What it needs is opened with the first call."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._opening = asyncio.Lock()
        self._service: BlobServiceClient | None = None
        self._credential: Any = None
        self._transport: AioHttpTransport | None = None

    async def service(self) -> BlobServiceClient:
        """The SDK's client. Raises BackendDenied where nothing says which account it is."""
        if self._service is None:
            async with self._opening:
                if self._service is None:
                    self._service = await self._open()
        return self._service

    async def call(  # what a request is made of
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> Answer:
        """Send a request and get the head of its answer. Raises what an answer of 300 and above means."""
        service = await self.service()
        url = f"{service.primary_endpoint.rstrip('/')}/{quote(bucket)}/{quote(key, safe='/~')}"
        if query:
            url += "?" + urlencode(query)
        sent = {"x-ms-version": service.api_version, **(headers or {})}
        async with translated(bucket, key):
            request = HttpRequest(method, url, headers=sent, content=content)
            pipeline: Any = service._pipeline
            done = await pipeline.run(request, stream=True)
        answer = Answer(done.http_response)
        if answer.status < 300:
            return answer
        answer.close()
        raise error_of(answer.status, answer.headers, bucket, key)

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        service, self._service = self._service, None
        if service is None:
            return
        await service.close()
        if self._transport is not None and self._transport.session is not None:
            await self._transport.session.close()
        if hasattr(self._credential, "close"):
            await self._credential.close()

    async def _open(self) -> BlobServiceClient:
        # Takes half a second to import; only those who have such buckets pay for it.
        module = await asyncio.to_thread(_import_sdk_sync)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=True,
        )
        self._transport = AioHttpTransport(
            session=session,
            session_owner=False,
            connection_timeout=_CONNECT_S,
            read_timeout=_READ_S,
        )
        # Trying again is a wrapper's work, and so is what takes too long. Redirects, which the service has none of,
        # would be signed anew for wherever they lead.
        options = {
            "retry_total": 0,
            "transport": self._transport,
            "logging_enable": False,
            "permit_redirects": False,
        }
        try:
            return self._client(module.BlobServiceClient, options)
        except BaseException:
            await session.close()
            raise

    def _client(
        self, make: type[BlobServiceClient], options: Mapping[str, Any]
    ) -> BlobServiceClient:
        said = _said(self._account)
        try:
            if said.get("connection_string"):
                return make.from_connection_string(said["connection_string"], **options)
            name = said.get("account_name") or _name_in(self._account.endpoint)
            if said.get("account_key"):
                self._credential = AzureNamedKeyCredential(name, said["account_key"])
            elif said.get("sas_token"):
                self._credential = AzureSasCredential(said["sas_token"].removeprefix("?"))
            elif said.get("anonymous", "").lower() not in ("true", "yes", "1"):
                self._credential = _default_credential()
            return make(self._endpoint(name), credential=self._credential, **options)
        except (ValueError, TypeError) as error:
            # Without the message: it may quote the connection string.
            reason = f"the account's settings make no client ({type(error).__name__})"
            raise BackendDenied(provider="azure", bucket="", reason=reason) from None

    def _endpoint(self, name: str) -> str:
        if self._account.endpoint:
            return self._account.endpoint
        if not _ACCOUNT_NAME.match(name):
            raise BackendDenied(provider="azure", bucket="", reason="no storage account is named")
        return f"https://{name}.blob.core.windows.net"


def _name_in(endpoint: str) -> str:
    """The storage account that an endpoint is of: its host's first label, or of an emulator the path's first name."""
    where = urlsplit(endpoint)
    first = where.path.strip("/").partition("/")[0]
    return first or (where.hostname or "").partition(".")[0]


def _said(account: Account) -> dict[str, str]:
    """The account's own settings and secrets; where it has no credentials, those of the environment by the names that
    Azure's own tools use."""
    said = {**account.settings, **account.secrets}
    if account.secrets or said.get("anonymous"):
        return said
    environment = {
        "connection_string": os.environ.get("AZURE_STORAGE_CONNECTION_STRING", ""),
        "account_name": os.environ.get("AZURE_STORAGE_ACCOUNT", ""),
        "account_key": os.environ.get("AZURE_STORAGE_KEY", ""),
        "sas_token": os.environ.get("AZURE_STORAGE_SAS_TOKEN", ""),
    }
    if said.get("account_name") not in (None, "", environment["account_name"]):
        # Of another account than the one that is wanted.
        return said
    if account.endpoint:
        environment["connection_string"] = ""
    return {**environment, **{name: value for name, value in said.items() if value}}


def _default_credential() -> Any:
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()


def _import_sdk_sync() -> Any:
    # Headers in logs, and pages of text where no credential is found: what matters is in the errors.
    logging.getLogger("azure").setLevel(logging.ERROR)
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
    from azure.storage.blob import aio

    return aio
