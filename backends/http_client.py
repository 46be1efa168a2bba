"""Owns requests to plain HTTP(S) servers: where a key lies, with whose credentials it is asked for, and which redirects
are followed.

An administrator names an origin, so it may be anywhere, in private networks too. A redirect is the server's idea: it
is followed to other hosts only if these are public, unless the origin itself is not (or `private_redirects` is "true"),
and never from HTTPS to HTTP. Credentials stay with the origin.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from backends.numbers import decimal
from core.accounts import Account
from core.egress import PUBLIC, parse_ip
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    InvalidRange,
    NoSuchKey,
    StoreError,
    Unsupported,
)
from core.types import ByteRange

_PROVIDER = "ht"
_MAX_REDIRECTS = 5
_MAX_HELD = 10_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECT_S, _READ_S = 10, 300


class HttpClient:
    """The servers of one account. What it needs is opened with the first request."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._session: aiohttp.ClientSession | None = None
        self._resolver = _Resolver()

    async def send(
        self, method: str, bucket: str, key: str, headers: Mapping[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        """The answer to a request, after redirects, whatever its status. Close it. Raises BackendDown, Unsupported."""
        origin = self._origin(bucket)
        url = _url(origin, key)
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._request(method, url, origin, headers or {}, bucket)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.close()
            url = await self._redirected(url, location, origin, key)
        raise _broken(bucket, key, "too many redirects")

    def check_server(self, response: aiohttp.ClientResponse, bucket: str) -> None:
        """Raise what an answer for a bucket means, if it is not that the server is there."""
        error = _error_of(response, bucket, "", None)
        if isinstance(error, BackendDown | BackendBusy | BackendDenied):
            raise error

    def check(
        self,
        response: aiohttp.ClientResponse,
        bucket: str,
        key: str,
        byte_range: ByteRange | None = None,
    ) -> None:
        """Raise what an answer means, if it is not the file."""
        error = _error_of(response, bucket, key, byte_range)
        if error is not None:
            raise error

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(
        self,
        method: str,
        url: str,
        origin: SplitResult,
        headers: Mapping[str, str],
        bucket: str,
    ) -> aiohttp.ClientResponse:
        # The bytes as they lie there: ranges and lengths are of them.
        sent = {"Accept-Encoding": "identity", "User-Agent": "weir", **headers}
        if _is_same_server(urlsplit(url), origin):
            sent.update(self._credentials())
        try:
            return await self._opened().request(
                method, URL(url, encoded=True), headers=sent, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise BackendDown(
                provider=_PROVIDER, bucket=bucket, reason=type(error).__name__, retry_after_s=1
            ) from None

    async def _redirected(self, url: str, location: str, origin: SplitResult, key: str) -> str:
        """Where a redirect leads. Raises NoSuchKey for a directory, Unsupported for where nobody is to go."""
        try:
            target = urljoin(url, location)
        except ValueError:
            target = ""
        before, after = urlsplit(url), _parsed(target)
        if after is None:
            raise Unsupported(what=key, reason="the server redirects to what is not HTTP")
        if _is_same_server(before, after) and after.path == before.path + "/":
            raise NoSuchKey(key=key)
        if before.scheme == "https" and after.scheme == "http":
            raise Unsupported(what=key, reason="the server redirects from HTTPS to HTTP")
        if not _is_same_server(after, origin) and not await self._may_follow(after, origin):
            raise Unsupported(what=key, reason="the server redirects into a private network")
        return target

    async def _may_follow(self, target: SplitResult, origin: SplitResult) -> bool:
        if self._account.settings.get("private_redirects", "").lower() == "true":
            return True
        if not await _is_public(origin):
            return True
        self._resolver.hold(target.hostname or "")
        return await _is_public(target)

    def _origin(self, bucket: str) -> SplitResult:
        written = self._account.endpoint.replace("{bucket}", quote(bucket, safe=""))
        if not written:
            reason = "nothing says at which URL it lies (extra.http.original_url, or its account)"
            raise Unsupported(what=bucket, reason=reason)
        origin = _parsed(written)
        if origin is None:
            raise Unsupported(what=bucket, reason="its URL is none of http:// or https://")
        if "@" in origin.netloc:
            reason = "credentials belong into its account, not its URL"
            raise Unsupported(what=bucket, reason=reason)
        return origin

    def _credentials(self) -> dict[str, str]:
        secrets = self._account.secrets
        if secrets.get("token"):
            return {"Authorization": f"Bearer {secrets['token']}"}
        if secrets.get("password"):
            user = self._account.settings.get("user") or secrets.get("user", "")
            pair = base64.b64encode(f"{user}:{secrets['password']}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            trusted: ssl.SSLContext | bool = True
            if self._account.settings.get("ca_file"):
                trusted = ssl.create_default_context(cafile=self._account.settings["ca_file"])
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=30, ssl=trusted, resolver=self._resolver
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=True,
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=_READ_S),
            )
        return self._session


class _Resolver(AbstractResolver):
    """Resolves, and gives only public addresses of hosts that are held to them. What it gives is what is connected
    to: a name that was public when it was looked at is not somewhere else a moment later."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._resolver: aiohttp.ThreadedResolver | None = None

    def hold(self, host: str) -> None:
        """Hold a host to public addresses from now on."""
        if len(self._held) >= _MAX_HELD:
            self._held.clear()
        self._held.add(_bare(host))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self._resolver is None:
            self._resolver = aiohttp.ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        if _bare(host) in self._held and not all(
            _is_public_address(each["host"]) for each in found
        ):
            raise OSError("a redirect into a private network")
        return found

    async def close(self) -> None:
        """There is nothing to close."""


def _bare(host: str) -> str:
    return host.lower().rstrip(".")


def _parsed(written: str) -> SplitResult | None:
    if not written.isascii() or not written.isprintable() or " " in written:
        return None
    try:
        origin = urlsplit(written)
        has_port = origin.port is None or origin.port > 0
    except ValueError:
        return None
    is_good = has_port and origin.scheme in ("http", "https") and bool(origin.hostname)
    return origin if is_good else None


def _url(origin: SplitResult, key: str) -> str:
    path = origin.path.rstrip("/") + "/" + quote(key, safe="/~")
    return origin._replace(path=path, fragment="").geturl()


def _is_same_server(one: SplitResult, other: SplitResult) -> bool:
    ports = {"http": 80, "https": 443}
    return (one.scheme, one.hostname, one.port or ports.get(one.scheme)) == (
        other.scheme,
        other.hostname,
        other.port or ports.get(other.scheme),
    )


async def _is_public(server: SplitResult) -> bool:
    """Whether all addresses of a host are public. A host that is not found has none that is not."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            server.hostname, server.port or 80, type=socket.SOCK_STREAM
        )
    except (OSError, ValueError):
        return True
    return all(_is_public_address(str(each[4][0])) for each in found)


def _is_public_address(written: str) -> bool:
    address = parse_ip(written)
    return address is not None and PUBLIC.allows(address)


def _error_of(
    response: aiohttp.ClientResponse, bucket: str, key: str, byte_range: ByteRange | None
) -> StoreError | None:
    status = response.status
    if status in (200, 206):
        return None
    reason = str(status)
    match status:
        case 404 | 410:
            return NoSuchKey(key=key)
        case 401 | 403 | 407:
            return BackendDenied(provider=_PROVIDER, bucket=bucket, reason=reason)
        case 416:
            _, _, size = response.headers.get("content-range", "").rpartition("/")
            return InvalidRange(requested=byte_range, size_bytes=decimal(size) or 0)
        case 429 | 503:
            return BackendBusy(
                provider=_PROVIDER, bucket=bucket, reason=reason, retry_after_s=_pause_s(response)
            )
        case _ if status >= 500:
            return BackendDown(provider=_PROVIDER, bucket=bucket, reason=reason, retry_after_s=1)
        case _:
            return _broken(bucket, key, f"the server answers {reason}")


def _pause_s(response: aiohttp.ClientResponse) -> int:
    written = response.headers.get("retry-after", "")
    pause_s = decimal(written)
    return 1 if pause_s is None else min(pause_s, 60)


def _broken(bucket: str, key: str, reason: str) -> BackendBroken:
    return BackendBroken(provider=_PROVIDER, bucket=bucket, key=key, reason=reason, retry_after_s=1)
