"""Owns what happens to the copy that is here while its object changes at the backend: it is in doubt from before the
backend is told until it was replaced, or until the backend says that nothing changed.

A copy in doubt outlives the death of the process: whoever reads it next compares it with the backend first.
"""

from __future__ import annotations

import contextlib
import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol

from core.backends import Backends, remote_name
from core.configs.versioning import Versioning
from core.errors import NotFound, OutOfSpace, StoreError, Unavailable
from core.events import Change, event_of, message, rules_for
from core.names import ObjectKey
from core.nodes import StorageNode
from core.protocols import Clock
from core.told_attributes import sayable
from core.types import Bucket, ObjectAttributes, ObjectChanges, ObjectInfo, RemoteFacts

_log = logging.getLogger(__name__)


class Writers(Protocol):
    """Who keeps writers of one key apart, over all processes of the node."""

    def writing(self, bucket: Bucket, key: ObjectKey) -> AbstractAsyncContextManager[None]:
        """Held by who changes the object at the backend and then its copy; what readers began to fetch before is not
        kept."""


def local_view(bucket: Bucket, *, announces: bool = False) -> Bucket:
    """The bucket as the local node is to see it: copies have no versions and no locks. `announces`: the change is a
    client's, of which the bucket's notifications tell."""
    props = replace(bucket.props, versioning=Versioning.OFF, object_lock=None)
    return replace(bucket, props=props, origin=bucket.origin if announces else None)


def is_same(one: RemoteFacts, other: RemoteFacts) -> bool:
    """Whether two answers of a backend are of one object."""
    return (one.etag, one.version_id) == (other.etag, other.version_id)


class Copies:
    """The copies of the objects that are being written."""

    def __init__(self, node: StorageNode, backends: Backends, clock: Clock) -> None:
        self._node = node
        self._backends = backends
        self._clock = clock

    async def doubt(self, bucket: Bucket, key: ObjectKey) -> ObjectInfo | None:
        """Mark the copy, durably, before the backend is told anything; gives the copy as it was. A disk too full to
        take even the mark loses the copy."""
        view = local_view(bucket)
        try:
            before = await self._node.head(view, key)
            facts = before.remote or RemoteFacts(bucket.ref.provider, "")
            if not facts.in_doubt:
                marked = ObjectChanges(remote=replace(facts, in_doubt=True))
                await self._node.update_object(view, key, marked)
        except NotFound:
            return None
        except OutOfSpace:
            await self._node.delete(view, key)
            return None
        return before

    async def settle(
        self, bucket: Bucket, key: ObjectKey, before: ObjectInfo | None, error: StoreError
    ) -> None:
        """After a backend refused: the copy counts again, if the backend still has what it had. Where it can't be
        asked, or may have taken the change in an attempt before the last, the doubt stays; but what was never there
        must not be lost by it."""
        if before is None:
            return
        if before.remote is None:
            with contextlib.suppress(StoreError):
                unmarked = ObjectChanges(removes_remote=True)
                await self._node.update_object(local_view(bucket), key, unmarked)
            return
        if before.remote.in_doubt or isinstance(error, Unavailable):
            return
        try:
            now = await self._backends.of(bucket).head(remote_name(bucket), key)
            if now.remote is not None and is_same(now.remote, before.remote):
                unmarked = ObjectChanges(remote=before.remote)
                await self._node.update_object(local_view(bucket), key, unmarked)
        except StoreError as other:
            _log.info("copy stays in doubt bucket=%s key=%r error=%r", bucket.name, key, other)

    def is_told(self, bucket: Bucket, change: Change, key: ObjectKey) -> bool:
        """Whether somebody is to be told of a change."""
        origin = bucket.origin
        return origin is not None and bool(rules_for(bucket, event_of(origin, change), key))

    async def tell(self, bucket: Bucket, change: Change, info: ObjectInfo) -> None:
        """Tell of a change that no copy was changed by, which would have told of it by itself. The backend has it
        already: what can't be told any more is no reason to fail."""
        if not self.is_told(bucket, change, info.key):
            return
        assert bucket.origin is not None
        event = event_of(bucket.origin, change)
        for rule in rules_for(bucket, event, info.key):
            text = message(bucket, rule, event, info, self._clock.now_ns())
            try:
                await self._node.announce(bucket, {rule.destination: text})
            except StoreError as error:
                _log.warning("not told bucket=%s key=%r error=%r", bucket.name, info.key, error)

    async def drop(self, bucket: Bucket, key: ObjectKey) -> None:
        """Remove the copy, which is another object than the backend's. What can't be removed stays in doubt."""
        with contextlib.suppress(StoreError):
            await self._node.delete(local_view(bucket), key)


def sent_attributes(attributes: ObjectAttributes, *, has_tags: bool) -> ObjectAttributes:
    """What of an object's attributes is the provider's business; owners, ACLs and storage classes are ours."""
    return ObjectAttributes(
        headers=attributes.headers,
        user_metadata=attributes.user_metadata,
        tags=attributes.tags if has_tags else {},
    )


def copy_info(answer: ObjectInfo, attributes: ObjectAttributes) -> ObjectInfo:
    """The record of a copy: as the backend shows the object, and what of it is only ours."""
    answer = sayable(answer)
    seen = answer.attributes
    kept = replace(
        seen,
        headers=seen.headers or attributes.headers,
        user_metadata=seen.user_metadata or attributes.user_metadata,
        owner_id=attributes.owner_id,
        acl=attributes.acl,
        tags=attributes.tags,
    )
    return replace(answer, attributes=kept, is_cached=True)
