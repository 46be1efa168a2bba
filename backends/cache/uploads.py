"""Owns multipart uploads to buckets that live elsewhere: parts go on to the backend's own upload as they come, and are
kept here too, so that completing publishes the copy without moving data.

The upload with its attributes is the local node's; what it is at the backend, and which parts both sides took, is in
the ledger (upload_ledger), which counts where the two disagree. A part is received whole and proven, then sent, then
remembered, and then acknowledged. A part for which there is no room here goes on all the same, and then the object has
no copy. Where a provider has no uploads, or takes no parts so small, the parts wait here and go there as one body.

Completing marks a copy that is here in doubt, then makes the object at the backend, then publishes the parts as its
copy. A completion that was cut off may be sent again: that it had come about is known by what the backend has.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence
from dataclasses import replace

from backends.cache.bodies import PassingBody, ReaderBody, StoredBody, WatchedBody
from backends.cache.completing import Completing, Ended
from backends.cache.copies import local_view, sent_attributes
from backends.cache.copying import Copying, Source
from backends.cache.crashpoints import reach
from backends.cache.sending import Target, check_attributes
from backends.cache.upload_ledger import RemotePart, RemoteUpload, UploadLedger
from backends.cache.writing import Writing, refuse_encryption
from core.completion import CompletionRequest
from core.conditions import check_copy_source
from core.digests import MD5, kept_checksum
from core.encryption import CustomerKey, EncryptionRequest
from core.errors import (
    CustomerKeyNotApplicable,
    EntityTooLarge,
    InvalidBucketState,
    NoSuchUpload,
    OutOfSpace,
    StoreError,
    WriteConflict,
)
from core.names import ObjectKey, UploadId
from core.nodes import StorageNode
from core.protocols import BodyStream, Clock, ObjectReader
from core.ranges import resolve_source_range
from core.types import (
    NO_CONDITIONS,
    Bucket,
    ByteRange,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
    User,
)
from core.uploads import (
    CompletedPart,
    PartListPage,
    Upload,
    UploadedPart,
    UploadListPage,
    UploadListQuery,
)

_REMEMBERED_NS = 7 * 24 * 3600 * 10**9
"""How long a completion may be sent again."""


class Uploads:
    """Multipart uploads."""

    def __init__(
        self,
        node: StorageNode,
        clock: Clock,
        writing: Writing,
        copying: Copying,
        ledger: UploadLedger,
    ) -> None:
        self._node = node
        self._clock = clock
        self._writing = writing
        self._copying = copying
        self._ledger = ledger
        self._completing = Completing(node, clock, writing, ledger)

    # --- beginning ---

    async def create_upload(  # noqa: PLR0913  # the protocol's signature
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        attributes: ObjectAttributes,
        initiator: User,
        checksum_algorithm: ChecksumAlgorithm | None = None,
        checksum_type: ChecksumType | None = None,
        encryption: EncryptionRequest | None = None,
    ) -> Upload:
        """See ObjectStore.create_upload."""
        refuse_encryption(encryption)
        check_attributes(attributes)
        target = self._writing.target(bucket, key)
        view = local_view(bucket)
        upload = await self._node.create_upload(
            view,
            key,
            attributes=attributes,
            initiator=initiator,
            checksum_algorithm=checksum_algorithm,
            checksum_type=checksum_type,
        )
        remote_id = ""
        try:
            if target.features.has_multipart:
                sent = sent_attributes(attributes, has_tags=target.features.has_tags)
                remote_id = await target.backend.create_upload(target.name, key, sent)
            reach("through:upload-created")
            assert bucket.props.backend is not None
            begun = RemoteUpload(upload.upload_id, bucket.props.backend, remote_id)
            await asyncio.to_thread(self._ledger.add, begun)
        except BaseException:
            await self._give_up(target, upload.upload_id, remote_id)
            raise
        reach("through:upload-kept")
        before_ns = self._clock.now_ns() - _REMEMBERED_NS
        await asyncio.to_thread(self._ledger.forget_completed, before_ns)
        return upload

    async def _give_up(self, target: Target, upload_id: UploadId, remote_id: str) -> None:
        with contextlib.suppress(StoreError):
            await self._node.abort_upload(local_view(target.bucket), target.key, upload_id)
        if remote_id:
            with contextlib.suppress(StoreError):
                await target.backend.abort_upload(target.name, target.key, remote_id)

    async def get_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> Upload:
        """See ObjectStore.get_upload."""
        return await self._node.get_upload(local_view(bucket), key, upload_id)

    async def _find(self, bucket: Bucket, upload_id: UploadId) -> RemoteUpload:
        """Raises NoSuchUpload; InvalidBucketState if the bucket is bound to another place by now."""
        found = await asyncio.to_thread(self._ledger.find, upload_id)
        if found is None or found.seen_etag:
            raise NoSuchUpload(upload_id=upload_id)
        if found.binding != bucket.props.backend:
            reason = "The bucket was bound to another backend after the upload began; abort it"
            raise InvalidBucketState(bucket=bucket.name, reason=reason)
        return found

    # --- parts ---

    async def upload_part(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        part_number: int,
        body: BodyStream,
        *,
        customer_key: CustomerKey | None = None,
    ) -> UploadedPart:
        """See ObjectStore.upload_part."""
        if customer_key is not None:
            raise CustomerKeyNotApplicable
        upload = await self.get_upload(bucket, key, upload_id)
        remote = await self._find(bucket, upload_id)
        target = self._writing.target(bucket, key)
        most = target.features.max_part_bytes
        if remote.remote_id and (body.size_bytes or 0) > most:
            raise EntityTooLarge(size_bytes=body.size_bytes, max_bytes=most)
        watched = WatchedBody(body)
        view = local_view(bucket)
        try:
            received = await self._node.upload_part(view, key, upload_id, part_number, watched)
        except OutOfSpace:
            if watched.has_begun or body.size_bytes is None or not remote.remote_id:
                raise
            async with self._turn(bucket, upload_id, part_number):
                return await self._pass(target, upload, remote, part_number, body)
        reach("through:part-received")
        async with self._turn(bucket, upload_id, part_number):
            await self._forward(target, remote, part_number)
        reach("through:part-kept")
        return received

    def _turn(
        self, bucket: Bucket, upload_id: UploadId, part_number: int
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """One part of a number at a time: which of two is there is what the ledger must know."""
        return self._writing.flights.writing(bucket, ObjectKey(f"{upload_id}/{part_number}"))

    async def _forward(self, target: Target, remote: RemoteUpload, part_number: int) -> None:
        """Send the part of a number that is here, and remember it as what is there."""
        view, key = local_view(target.bucket), target.key
        reader = await self._node.open_part(view, key, remote.upload_id, part_number)
        info = reader.info
        await reader.close()
        token = ""
        if remote.remote_id:
            read = functools.partial(
                self._open_same, view, key, remote.upload_id, part_number, info.etag
            )
            body = StoredBody(info.size_bytes, [read], md5=bytes.fromhex(info.etag))
            sent = await target.backend.upload_part(
                target.name, key, remote.remote_id, part_number, body
            )
            token = sent.token
            reach("through:part-sent")
        part = UploadedPart(
            part_number, info.size_bytes, info.etag, info.modified_ns, info.checksum
        )
        await asyncio.to_thread(self._ledger.put_part, remote.upload_id, RemotePart(part, token))

    async def _open_same(
        self, view: Bucket, key: ObjectKey, upload_id: UploadId, part_number: int, etag: str
    ) -> ObjectReader:
        """The part, if it is still the one that was looked at. Raises NoSuchUpload, InvalidPart, WriteConflict."""
        reader = await self._node.open_part(view, key, upload_id, part_number)
        if reader.info.etag != etag:
            await reader.close()
            raise WriteConflict(key=key)
        return reader

    async def _pass(
        self,
        target: Target,
        upload: Upload,
        remote: RemoteUpload,
        part_number: int,
        body: BodyStream,
    ) -> UploadedPart:
        """A part that there is no room for here."""
        wanted = upload.checksum_algorithm or body.wanted_checksum
        passing = PassingBody(body, wanted)
        sent = await target.backend.upload_part(
            target.name, target.key, remote.remote_id, part_number, passing
        )
        digests = passing.digests()
        part = UploadedPart(
            part_number,
            body.size_bytes or 0,
            digests[MD5].hex(),
            self._clock.now_ns(),
            kept_checksum(digests, wanted),
        )
        kept = RemotePart(part, sent.token)
        await asyncio.to_thread(self._ledger.put_part, remote.upload_id, kept)
        return part

    async def upload_part_copy(  # noqa: PLR0913  # the protocol's signature
        self,
        source_bucket: Bucket,
        source_key: ObjectKey,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        part_number: int,
        *,
        source_version_id: str | None = None,
        source_range: ByteRange | None = None,
        source_conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
        source_customer_key: CustomerKey | None = None,
    ) -> UploadedPart:
        """See ObjectStore.upload_part_copy. The bytes come by way of this node."""
        source = Source(
            source_bucket, source_key, source_version_id, customer_key=source_customer_key
        )
        info = await self._copying.head(source)
        check_copy_source(info, source_conditions)
        first, length = resolve_source_range(info, source_range)
        same = replace(source, conditions=Conditions(if_match=(info.etag,)))
        reader = await self._copying.open(same, (first, length))
        put = self.upload_part if bucket.props.backend is not None else self._node.upload_part
        try:
            body = ReaderBody(reader)
            return await put(bucket, key, upload_id, part_number, body, customer_key=customer_key)
        finally:
            await reader.close()

    async def list_parts(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        *,
        after: int = 0,
        limit: int = 1000,
    ) -> PartListPage:
        """See ObjectStore.list_parts. Those that both sides took."""
        upload = await self.get_upload(bucket, key, upload_id)
        kept = await asyncio.to_thread(self._ledger.parts, upload_id, after=after, limit=limit + 1)
        parts = [each.part for each in kept[:limit]]
        is_truncated = 0 < limit < len(kept)
        marker = parts[-1].part_number if is_truncated else 0
        return PartListPage(upload, parts, is_truncated, marker)

    async def list_uploads(self, bucket: Bucket, query: UploadListQuery) -> UploadListPage:
        """See ObjectStore.list_uploads. Those that began here."""
        return await self._node.list_uploads(local_view(bucket), query)

    # --- the end ---

    async def complete_upload(  # noqa: PLR0913  # the protocol's signature
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        parts: Sequence[CompletedPart],
        *,
        conditions: Conditions = NO_CONDITIONS,
        expected_checksum: Checksum | None = None,
        expected_size_bytes: int | None = None,
        allows_small_parts: bool = False,
    ) -> ObjectInfo:
        """See ObjectStore.complete_upload."""
        request = CompletionRequest(
            parts, expected_checksum, expected_size_bytes, allows_small_parts
        )
        target = self._writing.target(bucket, key)
        async with self._writing.flights.writing(bucket, key):
            try:
                remote = await self._find(bucket, upload_id)
            except NoSuchUpload:
                return await self._completing.repeat(target, upload_id, request)
            upload = await self.get_upload(bucket, key, upload_id)
            return await self._completing.complete(
                target, Ended(upload, remote), request, conditions
            )

    async def abort_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> None:
        """See ObjectStore.abort_upload. The backend's first: what is forgotten here stays there for good."""
        await self.get_upload(bucket, key, upload_id)
        remote = await asyncio.to_thread(self._ledger.find, upload_id)
        if remote is not None and remote.remote_id:
            # Where it began, whatever the bucket is bound to by now.
            began = replace(bucket, props=replace(bucket.props, backend=remote.binding))
            target = self._writing.target(began, key)
            await target.backend.abort_upload(target.name, key, remote.remote_id)
            reach("through:upload-aborted")
        await asyncio.to_thread(self._ledger.remove, upload_id)
        await self._node.abort_upload(local_view(bucket), key, upload_id)
