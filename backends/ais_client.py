"""Owns requests to another cluster by the native API: their URLs, the redirects to its nodes, and what its errors are
in ours."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from backends.numbers import decimal
from core.accounts import Account
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    DigestMismatch,
    EntityTooLarge,
    InvalidArgument,
    InvalidRange,
    NoSuchBucket,
    NoSuchKey,
    StoreError,
    Unsupported,
)

PROVIDER = "ais"
_MAX_REDIRECTS = 3
_MAX_ERROR_BYTES = 64 * 1024
_MAX_ANSWER_BYTES = 64 * 1024**2
_CONNECT_S, _READ_S = 10, 300
_NO_BUCKET = re.compile(r'bucket "[^"]*" does not exist')


class AisClient:
    """One cluster, by one account. Connections are opened with the first request."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._session: aiohttp.ClientSession | None = None

    async def send(  # noqa: PLR0913  # what a request is made of
        self,
        method: str,
        bucket: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        action: Mapping[str, Any] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """A good answer, whose body is still to be read: close it. Raises what another answer means."""
        url = self._url(bucket, key, query or {})
        sent = CIMultiDict(headers)
        data: bytes | AsyncIterator[bytes] | None = content
        if action is not None:
            data = json.dumps({"action": "", "name": "", "value": None, **action}).encode()
        # As AIStore's own clients do; what a body is follows from the path.
        sent["Content-Type"] = "application/json"
        response = await self._request(method, url, sent, data, bucket)
        for _ in range(_MAX_REDIRECTS):
            location = response.headers.get("location")
            if response.status not in (301, 307, 308) or not location:
                break
            response.close()
            url = _redirected(url, location, bucket)
            response = await self._request(method, url, sent, data, bucket)
        if response.status in (200, 202, 204, 206):
            return response
        try:
            raise await _error_of(response, bucket, key)
        finally:
            response.close()

    async def ask(
        self, method: str, bucket: str, key: str = "", **more: Any
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """A good answer, with its body, which is small."""
        response = await self.send(method, bucket, key, **more)
        try:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise broken(bucket, key, "an answer without end")
            return response, bytes(body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise down(bucket, type(error).__name__) from None
        finally:
            response.close()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def namespace(self) -> str:
        """The namespace within that cluster, as `#name`; "" for its global one."""
        return self._account.settings.get("namespace", "")

    def _url(self, bucket: str, key: str, query: Mapping[str, str]) -> str:
        endpoint = self._account.endpoint.rstrip("/")
        if not endpoint.startswith(("http://", "https://")):
            raise Unsupported(what=bucket, reason="the account of that cluster has no endpoint")
        path = "objects" if key else "buckets"
        url = f"{endpoint}/v1/{path}"
        for name in filter(None, (bucket, key)):
            url += "/" + quote(name, safe="/~")
        asked = {"provider": PROVIDER, **query}
        if self.namespace:
            asked["namespace"] = self.namespace
        return f"{url}?{urlencode(asked)}"

    async def _request(
        self,
        method: str,
        url: str,
        headers: CIMultiDict[str],
        data: bytes | AsyncIterator[bytes] | None,
        bucket: str,
    ) -> aiohttp.ClientResponse:
        sent = CIMultiDict(headers)
        token = self._account.secrets.get("token")
        if token and _is_same_server(url, self._account.endpoint):
            sent["Authorization"] = f"Bearer {token}"
        # A stream can be sent once, so who redirects is to do so before it begins.
        is_stream = data is not None and not isinstance(data, bytes)
        try:
            return await self._opened().request(
                method,
                URL(url, encoded=True),
                headers=sent,
                data=data,
                allow_redirects=False,
                expect100=is_stream,
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise down(bucket, type(error).__name__) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            trusted: ssl.SSLContext | bool = True
            if self._account.settings.get("ca_file"):
                trusted = ssl.create_default_context(cafile=self._account.settings["ca_file"])
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15, ssl=trusted),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=True,
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=_READ_S),
            )
        return self._session


def down(bucket: str, reason: str) -> BackendDown:
    return BackendDown(provider=PROVIDER, bucket=bucket, reason=reason, retry_after_s=1)


def broken(bucket: str, key: str, reason: str) -> BackendBroken:
    return BackendBroken(provider=PROVIDER, bucket=bucket, key=key, reason=reason, retry_after_s=1)


def _redirected(url: str, location: str, bucket: str) -> str:
    """To another node of the cluster, by the way that the cluster itself is reached."""
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
    except ValueError:
        target = scheme = ""
    if scheme not in ("http", "https") or (url.startswith("https:") and scheme == "http"):
        raise down(bucket, "a redirect to nowhere")
    return target


def _is_same_server(one: str, other: str) -> bool:
    return urlsplit(one)[:2] == urlsplit(other)[:2]


async def _error_of(response: aiohttp.ClientResponse, bucket: str, key: str) -> StoreError:
    status = response.status
    said = await _said(response)
    code, message = str(said.get("tcode", "")), str(said.get("message", ""))[:500]
    reason = f"{status} {code}".strip()
    match status:
        case 404 | 410:
            is_bucket = code in ("ErrBckNotFound", "ErrRemoteBckNotFound")
            if not key or is_bucket or (not code and _NO_BUCKET.search(message)):
                return NoSuchBucket(bucket=bucket)
            return NoSuchKey(key=key)
        case 401 | 403:
            return BackendDenied(provider=PROVIDER, bucket=bucket, reason=reason)
        case 416:
            _, _, size = response.headers.get("content-range", "").rpartition("/")
            return InvalidRange(requested=None, size_bytes=decimal(size) or 0)
        case 429 | 503 | 423 | 409:
            # 409: somebody else brings the same object in there.
            return BackendBusy(
                provider=PROVIDER, bucket=bucket, reason=reason, retry_after_s=_pause_s(response)
            )
        case 413:
            return EntityTooLarge(size_bytes=0, max_bytes=0)
        case 501:
            return Unsupported(what=key or bucket, reason=f"that cluster cannot do it: {message}")
        case 400 if code == "ErrBadCksum":
            return DigestMismatch(source="backend", algorithm="", expected=b"", actual=b"")
        case 400 | 405:
            return InvalidArgument(
                name="backend", value=bucket, reason=f"the other cluster refuses it: {message}"
            )
        case _:
            return down(bucket, reason)


async def _said(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """What an answer says of an error; a HEAD's is in a header."""
    try:
        written = response.headers.get("hdr-error") or await response.content.read(_MAX_ERROR_BYTES)
        said = json.loads(written)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, Mapping) else {}


def _pause_s(response: aiohttp.ClientResponse) -> int:
    written = response.headers.get("retry-after", "")
    pause_s = decimal(written)
    return 1 if pause_s is None else min(pause_s, 60)
