"""Owns the HTTP of downloads: connections under the rules of egress, redirects, and what goes wrong, as our errors.

Headers that were given for a job may be secrets: they go to where the link points, and never on to another origin.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from core.egress import EgressRules, parse_ip
from jobs.downloads.failures import failed

_MAX_REDIRECTS = 10
_CONNECT_S = 30.0
_STALL_S = 60.0
_CHUNK_BYTES = 256 * 1024
_MAX_DOCUMENT_BYTES = 64 * 1024**2
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOR_EVERYBODY = frozenset({"range", "if-range", "accept-encoding", "user-agent", "accept"})
"""Headers that go along to another origin."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})\Z")
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


class EgressRefused(OSError):
    """A name leads to an address that downloads may not reach."""


class _Guard(AbstractResolver):
    """Resolves, and lets only those addresses through that may be connected to. What it gives is what is connected to:
    nothing is resolved a second time. It looks once more as sockets are made, for what needed no resolving."""

    def __init__(self, rules: EgressRules) -> None:
        self._rules = rules
        self._resolver = aiohttp.ThreadedResolver()
        self._opened: set[tuple[str, int]] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if self._rules.opens(host, port):
            self._opened.update((each["host"], port) for each in found)
            return found
        allowed = [each for each in found if self._allows(each["host"], port)]
        if not allowed:
            raise EgressRefused(f"{host} is at no address that downloads may reach")
        return allowed

    def make_socket(self, info: Any) -> socket.socket:
        """As aiohttp's socket_factory."""
        family, kind, protocol, _, place = info
        if (place[0], place[1]) not in self._opened and not self._allows(place[0], place[1]):
            raise EgressRefused(f"{place[0]} is no address that downloads may reach")
        return socket.socket(family, kind, protocol)

    def _allows(self, host: str, port: int) -> bool:
        if self._rules.opens(host, port):
            return True
        address = parse_ip(host)
        return address is not None and self._rules.allows(address)

    async def close(self) -> None:
        await self._resolver.close()


class WebReply:
    """An answer whose body has not been read. Close it exactly once (idempotent)."""

    def __init__(self, url: str, response: aiohttp.ClientResponse, linked_digest: str) -> None:
        self.url = url
        self.status = response.status
        self._response = response
        self._linked_digest = linked_digest

    def header(self, name: str, max_chars: int = 256) -> str:
        """A header, "" where there is none or it is none that one would want to keep."""
        text = self._response.headers.get(name, "")
        return text if len(text) <= max_chars and text.isprintable() else ""

    @property
    def size_bytes(self) -> int | None:
        """Of the body; None where it is not said."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None

    @property
    def etag(self) -> str:
        """Without its quotes; "" for a weak one."""
        text = self.header("ETag")
        return "" if text.startswith("W/") else text.strip('"')

    @property
    def sha256(self) -> bytes:
        """Of the whole, where the server says so (Hugging Face: large files), else empty."""
        text = self._linked_digest
        return bytes.fromhex(text) if re.fullmatch(r"[0-9a-f]{64}", text) else b""

    def content_range(self) -> tuple[int, int, int] | None:
        """First, last, and size of the whole, of an answer to a range."""
        match = _CONTENT_RANGE.match(self.header("Content-Range"))
        return None if match is None else (int(match[1]), int(match[2]), int(match[3]))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body. Raises DownloadFailed."""
        try:
            async for chunk in self._response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise failed(self.url, _reason(error), is_transient=True) from None

    async def close(self) -> None:
        """Let go of the connection; what was not read of the body is not."""
        self._response.close()


class Web:
    """One job's connections; an async context manager."""

    def __init__(self, rules: EgressRules, headers: Mapping[str, str], *, connections: int) -> None:
        self._rules = rules
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Web:
        guard = _Guard(self._rules)
        connector = aiohttp.TCPConnector(
            limit=self._connections, resolver=guard, socket_factory=guard.make_socket
        )
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_S, connect=None, sock_read=_STALL_S
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def open(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> WebReply:
        """Ask, and follow to where the answer is. Raises DownloadFailed, also for an answer that is none."""
        sent = {
            "user-agent": "weir",
            "accept-encoding": "identity",
            **self._headers,
            **(headers or {}),
        }
        linked_digest = ""
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._ask(method, url, sent)
            linked_digest = linked_digest or response.headers.get("X-Linked-Etag", "").strip('"')
            location = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not location:
                return self._checked(WebReply(url, response, linked_digest))
            response.close()
            target = urljoin(url, location)
            if _origin(target) != _origin(url):
                sent = {name: value for name, value in sent.items() if name in _FOR_EVERYBODY}
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise failed(url, "it redirects from https to http")
            url = target
        raise failed(url, f"it redirects more than {_MAX_REDIRECTS} times")

    async def document(self, url: str) -> Any:
        """A JSON document of bounded size. Raises DownloadFailed."""
        reply = await self.open(url)
        try:
            raw = bytearray()
            async for chunk in reply:
                raw += chunk
                if len(raw) > _MAX_DOCUMENT_BYTES:
                    raise failed(url, f"it is longer than {_MAX_DOCUMENT_BYTES} bytes")
            return await asyncio.to_thread(json.loads, bytes(raw))
        except (ValueError, RecursionError):
            raise failed(url, "it is not JSON") from None
        finally:
            await reply.close()

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        assert self._session is not None
        self._check(url)
        try:
            return await self._session.request(method, url, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            is_refused = _is_refused(error)
            raise failed(url, _reason(error), is_transient=not is_refused) from None

    def _check(self, url: str) -> None:
        """Addresses that a URL itself names are resolved by nobody."""
        host, port = _place(url)
        if self._rules.opens(host, port):
            return
        address = parse_ip(host)
        if address is not None and not self._rules.allows(address):
            raise failed(url, f"{host} is no address that downloads may reach")

    def _checked(self, reply: WebReply) -> WebReply:
        if reply.status in (200, 206):
            return reply
        reply._response.close()
        raise failed(
            reply.url, f"it answers {reply.status}", is_transient=reply.status in _TRANSIENT
        )


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise failed(url, "it is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise failed(url, "it is no URL of http or https")
    return parts.hostname, port


def _origin(url: str) -> tuple[str, str, int]:
    host, port = _place(url)
    return urlsplit(url).scheme, host, port


def _is_refused(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, EgressRefused):
            return True
        error = error.__cause__ or getattr(error, "os_error", None)
    return False


def _reason(error: BaseException) -> str:
    """What went wrong, for people: nothing that repeats a link."""
    if _is_refused(error):
        return "its name is at no address that downloads may reach"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "it breaks off"
    if isinstance(error, aiohttp.InvalidURL):
        return "it is no URL"
    return f"it cannot be reached ({type(error).__name__})"
