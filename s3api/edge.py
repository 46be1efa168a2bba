"""Owns one S3 request from ASGI scope to last byte: parse, authenticate, route, authorize, run, answer, account.

Each of these happens here once, driven by the operation table; operations only turn a Call into a Response.
Everything that can fail with an S3 error fails before the response starts; after that the connection is cut.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from core.errors import (
    BadToken,
    Denied,
    NoSuchBucket,
    StoreError,
    Unavailable,
    VersionIsDeleteMarker,
)
from core.events import with_origin
from core.names import BucketName, parse_bucket_name, parse_object_key
from core.protocols import Clock, ObjectService
from core.types import ANONYMOUS, Bucket
from s3api import cors
from s3api.auth.errors import InvalidAccessKeyId
from s3api.call import (
    Authenticator,
    BodyPolicy,
    Call,
    CopySource,
    Level,
    Operation,
    PassOn,
    Request,
    Response,
    Router,
    Settings,
    TokenAwaited,
)
from s3api.document import read_document
from s3api.elsewhere import check_served
from s3api.errors import HOST_ID, error_response
from s3api.gate import Gate
from s3api.headers import parse_copy_source
from s3api.origins import origin_of
from s3api.request import parse_request
from s3api.sending import send_reader
from s3api.server_log import COPY_SOURCE_OPERATIONS, LogEntry, Outcome, ServerLog, row_of
from s3api.sources import marker_refusal

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)

_STATUS_CLIENT_GONE = 499
_STATUS_CUT = 599
_UNAVAILABLE_LOG_INTERVAL_S = 10


class ClientGone(Exception):
    """The client left before its request body was whole. There is nobody to answer."""


class RequestObserver(Protocol):
    """Told once of every request when it is over: the access log, metrics."""

    def __call__(self, request: Request, status: int, sent_bytes: int, seconds: float) -> None: ...


class S3Front:
    """The ASGI application of the S3 API."""

    def __init__(
        self,
        store: ObjectService,
        authenticator: Authenticator,
        router: Router,
        clock: Clock,
        settings: Settings,
        observer: RequestObserver | None = None,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._router = router
        self._clock = clock
        self._settings = settings
        self._gate = Gate(store, clock, settings)
        self._observer = observer
        self._quiet_until = 0.0
        self.server_log: ServerLog | None = None
        # The service as it is for buckets that show the members of their shards.
        self.shard_view: ObjectService | None = None
        # Where requests go that were presigned for the provider of a bucket.
        self.pass_on: PassOn | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request = parse_request(scope, self._settings.domains)
        body = RequestBody(receive)
        try:
            operation, call = await self._prepare(request, body)
            response = await operation.handler(call)
            if call.access is not None and call.access.is_charged:
                response.headers.append((b"x-amz-request-charged", b"requester"))
        except ClientGone:
            request.log_entries = None
            self._observe(request, _STATUS_CLIENT_GONE, 0, started)
            return
        except Exception as error:
            response = await self._passed_on(error, request, body) or error_response(error, request)
            self._log_unadmitted(request)
            # What is not implemented is no failure of ours: clients probe for it.
            if response.status >= 500 and response.status != 501:
                self._log_failure(request, error)
        if (origin := request.headers.get("origin")) is not None:
            response.headers += cors.answer_headers(self._store, request, origin)
        ready = started if request.log_entries is None else time.perf_counter()
        try:
            sent_bytes = await _send(response, request, scope, send)
            status = response.status
        except (OSError, StoreError) as error:
            # The head has gone out with a length that will not be met: leaving now makes the server cut the connection.
            if isinstance(error, StoreError):
                self._log_failure(request, error)
            status, sent_bytes = _STATUS_CUT, 0
        self._observe(request, status, sent_bytes, started)
        if request.log_entries is not None:
            self._keep_log(request, response, (status, sent_bytes), (started, ready))

    async def _passed_on(
        self, error: Exception, request: Request, body: RequestBody
    ) -> Response | None:
        """The answer of the provider by whose keys a request was presigned, if that is why it failed here."""
        if self.pass_on is None or not isinstance(error, InvalidAccessKeyId | BadToken):
            return None
        if "X-Amz-Signature" not in request.query and "Signature" not in request.query:
            return None
        try:
            bucket = self._bucket(request.bucket or "")
            return await self.pass_on(request, bucket, body)
        except NoSuchBucket:
            return None
        except Exception as failure:
            return error_response(failure, request)

    def _observe(self, request: Request, status: int, sent_bytes: int, started: float) -> None:
        if self._observer is not None:
            self._observer(request, status, sent_bytes, time.perf_counter() - started)

    def _log_for(self, call: Call, bucket: Bucket, key: str, operation: str = "") -> None:
        """Have a server access log say of the request what concerns a bucket that is logged."""
        entries = call.request.log_entries or []
        entries.append(LogEntry(call, bucket, key, operation))
        call.request.log_entries = entries

    def _log_unadmitted(self, request: Request) -> None:
        """What failed before its bucket was looked up, as for its signature, is logged too."""
        if request.log_entries is not None or self.server_log is None or not request.bucket:
            return
        try:
            bucket = self._store.find_bucket(BucketName(request.bucket))
        except StoreError:
            return
        if bucket.props.logging is not None:
            call = Call(request, ANONYMOUS, self._store, self._clock, self._settings)
            self._log_for(call, bucket, (request.key or b"").decode("utf-8", "replace"))

    def _keep_log(
        self,
        request: Request,
        response: Response,
        sent: tuple[int, int],
        times: tuple[float, float],
    ) -> None:
        # Taken away, because they name the request: it should leave no cycle behind.
        entries, request.log_entries = request.log_entries, None
        if self.server_log is None or entries is None:
            return
        started, ready = times
        total_s, now_ns = time.perf_counter() - started, self._clock.now_ns()
        outcome = Outcome(response, *sent, total_s, ready - started, now_ns)
        for entry in entries:
            self.server_log.write(row_of(entry, request, outcome))

    def _log_failure(self, request: Request, error: Exception) -> None:
        """A full or lost disk fails every request in the same way, so it is said once in a while, without traceback."""
        if not isinstance(error, Unavailable):
            logger.error(
                "%s failed, request id %s", request.operation, request.request_id, exc_info=error
            )
            return
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _UNAVAILABLE_LOG_INTERVAL_S
            logger.error(
                "%s refused: %s %s (the like is not logged for %d s)",
                request.operation,
                type(error).__name__,
                error,
                _UNAVAILABLE_LOG_INTERVAL_S,
            )

    async def _prepare(self, request: Request, body: RequestBody) -> tuple[Operation, Call]:
        """All that stands between a request and its operation. The body is not touched before the caller is known to
        be allowed, because the first read is what answers `Expect: 100-continue`."""
        try:
            authenticated = self._authenticator.authenticate(request, self._clock.now_ns())
        except TokenAwaited as awaited:
            authenticated = await awaited.authenticated()
        operation = self._router.match(request)
        request.operation = operation.name
        call = Call(request, authenticated.identity, self._store, self._clock, self._settings)
        call.authorize = self._gate.authorize
        if operation.level is Level.SERVICE or not operation.resolves_bucket:
            self._gate.admit_to_account(call, operation)
        else:
            await self._resolve(call, operation)
        if operation.body is BodyPolicy.STREAM:
            call.body = authenticated.open_body(body)
        elif operation.body is BodyPolicy.XML:
            call.document = await read_document(
                authenticated.open_body(body), self._settings.max_document_bytes
            )
        elif operation.body is BodyPolicy.FORM:
            call.raw_body = body
            call.authenticate_form = self._authenticator.authenticate_form
        return operation, call

    async def _resolve(self, call: Call, operation: Operation) -> None:
        request = call.request
        call.bucket = bucket = self._bucket(request.bucket or "")
        if bucket.props.native.shard_view and self.shard_view is not None:
            call.store = self.shard_view
        if bucket.props.notification_rules:
            origin = origin_of(request, call.identity, self._settings)
            call.bucket = bucket = with_origin(bucket, origin)
        if bucket.props.logging is not None:
            self._log_for(call, bucket, (request.key or b"").decode("utf-8", "replace"))
        expected_owner = request.headers.get("x-amz-expected-bucket-owner")
        if expected_owner is not None and expected_owner != bucket.owner.user_id:
            raise Denied(reason="bucket owner differs from x-amz-expected-bucket-owner")
        if operation.level is Level.OBJECT:
            call.key = parse_object_key(request.key or b"")
        await self._gate.admit(call, operation)
        if bucket.props.backend is not None:
            check_served(operation.name, bucket)
        if operation.needs_source:
            call.resolve_source = self._resolve_source
            call.source = await self._resolve_source(call)

    async def _resolve_source(self, call: Call) -> CopySource:
        name, raw_key, version_id = parse_copy_source(call.request.headers["x-amz-copy-source"])
        bucket = self._bucket(name)
        if bucket.props.logging is not None:
            operation = COPY_SOURCE_OPERATIONS[call.request.operation]
            self._log_for(call, bucket, raw_key.decode("utf-8", "replace"), operation)
        expected_owner = call.request.headers.get("x-amz-source-expected-bucket-owner")
        if expected_owner is not None and expected_owner != bucket.owner.user_id:
            raise Denied(reason="bucket owner differs from x-amz-source-expected-bucket-owner")
        key = parse_object_key(raw_key)
        try:
            return await self._gate.admit_to_source(call, CopySource(bucket, key, version_id))
        except VersionIsDeleteMarker:
            raise marker_refusal() from None

    def _bucket(self, name: str) -> Bucket:
        try:
            return self._store.find_bucket(BucketName(name))
        except NoSuchBucket:
            parse_bucket_name(
                name
            )  # a name that no bucket can have is told apart: InvalidBucketName
            raise


class RequestBody:
    """The raw body as an async iterator over ASGI receive, begun by its first read.

    No generator: the event loop keeps a register of those, which costs 2 µs for each.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._more = message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            if chunk:
                return chunk
            # The next may be long in coming, and up to 250 KiB would be kept for each body that is waited for.
            del message, chunk
        raise StopAsyncIteration


async def _send(response: Response, request: Request, scope: Scope, send: Send) -> int:
    """Send a response; returns the count of body bytes. Closes a reader whatever happens."""
    body = response.body
    headers = response.headers
    headers.append((b"x-amz-request-id", request.request_id.encode()))
    headers.append((b"x-amz-id-2", HOST_ID))
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    if isinstance(body, bytes):
        if request.method != "HEAD" and response.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(body)))
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return len(body)
    headers.append((b"content-length", b"%d" % body.length))
    return await send_reader(body, start, scope, send)
