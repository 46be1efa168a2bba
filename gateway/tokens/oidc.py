"""Owns the keys of the issuers that are found by OpenID Connect discovery: fetching, keeping and renewing them.

An issuer's keys are fetched when its first token comes, again in the background at intervals, and once for a token with
a key id that is not known, but not more often than a limit allows. Requests that wait for the same keys share a fetch.
Whatever an issuer answers is bounded in size and time, and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.errors import BadToken, Unavailable
from gateway.tokens.keys import VerificationKey, read_jwks_sync

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)

DISCOVERY_PATH = "/.well-known/openid-configuration"
_MAX_DOCUMENT_BYTES = 512 * 1024

Fetch = Callable[[str], Awaitable[bytes]]


class FetchError(Exception):
    """An issuer does not answer, or not as it should. The message says why."""


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """`is_http_allowed` is for issuers on this machine alone."""

    issuers: tuple[str, ...]
    refresh_interval_s: float
    min_refresh_interval_s: float
    is_http_allowed: bool = False


@dataclass(slots=True)
class _Issuer:
    url: str
    keys: Mapping[str, VerificationKey] = field(default_factory=dict)
    has_keys: bool = False
    next_try: float = 0.0
    fetching: asyncio.Task[None] | None = None


class OidcKeys:
    """The keys of the trusted issuers. `on_change` is called when keys that were good are gone."""

    def __init__(
        self,
        settings: OidcSettings,
        fetch: Fetch,
        on_change: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._on_change = on_change
        self._monotonic = monotonic
        self._issuers = {url: _Issuer(url) for url in settings.issuers}
        self._renewal: asyncio.Task[None] | None = None

    async def key(self, issuer_url: str, key_id: str | None) -> VerificationKey:
        """The key that an issuer calls so. Raises BadToken, Unavailable while an issuer's keys were never had."""
        issuer = self._issuers.get(issuer_url)
        if issuer is None:
            raise BadToken(reason="the token's issuer (iss) is not one that is trusted here")
        found = _find(issuer, key_id)
        if found is None:
            await self._refresh(issuer)
            found = _find(issuer, key_id)
        if found is not None:
            return found
        if not issuer.has_keys:
            wait_s = max(1.0, issuer.next_try - self._monotonic())
            raise Unavailable(reason="the token's issuer does not answer", retry_after_s=wait_s)
        raise BadToken(reason="the token's issuer has no key of this id (kid)")

    async def close(self) -> None:
        """Stop what runs in the background."""
        tasks = [issuer.fetching for issuer in self._issuers.values()] + [self._renewal]
        running = [task for task in tasks if task is not None]
        self._renewal = None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _refresh(self, issuer: _Issuer) -> None:
        """Fetch once for all who wait; not at all if that was tried a moment ago."""
        if issuer.fetching is None:
            if self._monotonic() < issuer.next_try:
                return
            issuer.next_try = self._monotonic() + self._settings.min_refresh_interval_s
            issuer.fetching = asyncio.create_task(self._fetch_keys(issuer))
        # Whoever gives up waiting leaves the fetch to the others.
        await asyncio.shield(issuer.fetching)
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_interval_s)
            for issuer in self._issuers.values():
                if issuer.has_keys:
                    await self._refresh(issuer)

    async def _fetch_keys(self, issuer: _Issuer) -> None:
        """Take what the issuer says now; keep what is known if it says nothing."""
        try:
            keys = await self._ask(issuer.url)
        except FetchError as error:
            logger.warning("no keys from token issuer %s: %s", issuer.url, error)
            return
        finally:
            issuer.fetching = None
        gone = issuer.keys.keys() - keys.keys()
        issuer.keys, issuer.has_keys = keys, True
        if gone:
            self._on_change()

    async def _ask(self, url: str) -> Mapping[str, VerificationKey]:
        found = await self._document(url.rstrip("/") + DISCOVERY_PATH)
        if not isinstance(found, dict) or found.get("issuer") != url:
            raise FetchError("its discovery document is of another issuer")
        keys_url = found.get("jwks_uri")
        if not isinstance(keys_url, str):
            raise FetchError("its discovery document names no keys")
        reason = unfit_url(keys_url, is_http_allowed=self._settings.is_http_allowed)
        if reason:
            raise FetchError(f"jwks_uri: {reason}")
        document = await self._document(keys_url)
        try:
            return await asyncio.to_thread(read_jwks_sync, document)
        except ValueError as error:
            raise FetchError(str(error)) from None

    async def _document(self, url: str) -> object:
        raw = await self._fetch(url)
        try:
            document: object = await asyncio.to_thread(json.loads, raw)
        except (ValueError, RecursionError):
            raise FetchError(f"{url} is not JSON") from None
        return document


def _find(issuer: _Issuer, key_id: str | None) -> VerificationKey | None:
    if key_id is not None:
        return issuer.keys.get(key_id)
    return next(iter(issuer.keys.values())) if len(issuer.keys) == 1 else None


def unfit_url(url: str, *, is_http_allowed: bool) -> str:
    """Why a URL of an issuer is not to be asked; empty if it is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "this is no URL"
    if not host or parts.username or parts.password or parts.fragment:
        return "a URL with a host and without user, password and fragment is wanted"
    if parts.scheme == "https":
        return ""
    if parts.scheme != "http":
        return "an https:// URL is wanted"
    if not is_http_allowed:
        return "plain HTTP is refused; auth.oidc_allow_http allows it for issuers on this machine"
    return "" if _is_loopback(host) else "plain HTTP is allowed to issuers on this machine alone"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class HttpFetch:
    """Fetches documents over HTTP. aiohttp is imported by the first fetch, in a thread."""

    def __init__(self, timeout_s: float, ca_bundle: str | None) -> None:
        self._timeout_s = timeout_s
        self._ca_bundle = ca_bundle
        self._tls: ssl.SSLContext | None = None

    async def __call__(self, url: str) -> bytes:
        """Raises FetchError."""
        await asyncio.to_thread(importlib.import_module, "aiohttp")
        import aiohttp

        if self._tls is None:
            self._tls = await asyncio.to_thread(self._load_tls)
        try:
            async with aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=4, force_close=True),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session:
                return await _read(session, url)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise FetchError(f"{url}: {type(error).__name__} {error}".rstrip()) from None

    def _load_tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise FetchError(f"auth.oidc_ca_bundle cannot be used: {error}") from None


async def _read(session: aiohttp.ClientSession, url: str) -> bytes:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    async with session.get(url, allow_redirects=False, headers=headers) as response:
        if response.status != 200:
            raise FetchError(f"{url} answers {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > _MAX_DOCUMENT_BYTES:
                raise FetchError(f"{url} is longer than {_MAX_DOCUMENT_BYTES} bytes")
        return bytes(body)
