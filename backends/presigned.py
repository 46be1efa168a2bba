"""Owns the passing on of requests that somebody signed for a provider: as they stand, to the endpoint of the bucket's
account and to nowhere else, so that the provider decides by its own keys who may do what.

What a signature covers must not change: method, path, query, the signed headers, and the host. That is the one thing
which a client cannot send here, so it is made again from the endpoint, the bucket, and the style of addressing.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from backends.reach import Reach, Reachable
from core.backends import Backend
from core.errors import BackendBroken, BackendDown, Unsupported

MAX_TEXT_BYTES = 16 * 1024**2
"""Of an answer that is no object's bytes."""

_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 10, 60
_CONNECTIONS = 64
_BLOCK_BYTES = 256 * 1024
_ANSWERED = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-range",
        "content-type",
        "etag",
        "expires",
        "last-modified",
    }
)
_HOP_BY_HOP = frozenset(
    {
        "authorization",
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came. `bucket`: as it is called there. `raw_key`: percent-encoded as it came, "" for the bucket
    itself. `region`: in the signature, "" for one of version 2. `is_path_style`: how the bucket was addressed when it
    was signed, None if the client does not say."""

    method: str
    bucket: str
    raw_key: str
    raw_query: str
    headers: Mapping[str, str]
    region: str
    body: AsyncIterable[bytes] | None
    is_path_style: bool | None


class PassedAnswer:
    """What the provider answered; close it exactly once. `length`: None if it does not tell."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        said = response.headers.get("content-length", "")
        self.length = int(said) if said.isdecimal() and len(said) < 20 else None

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Those that clients are told, lower-case."""
        return [
            (name.lower(), value)
            for name, value in self._response.raw_headers
            if name.decode("latin-1").lower() in _ANSWERED or _is_amazons(name)
        ]

    async def text(self) -> bytes:
        """All of it. Raises BackendBroken if it is large."""
        found = bytearray()
        async for chunk in self:
            found += chunk
            if len(found) > MAX_TEXT_BYTES:
                raise BackendBroken(reason="an answer without end", retry_after_s=1)
        return bytes(found)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self.length
        try:
            async for chunk in self._response.content.iter_chunked(_BLOCK_BYTES):
                if left is not None:
                    left -= len(chunk)
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BackendDown(reason=type(error).__name__, retry_after_s=1) from None
        if left:
            raise BackendBroken(reason=f"{left} bytes too few", retry_after_s=1)

    def close(self) -> None:
        """An answer that was not read to its end costs its connection."""
        self._response.close()


def _is_amazons(name: bytes) -> bool:
    lower = name.lower()
    # Ours stand in every answer.
    return lower.startswith(b"x-amz-") and lower not in (b"x-amz-request-id", b"x-amz-id-2")


class PresignedRelay:
    """Passes requests on. One a process; opened with the first request, and in its event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, backend: Backend, request: SignedRequest) -> PassedAnswer:
        """Raises Unsupported (a provider that takes none), BackendDown, and what the body raises."""
        reach = await _reach_of(backend)
        headers = {
            name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP
        }
        headers.setdefault("accept-encoding", "identity")
        options: dict[str, Any] = {}
        if reach.ca_file:
            options["ssl"] = ssl.create_default_context(cafile=reach.ca_file)
        try:
            response = await self._opened().request(
                request.method,
                URL(url_of(reach, request), encoded=True),
                headers=headers,
                data=request.body,
                allow_redirects=False,
                **options,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BackendDown(
                provider="", bucket=request.bucket, reason=type(error).__name__, retry_after_s=1
            ) from None
        return PassedAnswer(response)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S
                ),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("user-agent", "accept", "content-type"),
            )
        return self._session

    async def close(self) -> None:
        """Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _reach_of(backend: Backend) -> Reach:
    """Through its wrappers: nothing of what they do may be done to a request that is another's."""
    found: Any = backend
    while hasattr(found, "inner"):
        found = found.inner
    if not hasattr(found, "reach"):
        reason = "The bucket's provider takes no presigned requests"
        raise Unsupported(what="presigned request", reason=reason)
    reachable: Reachable = found
    return await reachable.reach()


def url_of(reach: Reach, request: SignedRequest) -> str:
    """The URL that was signed. Amazon's hosts name the region that is in the signature, and buckets in front unless
    the client says otherwise; other endpoints are as they are, and have the bucket in the path."""
    parts = urlsplit(reach.url)
    host, path = parts.netloc, parts.path.rstrip("/")
    is_path_style = request.is_path_style
    if reach.is_amazon:
        ending = "amazonaws.com.cn" if host.endswith(".cn") else "amazonaws.com"
        host = f"s3.{request.region}.{ending}" if request.region else f"s3.{ending}"
    if is_path_style is None:
        is_path_style = not reach.is_amazon
    if is_path_style:
        path = f"{path}/{request.bucket}"
    else:
        host = f"{request.bucket}.{host}"
    key = f"/{request.raw_key}" if request.raw_key or not is_path_style else ""
    return f"{parts.scheme}://{host}{path}{key}?{request.raw_query}"
