"""Owns get-batch (`/v1/ml/moss`): many objects and members of shards, over any buckets, as one archive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from core import access
from core.batches import BatchItem, WholeItems
from core.claims import Permission
from core.errors import NoSuchBucket, StoreError
from core.types import Bucket
from gateway.batch.errors import ClientLeft
from gateway.batch.multipart import Envelope, Spool, describe_outcomes, make_envelope
from gateway.batch.request import BatchRequest
from gateway.batch.service import Batch, BatchSettings
from gateway.batch.window import Check
from gateway.native.batch_message import parse_batch
from gateway.native.bucket_making import first_use
from gateway.native.call import NativeCall, NativeResponse, Row
from gateway.native.errors import message_of
from gateway.native.routes import NoSuchRoute

_MAX_NEW_BUCKETS = 16
_ACTION = "s3:GetObject"


async def get_batch(call: NativeCall) -> NativeResponse:
    """The archive as it is put together, or after what became of each item (multipart)."""
    if not call.request.names or call.request.names[0] != b"moss":
        raise NoSuchRoute(path=call.request.s3.raw_path.decode("latin-1"))
    request = await _parsed(call, await call.request.read_raw())
    check = await _authorize(call, request)
    assembler = call.services.batch_nodes.assembler(request)
    batch = await assembler.begin(request, check)
    try:
        if not request.is_streaming:
            return await _buffered(call, assembler.settings, request, batch)
        await batch.prime()
    except BaseException:
        await batch.aclose()
        raise
    headers = [(b"content-type", batch.writer.content_type)]
    return NativeResponse(200, headers, batch, assembler.settings.send_timeout_s)


async def _parsed(call: NativeCall, raw: bytes) -> BatchRequest:
    """The request, whose buckets that live elsewhere are added by this as their first use."""
    for _ in range(_MAX_NEW_BUCKETS):
        try:
            return parse_batch(raw, call)
        except NoSuchBucket as error:
            ref = error.fields.get("ref")
            if ref is None or not ref.is_remote or not await first_use(call, ref):
                raise
    return parse_batch(raw, call)


async def _authorize(call: NativeCall, request: BatchRequest) -> Check | None:
    """Ask once for each bucket. Where policies and ACLs decide, each object is asked for when it is read: what that
    gives is returned."""
    guarded: set[int] = set()
    seen: dict[int, Bucket] = {}
    items = request.items
    # Those are of one bucket.
    for item in items[:1] if isinstance(items, WholeItems) else items:
        bucket = item.bucket
        if bucket.bucket_id in seen:
            continue
        seen[bucket.bucket_id] = bucket
        try:
            await call.require(_ACTION, Permission.GET, bucket, item.key)
        except StoreError as error:
            error.fields.setdefault("ref", bucket.ref)
            raise
        user = call.identity.user
        if user is None or not user.is_root or not access.is_plain(call.identity, bucket):
            guarded.add(bucket.bucket_id)
    if not guarded:
        return None

    async def check(item: BatchItem) -> None:
        if item.bucket.bucket_id in guarded:
            await call.require(_ACTION, Permission.GET, item.bucket, item.key)

    return check


async def _buffered(
    call: NativeCall, settings: BatchSettings, request: BatchRequest, batch: Batch
) -> NativeResponse:
    spool = Spool(settings.spool_directory, settings.max_buffered_bytes)
    try:
        async for block in batch:
            await spool.write(b"".join(block))
            # Nothing is sent meanwhile, so that this alone tells of a client that has gone.
            if not await call.request.is_client_there():
                raise ClientLeft
        told = [
            (size_bytes, "" if error is None else message_of(error))
            for size_bytes, error in batch.told or ()
        ]
        metadata = describe_outcomes(batch.job_id, request, told)
    except BaseException:
        spool.close()
        raise
    await batch.aclose()
    envelope = make_envelope(metadata, batch.writer.content_type)
    length = len(envelope.head) + spool.size_bytes + len(envelope.tail)
    headers = [(b"content-type", envelope.content_type), (b"content-length", b"%d" % length)]
    return NativeResponse(200, headers, _Enveloped(envelope, spool), settings.send_timeout_s)


class _Enveloped:
    """The multipart body. Its spool is closed with it, also if it was never begun."""

    def __init__(self, envelope: Envelope, spool: Spool) -> None:
        self._spool = spool
        self._blocks = self._all(envelope)

    async def _all(self, envelope: Envelope) -> AsyncGenerator[bytes, None]:
        yield envelope.head
        async for block in self._spool.blocks():
            yield block
        yield envelope.tail

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._blocks)

    async def aclose(self) -> None:
        try:
            await self._blocks.aclose()
        finally:
            self._spool.close()


ROWS = (
    Row("GET", "ml", 1, get_batch),
    Row("GET", "ml", 2, get_batch),
    Row("POST", "ml", 1, get_batch),
    Row("POST", "ml", 2, get_batch),
)
