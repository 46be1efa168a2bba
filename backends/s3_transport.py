"""Owns the sending of S3 requests: aiobotocore's HTTP session, made fit for servers that are not trusted.

What a server answers beside an object's bytes is bounded in size and in time, redirects are never followed (botocore
finds the region of a bucket itself), and a body that is fed may take as long as its source takes, but no longer.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from multidict import CIMultiDict
from yarl import URL

from backends.s3_bodies import Feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_ANSWER_BYTES = 16 * 1024**2
"""Of an answer that is not an object's bytes: a page of 1,000 keys of 1,024 bytes each, percent-encoded, fits well."""

_ENTITY = tuple("<!ENTITY".encode(each) for each in ("utf-8", "utf-16-le", "utf-16-be"))

SLOW_OPERATION_S = 900.0
"""How long the server may take over what is answered with XML: completing an upload and copies take minutes."""


def new_socket(timeout_s: float, address: Any) -> socket.socket:
    """A socket whose connection the kernel gives up once the other side has taken nothing for so long. One that is
    closed while it has bytes to send would else stay for as long as a server reads none."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout_s * 1000))
    return made


class S3Session(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """See this module."""

    accept_encoding = "identity"

    @property
    def busy_connections(self) -> int:
        """How many connections are at work, or held by an answer that nobody has closed."""
        sessions = (self._sessions or {}).values()
        return sum(len(session.connector._acquired) for session in sessions)

    async def send(self, request: Any) -> Any:
        """One request. Raises botocore's exceptions, and those of the body."""
        url = request.url
        try:
            return await self._send(request)
        except aiohttp.ClientSSLError as error:
            raise SSLError(endpoint_url=url, error=error) from error
        except aiohttp.ServerTimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise ConnectTimeoutError(endpoint_url=url, error=error) from error
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError) as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=url) from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise ReadTimeoutError(endpoint_url=url, error=error) from error
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise HTTPClientError(error=error) from error

    async def _send(self, request: Any) -> Any:
        headers = CIMultiDict(
            (name, value.decode("utf-8") if isinstance(value, bytes) else str(value))
            for name, value in request.headers.items()
        )
        # What aiohttp would add by itself has the bytes come compressed, and other than they are stored.
        headers["Accept-Encoding"] = self.accept_encoding
        is_chunked = headers.pop("Transfer-Encoding", "").lower() == "chunked"
        proxy = self._proxy_config.proxy_url_for(request.url)
        session = await self._get_session(proxy)
        async with self._deadline(request.body):
            response = await session.request(
                request.method,
                url=URL(request.url, encoded=True),
                chunked=is_chunked or None,
                headers=headers,
                data=request.body,
                proxy=proxy,
                proxy_headers=self._proxy_config.proxy_headers_for(request.url),
                allow_redirects=False,
            )
            return await self._answer(request, response)

    async def _answer(self, request: Any, response: aiohttp.ClientResponse) -> Any:
        answer = AioAWSResponse(
            str(response.url),
            response.status,
            {
                name.decode("utf-8", "replace").lower(): value.decode("utf-8", "replace")
                for name, value in response.raw_headers
            },
            response,
        )
        is_body = request.stream_output and response.status < 300
        if is_body:
            return answer
        try:
            answer._content = _without_entities(await _bounded(response))
        except BaseException:
            response.close()
            raise
        if request.body and response.status >= 300:
            # Maybe answered before all was sent: the rest must not go into the next request of this connection.
            response.close()
        return answer

    @asynccontextmanager
    async def _deadline(self, body: Any) -> AsyncIterator[None]:
        """An end to waiting for a connection, for the go-ahead to send a body, for room to write, and for the answer;
        the time that the source of a body takes does not count."""
        patience_s = self._timeout.sock_connect + self._timeout.sock_read
        loop = asyncio.get_running_loop()
        if not isinstance(body, Feed):
            async with asyncio.timeout(max(patience_s, SLOW_OPERATION_S)):
                yield
            return
        async with asyncio.timeout(patience_s) as limit:

            def waits(is_server: bool) -> None:
                # Past its end the body is still being closed.
                if not limit.expired():
                    limit.reschedule(loop.time() + patience_s if is_server else None)

            body.waits = waits
            try:
                yield
            finally:
                body.waits = _nothing


def _nothing(_: bool) -> None:
    """The deadline is over."""


def _without_entities(document: bytes) -> bytes:
    """No S3 server defines any, and a document of a few MiB may become gigabytes by them. Raises ValueError."""
    if any(each in document for each in _ENTITY):
        raise ValueError("a document that defines entities")
    return document


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks, size_bytes = [], 0
    async for chunk in response.content.iter_any():
        size_bytes += len(chunk)
        if size_bytes > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
