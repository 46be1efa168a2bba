"""Owns what becomes of a request that was presigned with a provider's key and not with one of ours: where its bucket
says so (AIStore's feature S3-Presigned-Request), it is passed on to the provider, which decides, and its answer is the
answer. A copy that such a write may have outdated is in doubt while it is under way, and gone afterwards.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from backends.cache.store import CachedStore
from core.backends import remote_name
from core.errors import InvalidArgument
from core.names import ObjectKey, parse_object_key
from core.protocols import Slice
from core.types import Bucket, ObjectAttributes, ObjectInfo
from gateway.service import SingleNodeService
from s3api.call import Request, Response

if TYPE_CHECKING:
    from backends.presigned import PassedAnswer, PresignedRelay, SignedRequest

FEATURE = 1 << 9
"""AIStore's feature flag S3-Presigned-Request."""

_STYLE = "ais-s3-signed-request-style"
_STYLES = {"": None, "path": True, "virtual-hosted": False}
_SCOPE = re.compile(r"[^/]{1,128}/[0-9]{8}/([a-z0-9-]{1,32})/s3/aws4_request")
_READS = frozenset({"GET", "HEAD"})
_WRITES = frozenset({"PUT", "DELETE", "POST"})


class PresignedPassing:
    """s3api.call.PassOn."""

    def __init__(self, service: SingleNodeService) -> None:
        self._service = service
        self._relay: PresignedRelay | None = None

    async def close(self) -> None:
        """End what is under way."""
        if self._relay is not None:
            await self._relay.close()

    async def __call__(
        self, request: Request, bucket: Bucket, body: AsyncIterable[bytes]
    ) -> Response | None:
        """The provider's answer; None if this is no request to be passed on."""
        if bucket.props.backend is None or not bucket.props.native.features & FEATURE:
            return None
        cached = self._service.cached
        if not isinstance(cached, CachedStore):
            return None
        region = _region(request)
        is_read = request.method in _READS
        if region is None or not (is_read or (request.method in _WRITES and request.key)):
            return None
        raw_key = _raw_key(request)
        if any(part in (".", "..") for part in unquote(raw_key).split("/")):
            return None  # what servers take for another path than the bucket's
        key = parse_object_key(request.key) if request.key else None
        # The HTTP client takes half a second to load, and 12 MiB, which most workers need never spend.
        from backends.presigned import SignedRequest

        signed = SignedRequest(
            request.method,
            remote_name(bucket),
            raw_key,
            request.raw_query.decode("latin-1"),
            request.headers,
            region,
            None if is_read else _bounded(request, body),
            _style(request),
        )
        if is_read:
            return await _response(request, await self._send(cached, bucket, signed))
        assert key is not None
        async with cached.changing_there(bucket, key) as change:
            answer = await self._send(cached, bucket, signed)
            change.is_refused = 300 <= answer.status < 500
            return await _response(request, answer)

    async def _send(
        self, cached: CachedStore, bucket: Bucket, signed: SignedRequest
    ) -> PassedAnswer:
        if self._relay is None:
            from backends.presigned import PresignedRelay

            self._relay = PresignedRelay()
        return await self._relay.send(cached.backends.of(bucket), signed)


def _region(request: Request) -> str | None:
    """That a signature is for; "" for one of version 2, which says none, and None for what is no signature."""
    if "Signature" in request.query and "AWSAccessKeyId" in request.query:
        return ""
    scope = _SCOPE.fullmatch(request.query.get("X-Amz-Credential", ""))
    return None if scope is None else scope[1]


def _style(request: Request) -> bool | None:
    """Whether the bucket stood in the path when the request was signed. Raises InvalidArgument."""
    said = request.headers.get(_STYLE, "").lower()
    if said not in _STYLES:
        raise InvalidArgument(name=_STYLE, value=said, reason="path, or virtual-hosted")
    return _STYLES[said]


def _raw_key(request: Request) -> str:
    path = request.raw_path
    if request.is_virtual_host:
        return path[1:].decode("latin-1")
    if path.startswith(b"/s3/"):
        path = path[3:]
    return path[1:].partition(b"/")[2].decode("latin-1")


async def _bounded(request: Request, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """What was announced, and no more: the length goes on with the headers."""
    said = request.headers.get("content-length", "0")
    left = int(said) if said.isdecimal() and len(said) < 20 else 0
    async for chunk in body:
        left -= len(chunk)
        if left < 0:
            return
        yield chunk


async def _response(request: Request, answer: PassedAnswer) -> Response:
    headers = list(answer.headers)
    if request.method == "HEAD":
        if answer.length is not None:
            headers.append((b"content-length", b"%d" % answer.length))
        answer.close()
        return Response(answer.status, headers)
    if answer.length is not None and request.method == "GET" and answer.status < 300:
        return Response(answer.status, headers, _PassedReader(answer, answer.length))
    try:
        return Response(answer.status, headers, await answer.text())
    finally:
        answer.close()


class _PassedReader:
    """An ObjectReader over a provider's answer, of which nothing is known but its bytes."""

    data: bytes | None = None
    has_slices = False
    first = 0

    def __init__(self, answer: PassedAnswer, length: int) -> None:
        self.info = ObjectInfo(ObjectKey("passed on"), length, "", 0, ObjectAttributes())
        self.length = length
        self._answer = answer

    async def next_slice(self) -> Slice | None:
        """See ObjectReader."""
        return None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """See ObjectReader."""
        return aiter(self._answer)

    async def close(self) -> None:
        """See ObjectReader."""
        self._answer.close()
