"""Owns the end of a multipart upload to a bucket that lives elsewhere: its object at the backend, and the copy of it
that the parts make which are here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backends.cache.bodies import StoredBody
from backends.cache.copies import copy_info, local_view, sent_attributes
from backends.cache.crashpoints import reach
from backends.cache.sending import Guard, Target, broken, guard_of, send
from backends.cache.upload_ledger import RemotePart, RemoteUpload, UploadLedger
from backends.cache.writing import Writing
from core.backends import BackendPart
from core.completion import CompletedObject, CompletionRequest, complete, names_same_parts
from core.errors import NoSuchUpload, NotFound, StoreError
from core.names import UploadId
from core.nodes import StorageNode
from core.protocols import Clock
from core.types import Conditions, ObjectInfo
from core.uploads import CompletedPart, Upload

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """An upload that is to become an object: as it is here, and as it is there."""

    upload: Upload
    remote: RemoteUpload


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a completion makes, of which parts."""

    whole: CompletedObject
    parts: Sequence[RemotePart]

    @property
    def named(self) -> Sequence[CompletedPart]:
        return [CompletedPart(kept.part.part_number, kept.part.etag) for kept in self.parts]


class Completing:
    """Completes uploads for who keeps other writers of the key waiting."""

    def __init__(
        self, node: StorageNode, clock: Clock, writing: Writing, ledger: UploadLedger
    ) -> None:
        self._node = node
        self._clock = clock
        self._writing = writing
        self._ledger = ledger

    async def complete(
        self, target: Target, ended: Ended, request: CompletionRequest, conditions: Conditions
    ) -> ObjectInfo:
        """Raises as ObjectStore.complete_upload."""
        upload, remote = ended.upload, ended.remote
        held = {
            kept.part.part_number: kept
            for kept in await asyncio.to_thread(self._ledger.parts, upload.upload_id)
        }
        whole = complete(
            upload,
            {number: kept.part for number, kept in held.items()},
            request,
            min_part_bytes=target.features.min_part_bytes if remote.remote_id else 0,
        )
        decided = _Decided(whole, [held[part.part_number] for part in whole.parts])
        await guard_of(target, conditions)
        before = await self._writing.copies.doubt(target.bucket, target.key)
        await asyncio.to_thread(self._ledger.begin_completion, upload.upload_id, whole.etag)
        reach("through:completing")
        try:
            answer = await self._make(target, ended, decided)
        except StoreError as error:
            await self._writing.copies.settle(target.bucket, target.key, before, error)
            raise
        if answer.size_bytes != whole.size_bytes:
            raise broken(target, f"made {answer.size_bytes} bytes of {whole.size_bytes}")
        reach("through:completed")
        info = copy_info(answer, upload.attributes)
        info = replace(info, checksum=whole.checksum, parts=whole.parts)
        await self._remember(upload.upload_id, info)
        reach("through:remembered")
        return await self._publish(target, ended, decided, info)

    async def _remember(self, upload_id: UploadId, made: ObjectInfo) -> None:
        """What the completion made, before the upload is forgotten: it may be sent again. The object is there, whether
        or not this can be written down."""
        seen_etag = made.remote.etag if made.remote else made.etag
        try:
            await asyncio.to_thread(
                self._ledger.complete, upload_id, seen_etag, self._clock.now_ns()
            )
        except StoreError as error:
            _log.warning("completion not remembered upload=%s error=%r", upload_id, error)

    async def _make(self, target: Target, ended: Ended, decided: _Decided) -> ObjectInfo:
        """The object at the backend."""
        remote = ended.remote
        if not remote.remote_id or self._has_small_parts(target, decided):
            return await self._send_whole(target, ended, decided)
        parts = [
            BackendPart(kept.part.part_number, kept.token, kept.part.size_bytes)
            for kept in decided.parts
        ]
        try:
            return await target.backend.complete_upload(
                target.name, target.key, remote.remote_id, parts
            )
        except NoSuchUpload:
            # Completed before, by one who did not live to tell?
            made = await target.head() if remote.made_etag == decided.whole.etag else None
            if made is None or not _is_made_of(made, decided.whole):
                raise NoSuchUpload(upload_id=ended.upload.upload_id) from None
            return made

    def _has_small_parts(self, target: Target, decided: _Decided) -> bool:
        """Smaller ones than the provider takes; only completions that allow them come so far."""
        least = target.features.min_part_bytes
        return any(kept.part.size_bytes < least for kept in decided.parts[:-1])

    async def _send_whole(self, target: Target, ended: Ended, decided: _Decided) -> ObjectInfo:
        """All parts as one body, from here."""
        upload = ended.upload
        view = local_view(target.bucket)
        runs = [
            functools.partial(
                self._node.open_part, view, target.key, upload.upload_id, kept.part.part_number
            )
            for kept in decided.parts
        ]
        body = StoredBody(decided.whole.size_bytes, runs)
        sent = sent_attributes(upload.attributes, has_tags=target.features.has_tags)
        answer = await send(target, body, sent, Guard())
        if ended.remote.remote_id:
            with contextlib.suppress(StoreError):
                await target.backend.abort_upload(target.name, target.key, ended.remote.remote_id)
        return answer

    async def _publish(
        self, target: Target, ended: Ended, decided: _Decided, info: ObjectInfo
    ) -> ObjectInfo:
        """The copy, of the parts that are here; none if they are not those that the backend has."""
        view = local_view(target.bucket, announces=True)
        upload_id = ended.upload.upload_id
        try:
            kept = await self._node.publish_upload(view, target.key, upload_id, decided.named, info)
        except StoreError as error:
            await self._forget_parts(target, upload_id)
            return await self._writing.unkept(target, info, error)
        reach("through:published")
        return kept

    async def _forget_parts(self, target: Target, upload_id: UploadId) -> None:
        """End the upload here, if it has not ended: its parts are nobody's any more."""
        with contextlib.suppress(StoreError):
            view = local_view(target.bucket)
            await self._node.abort_upload(view, target.key, upload_id)

    async def repeat(
        self, target: Target, upload_id: UploadId, request: CompletionRequest
    ) -> ObjectInfo:
        """What a completion made that is sent again, while it is the current object. Raises NoSuchUpload."""
        found = await asyncio.to_thread(self._ledger.find, upload_id)
        if found is not None and found.seen_etag and names_same_parts(request, found.made_etag):
            with contextlib.suppress(NotFound):
                now = await target.head()
                if now is not None and now.remote and now.remote.etag == found.seen_etag:
                    await self._forget_parts(target, upload_id)
                    return now
        raise NoSuchUpload(upload_id=upload_id)


def _is_made_of(made: ObjectInfo, whole: CompletedObject) -> bool:
    """Whether an object is what a completion makes, as far as its ETag tells."""
    return made.etag == whole.etag and made.size_bytes == whole.size_bytes
