"""Owns the sending of a copy to its backend again, in parts as it lies here: what native clients call syncing a layout.

It is a write as others are: in doubt, backend, copy. Only a copy of what the backend has now is sent; the copy keeps
its bytes and pieces, and becomes the one of what the backend answered.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from backends.cache.bodies import StoredBody
from backends.cache.copies import is_same, local_view, sent_attributes
from backends.cache.sending import Guard, Target, confirmed, send
from backends.cache.writing import Writing
from core.backends import BackendPart
from core.errors import NoSuchKey, StoreError
from core.names import ObjectKey
from core.nodes import StorageNode
from core.protocols import ObjectReader
from core.types import BoundedRange, Bucket, ObjectChanges, ObjectInfo


class Resending:
    """For the buckets of a cache."""

    def __init__(self, node: StorageNode, writing: Writing) -> None:
        self._node = node
        self._writing = writing

    async def resend(self, bucket: Bucket, key: ObjectKey) -> bool:
        """Send the copy of an object; whether there was one that is what the backend has. Raises as Backend.put."""
        target = self._writing.target(bucket, key)
        view = local_view(bucket)
        async with self._writing.flights.writing(bucket, key):
            try:
                info = await self._node.head(view, key)
            except NoSuchKey:
                return False
            now = await target.head()
            if info.remote is None or info.remote.in_doubt or now is None or now.remote is None:
                return False
            if not is_same(info.remote, now.remote):
                return False
            before = await self._writing.copies.doubt(bucket, key)
            try:
                answer = await self._send(target, view, info)
            except StoreError as error:
                await self._writing.copies.settle(bucket, key, before, error)
                raise
            made = await confirmed(target, answer)
            if made is None or made.remote is None:
                # Somebody else wrote to the provider right after.
                await self._writing.copies.drop(bucket, key)
                return True
            facts = replace(made.remote, in_doubt=False)
            changes = ObjectChanges(remote=facts, etag=made.etag, modified_ns=made.modified_ns)
            await self._node.update_object(view, key, changes)
        return True

    async def _send(self, target: Target, view: Bucket, info: ObjectInfo) -> ObjectInfo:
        assert info.remote is not None

        async def open_run(first: int, length: int) -> ObjectReader:
            if length == 0:
                return await self._node.get(view, info.key)
            byte_range = BoundedRange(first, first + length - 1)
            return await self._node.get(view, info.key, byte_range=byte_range)

        features = target.features
        sent = sent_attributes(info.attributes, has_tags=features.has_tags)
        if info.chunks is None or info.chunks.count < 2 or not features.has_multipart:
            body = StoredBody(info.size_bytes, [lambda: open_run(0, info.size_bytes)])
            return await send(target, body, sent, Guard(if_match=info.remote.etag), open_run)
        least = max(features.min_part_bytes, -(-info.size_bytes // features.max_parts))
        part_bytes = min(max(info.chunks.max_bytes, least), features.max_part_bytes)
        backend, name, key = target.backend, target.name, target.key
        upload_id = await backend.create_upload(name, key, sent)
        try:
            parts: list[BackendPart] = []
            for number, first in enumerate(range(0, info.size_bytes, part_bytes), 1):
                length = min(part_bytes, info.size_bytes - first)
                body = StoredBody(length, [functools.partial(open_run, first, length)])
                parts.append(await backend.upload_part(name, key, upload_id, number, body))
            return await backend.complete_upload(name, key, upload_id, parts)
        except BaseException:
            await backend.abort_upload(name, key, upload_id)
            raise
