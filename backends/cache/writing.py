"""Owns writes to buckets that live elsewhere: through to the backend, and kept here.

A body is received whole and proven first, on a disk, unpublished. So what turns out bad, or ends early, was never told
to the backend; a slow client holds no writers' lock and no connection to the provider; and what goes there can be sent
again. Then, while other writers of the key wait: the copy that is here is marked in doubt, the backend gets the object,
the copy is published with the facts that the backend answered, and the client is answered. Whatever dies in between
leaves a copy in doubt, or none; a backend that refuses leaves the old object on both sides.

The backend has the truth: where it took the object and the copy can't be kept (the disk is full, say), the copy that
was here is removed, and the write has succeeded.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from backends.cache.bodies import PassingBody, StoredBody, WatchedBody
from backends.cache.copies import Copies, Writers, copy_info, local_view, sent_attributes
from backends.cache.crashpoints import reach
from backends.cache.sending import (
    Target,
    check_attributes,
    check_digest,
    check_version,
    confirmed,
    guard_of,
    has_terms,
    send,
)
from core.backends import Backends
from core.conditions import check_delete, check_unchanged
from core.deletion import DeleteItem, DeleteResult
from core.digests import MD5, kept_checksum
from core.encryption import EncryptionRequest
from core.errors import NoSuchKey, OutOfSpace, StoreError, Unsupported
from core.events import Change as Event
from core.names import ObjectKey
from core.nodes import StorageNode
from core.protocols import BodyStream, Clock, ObjectReader
from core.staging import Staged
from core.types import (
    NO_CONDITIONS,
    BoundedRange,
    Bucket,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
)

_log = logging.getLogger(__name__)

_DELETES_AT_ONCE = 16


@dataclass(slots=True)
class Change:
    """What became of a change that somebody else carries out."""

    is_refused: bool = False


class Writing:
    """Puts and deletes."""

    def __init__(
        self, node: StorageNode, backends: Backends, flights: Writers, clock: Clock
    ) -> None:
        self._node = node
        self._backends = backends
        self.flights = flights
        self.copies = Copies(node, backends, clock)

    def where(self, bucket: Bucket, key: ObjectKey) -> Target:
        """Where an object lives. Raises as Backends.of."""
        return Target(self._backends.of(bucket), bucket, key)

    def target(self, bucket: Bucket, key: ObjectKey) -> Target:
        """Where an object is written. Raises Unsupported for a provider that can only be read, and as Backends.of."""
        target = self.where(bucket, key)
        if not target.features.can_write:
            reason = f"Bucket {bucket.name} can be read only"
            raise Unsupported(what="write", reason=reason)
        return target

    @contextlib.asynccontextmanager
    async def changing_there(self, bucket: Bucket, key: ObjectKey) -> AsyncIterator[Change]:
        """Held while somebody else changes the object at the backend. The copy is in doubt meanwhile, and goes unless
        the backend refused."""
        change = Change()
        async with self.flights.writing(bucket, key):
            before = await self.copies.doubt(bucket, key)
            yield change
            if change.is_refused:
                await self.copies.settle(bucket, key, before, StoreError())
            else:
                await self.copies.drop(bucket, key)

    # --- put ---

    async def put(
        self,
        bucket: Bucket,
        key: ObjectKey,
        body: BodyStream,
        *,
        attributes: ObjectAttributes,
        conditions: Conditions = NO_CONDITIONS,
        encryption: EncryptionRequest | None = None,
    ) -> ObjectInfo:
        """See ObjectStore.put."""
        refuse_encryption(encryption)
        check_attributes(attributes)
        target = self.target(bucket, key)
        view = local_view(bucket, announces=True)
        watched = WatchedBody(body)
        try:
            staged = await self._node.stage(view, key, watched)
        except OutOfSpace:
            if watched.has_begun or body.size_bytes is None:
                raise
            return await self._put_past(target, body, attributes, conditions)
        try:
            reach("through:staged")
            async with self.flights.writing(bucket, key):
                return await self._put_staged(target, staged, attributes, conditions)
        finally:
            await staged.abandon()

    async def _put_staged(
        self,
        target: Target,
        staged: Staged,
        attributes: ObjectAttributes,
        conditions: Conditions,
    ) -> ObjectInfo:
        guard = await guard_of(target, conditions)
        md5 = staged.digests[MD5]
        body = StoredBody(staged.size_bytes, [staged.open], md5=md5)
        sent = sent_attributes(attributes, has_tags=target.features.has_tags)
        run = functools.partial(_open_run, staged)
        before = await self.copies.doubt(target.bucket, target.key)
        reach("through:marked")
        try:
            answer = await send(target, body, sent, guard, run)
        except StoreError as error:
            await self.copies.settle(target.bucket, target.key, before, error)
            raise
        reach("through:sent")
        check_digest(target, answer, md5)
        now = await confirmed(target, answer)
        info = replace(copy_info(now or answer, attributes), checksum=staged.checksum)
        if now is None:
            # Somebody else wrote to the provider right after.
            return await self.unkept(target, info)
        try:
            kept = await staged.publish(info)
        except StoreError as error:
            return await self.unkept(target, info, error)
        reach("through:published")
        return kept

    async def _put_past(
        self,
        target: Target,
        body: BodyStream,
        attributes: ObjectAttributes,
        conditions: Conditions,
    ) -> ObjectInfo:
        """Write an object that there is no room for here: its bytes go on as they come, the last of them only once the
        whole was proven."""
        bucket, key = target.bucket, target.key
        passing = PassingBody(body, body.wanted_checksum)
        sent = sent_attributes(attributes, has_tags=target.features.has_tags)
        async with self.flights.writing(bucket, key):
            guard = await guard_of(target, conditions)
            before = await self.copies.doubt(bucket, key)
            try:
                answer = await send(target, passing, sent, guard)
            except StoreError as error:
                await self.copies.settle(bucket, key, before, error)
                raise
            digests = passing.digests()
            check_digest(target, answer, digests[MD5])
            info = copy_info(await confirmed(target, answer) or answer, attributes)
            checksum = kept_checksum(digests, body.wanted_checksum)
            return await self.unkept(target, replace(info, checksum=checksum))

    async def unkept(
        self, target: Target, info: ObjectInfo, error: StoreError | None = None
    ) -> ObjectInfo:
        """The backend has an object of which no copy is kept, or could be."""
        bucket, key = target.bucket, target.key
        if error is not None:
            _log.warning("copy not kept bucket=%s key=%r error=%r", bucket.name, key, error)
        await self.copies.drop(bucket, key)
        await self.copies.tell(bucket, Event.CREATED, info)
        return replace(info, is_cached=False)

    # --- delete ---

    async def delete(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> DeleteResult:
        """See ObjectStore.delete. A version is removed where the provider has it; locks are the provider's business."""
        target = self.target(bucket, key)
        return await self._delete(target, DeleteItem(key, version_id, conditions))

    async def _delete(self, target: Target, item: DeleteItem) -> DeleteResult:
        bucket, key = target.bucket, target.key
        version_id = check_version(item.version_id)
        if version_id and not target.features.has_versions:
            raise Unsupported(what="versions", reason="The bucket's provider has no versions")
        async with self.flights.writing(bucket, key):
            if item.seen is not None or has_terms(item.conditions):
                await self._check_delete(target, item, version_id)
            before = await self.copies.doubt(bucket, key)
            reach("through:marked")
            untold = before is None and self.copies.is_told(bucket, Event.REMOVED, key)
            there = await target.head() if untold else None
            try:
                await target.backend.delete(target.name, key, version_id=version_id)
            except NoSuchKey:
                pass
            except StoreError as error:
                await self.copies.settle(bucket, key, before, error)
                raise
            reach("through:deleted")
            if before is not None:
                await self._node.delete(local_view(bucket, announces=not version_id), key)
                reach("through:removed")
            elif there is not None:
                await self.copies.tell(bucket, Event.REMOVED, there)
        return DeleteResult(key, version_id or item.version_id)

    async def _check_delete(self, target: Target, item: DeleteItem, version_id: str) -> None:
        """Decided by what the backend has, under the writers' lock; it is not asked to see to it. Raises as
        core.conditions."""
        try:
            current = await target.backend.head(target.name, target.key, version_id=version_id)
        except NoSuchKey:
            current = None
        check_delete(current, target.key, item.conditions)
        if item.seen is not None:
            if current is not None:
                # A HEAD tells no tags, and those that were seen may be a copy's.
                seen_tags = item.seen.info.attributes.tags
                attributes = replace(current.attributes, tags=seen_tags)
                current = replace(current, attributes=attributes)
            check_unchanged(current, item.seen, is_latest=item.seen.is_latest)

    async def delete_many(
        self, bucket: Bucket, items: Sequence[DeleteItem], *, bypass_governance: bool = False
    ) -> Sequence[DeleteResult | Exception]:
        """See ObjectStore.delete_many. Several at once, each on its own."""
        turns = asyncio.Semaphore(_DELETES_AT_ONCE)

        async def one(item: DeleteItem) -> DeleteResult | Exception:
            async with turns:
                try:
                    return await self._delete(self.target(bucket, item.key), item)
                except StoreError as error:
                    return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
        return [task.result() for task in tasks]


def refuse_encryption(encryption: EncryptionRequest | None) -> None:
    """Raises Unsupported: the provider would get the plain bytes all the same."""
    if encryption is not None:
        reason = (
            "Objects of a bucket that lives elsewhere are encrypted as its provider is told to; "
            "this request, or the bucket's default encryption, asks for it here"
        )
        raise Unsupported(what="encryption", reason=reason)


async def _open_run(staged: Staged, first: int, length: int) -> ObjectReader:
    return await staged.open(BoundedRange(first, first + length - 1))
