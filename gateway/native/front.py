"""Owns one native request from ASGI scope to last byte: parse, authenticate, route, run, answer, account."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from core import access, acl
from core.claims import Permission
from core.errors import BadToken, Denied, EntityTooLarge, StoreError, Unavailable
from core.names import ObjectKey
from core.types import Bucket, Identity
from gateway.cycle import PIECES
from gateway.native.bucket_making import may_be_elsewhere, visit
from gateway.native.call import Chunk, Handler, NativeCall, NativeResponse, NativeServices
from gateway.native.easy_urls import parse_easy
from gateway.native.errors import error_response
from gateway.native.request import PREFIX, NativeRequest, split_path
from gateway.native.routes import NativeRouter, all_rows
from s3api.call import Authenticator, Request, Settings, TokenAwaited
from s3api.edge import ClientGone, RequestBody, RequestObserver
from s3api.facts import RequestFacts
from s3api.gate import Access
from s3api.request import parse_request
from s3api.sending import send_reader

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES = 64 * 1024**2
_MAX_ANONYMOUS_MESSAGE_BYTES = 64 * 1024
_STATUS_CLIENT_GONE = 499
_STATUS_CUT = 599
_OF_BUCKETS = frozenset({"buckets", "objects", "ml"})


class NativeFront:
    """The ASGI application under /v1/, and of easy URLs."""

    def __init__(
        self,
        services: NativeServices,
        authenticator: Authenticator,
        settings: Settings,
    ) -> None:
        self._services = services
        self._authenticator = authenticator
        self._settings = settings
        self.observer: RequestObserver | None = None
        self._router = NativeRouter(all_rows())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        s3 = parse_request(scope, ())
        body = aiter(RequestBody(receive))
        if s3.raw_path.startswith(PREFIX):
            resource, names = split_path(s3.raw_path)
            request = NativeRequest(s3, resource, names, body, scope["headers"], _MAX_MESSAGE_BYTES)
        else:
            request = _easy_request(s3, body, scope["headers"])
        request.receive = receive
        try:
            response = await self._answer(request)
        except ClientGone:
            self._observe(s3, _STATUS_CLIENT_GONE, 0, started)
            return
        except Exception as error:
            response = self._refuse(request, error)
        try:
            sent_bytes = await _send(response, request.method, scope, send)
            status = response.status
        except (OSError, StoreError) as error:
            # The head is out already: leaving now makes the server cut the connection.
            if isinstance(error, StoreError):
                logger.warning("%s %s cut: %s", s3.method, s3.operation, error)
            status, sent_bytes = _STATUS_CUT, 0
        self._observe(s3, status, sent_bytes, started)

    async def _answer(self, request: NativeRequest) -> NativeResponse:
        now_ns = self._services.clock.now_ns()
        try:
            authenticated = self._authenticator.authenticate(request.s3, now_ns)
        except TokenAwaited as awaited:
            authenticated = await awaited.authenticated()
        request.open_body = authenticated.open_body
        handler = await self._route(request, authenticated.identity)
        request.s3.operation = f"native:{handler.__name__}"
        call = NativeCall(
            request,
            authenticated.identity,
            self._services,
            self._admit,
            authenticated.open_body,
        )
        if request.resource in _OF_BUCKETS and may_be_elsewhere(request):
            await visit(call)
        return await handler(call)

    async def _route(self, request: NativeRequest, identity: Identity) -> Handler:
        """The operation, which a message may decide: nobody in particular sends no long ones."""
        if not identity.is_anonymous:
            return await self._router.match(request)
        request.max_message_bytes = _MAX_ANONYMOUS_MESSAGE_BYTES
        try:
            return await self._router.match(request)
        except EntityTooLarge:
            raise BadToken(reason="token required") from None

    async def _admit(
        self,
        call: NativeCall,
        action: str,
        permission: Permission,
        bucket: Bucket | None,
        key: ObjectKey | None,
    ) -> None:
        identity = call.identity
        try:
            await self._decide(call, action, permission, bucket, key)
        except Denied as error:
            if identity.is_anonymous and type(error) is Denied:
                raise BadToken(reason="token required") from None
            raise

    async def _decide(
        self,
        call: NativeCall,
        action: str,
        permission: Permission,
        bucket: Bucket | None,
        key: ObjectKey | None,
    ) -> None:
        identity = call.identity
        if bucket is None:
            name, facts = call.request.bucket_name, self._facts(call)
            if not access.authorize_account(identity, action, name, facts, permission):
                raise Denied(reason=f"{action} in the cluster")
            return
        user = identity.user
        if access.is_plain(identity, bucket) and (
            # An object in one's own bucket may be somebody else's.
            key is None or action not in acl.OBJECT_PERMISSIONS or (user and user.is_root)
        ):
            return
        asked = Access(self._services.store, identity, bucket, self._facts(call))
        await asked.require(action, key, permission=permission)

    def _facts(self, call: NativeCall) -> RequestFacts:
        return RequestFacts(call.request.s3, self._services.clock.now_ns(), self._settings.region)

    def _refuse(self, request: NativeRequest, error: Exception) -> NativeResponse:
        ref = None
        if request.resource in _OF_BUCKETS and request.names:
            try:
                ref = request.ref()
            except StoreError:
                pass
        response = error_response(error, request, ref)
        if response.status >= 500 and response.status != 501:
            if isinstance(error, Unavailable):
                logger.error("%s refused: %s", request.s3.operation, error)
            else:
                logger.error("%s %s failed", request.method, request.s3.operation, exc_info=error)
        return response

    def _observe(self, request: Request, status: int, sent_bytes: int, started: float) -> None:
        if self.observer is not None:
            self.observer(request, status, sent_bytes, time.perf_counter() - started)


def _easy_request(
    s3: Request, body: AsyncIterator[bytes], raw_headers: Sequence[tuple[bytes, bytes]]
) -> NativeRequest:
    """What an easy URL asks for, as a native client would ask."""
    path = parse_easy(s3.raw_path)
    request = NativeRequest(s3, path.resource, path.names, body, raw_headers, _MAX_MESSAGE_BYTES)
    request.given_query = {"provider": path.provider, "namespace": ""}
    if s3.method == "GET":
        request.given_message = path.message(s3.query)
    return request


async def _send(response: NativeResponse, method: str, scope: Scope, send: Send) -> int:
    """Send a response; returns the count of body bytes. Closes a reader or iterator whatever happens."""
    body, headers = response.body, response.headers
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    if isinstance(body, bytes):
        if method != "HEAD" and response.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(body)))
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return len(body)
    if isinstance(body, AsyncIterator):
        takes_pieces = PIECES in scope.get("extensions", ())
        return await _send_chunks(body, start, send, (response.send_timeout_s, takes_pieces))
    headers.append((b"content-length", b"%d" % body.length))
    return await send_reader(body, start, scope, send)


async def _send_chunks(
    body: AsyncIterator[Chunk],
    start: dict[str, Any],
    send: Send,
    how: tuple[float | None, bool],
) -> int:
    """`how`: the time that a chunk has, in seconds, and whether the server takes pieces. Raises TimeoutError, an
    OSError, where the client takes a chunk too slowly."""
    timeout_s, takes_pieces = how
    count = 0
    try:
        await send(start)
        async for chunk in body:
            message: dict[str, Any] = {"type": "http.response.body", "more_body": True}
            if isinstance(chunk, bytes):
                count += len(chunk)
                message["body"] = chunk
            else:
                size_bytes = sum(map(len, chunk))
                count += size_bytes
                if takes_pieces:
                    message["pieces"], message["size"] = chunk, size_bytes
                else:
                    message["body"] = b"".join(chunk)
            async with asyncio.timeout(timeout_s):
                await send(message)
        await send({"type": "http.response.body", "body": b""})
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
    return count
