"""Owns the copying of objects from bucket to bucket by jobs: what a copy is called, and how one is made of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core import acl
from core.encryption import EncryptionRequest
from core.errors import InvalidKey, KeyTooLong
from core.events import with_origin
from core.names import MAX_KEY_BYTES, ObjectKey, UserId
from core.origin import Origin
from core.protocols import ObjectStore
from core.types import (
    MAX_PUT_BYTES,
    BoundedRange,
    Bucket,
    CannedAcl,
    Conditions,
    ObjectInfo,
    User,
)
from core.uploads import CompletedPart

_PART_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class NameMap:
    """How copies are called: `prepend`, then the source's name with its extension replaced.

    `extensions` maps old ones to new ones, without dots; of several that fit, the longest counts.
    """

    prepend: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def keeps_names(self) -> bool:
        return not self.prepend and not self.extensions

    def name(self, key: ObjectKey) -> ObjectKey:
        """Raises KeyTooLong, InvalidKey."""
        name: str = key
        fitting = [old for old in self.extensions if name.endswith(f".{old}")]
        if fitting:
            old = max(fitting, key=len)
            name = name[: -len(old)] + self.extensions[old]
            if not self.extensions[old]:
                name = name.removesuffix(".")
        name = self.prepend + name
        size_bytes = len(name.encode())
        if size_bytes > MAX_KEY_BYTES:
            raise KeyTooLong(size_bytes=size_bytes, max_bytes=MAX_KEY_BYTES)
        if not name:
            raise InvalidKey(reason="nothing is left of the name")
        return ObjectKey(name)


class Copier:
    """Copies objects between two buckets for a user: the copies are the user's, encrypted as the target asks."""

    def __init__(self, store: ObjectStore, source: Bucket, target: Bucket, user: User) -> None:
        origin = Origin("CopyObject", requester=user.user_id, region=target.region)
        self._store = store
        self._source = source
        self._target = with_origin(target, origin)
        self._user = user
        self._owner_id: UserId = acl.owner_of_new(target, user.user_id, CannedAcl.PRIVATE)

    async def copy(
        self, key: ObjectKey, to: ObjectKey, info: ObjectInfo | None = None
    ) -> ObjectInfo:
        """One object with its metadata and tags; the copy's info. `info`: the source's, if it was just looked up.
        Raises as ObjectStore.copy, but for large ones."""
        if info is None:
            info = await self._store.head(self._source, key)
        if info.size_bytes > MAX_PUT_BYTES:
            return await self._copy_parts(info, to)
        return await self._store.copy(
            self._source,
            key,
            self._target,
            to,
            owner_id=self._owner_id,
            encryption=self._encryption(),
        )

    async def _copy_parts(self, info: ObjectInfo, to: ObjectKey) -> ObjectInfo:
        store, target = self._store, self._target
        attributes = replace(
            info.attributes,
            owner_id=self._owner_id,
            acl=CannedAcl.PRIVATE,
            retention=None,
            legal_hold=None,
        )
        upload = await store.create_upload(
            target,
            to,
            attributes=attributes,
            initiator=self._user,
            encryption=self._encryption(),
        )
        seen = Conditions(if_match=(info.etag,))
        try:
            parts = []
            for number, first in enumerate(range(0, info.size_bytes, _PART_BYTES), 1):
                last = min(first + _PART_BYTES, info.size_bytes) - 1
                part = await store.upload_part_copy(
                    self._source,
                    info.key,
                    target,
                    to,
                    upload.upload_id,
                    number,
                    source_range=BoundedRange(first, last),
                    source_conditions=seen,
                )
                parts.append(CompletedPart(number, part.etag))
            return await store.complete_upload(target, to, upload.upload_id, parts)
        except BaseException:
            await store.abort_upload(target, to, upload.upload_id)
            raise

    def _encryption(self) -> EncryptionRequest | None:
        default = self._target.props.encryption
        return None if default is None else default.request()
