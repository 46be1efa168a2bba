"""Owns the copying of objects for native clients, at once or by jobs: what a copy is called, and how one is made of
any size."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core import acl
from core.errors import InvalidKey, KeyTooLong, NotFound, StoreError
from core.events import with_origin
from core.names import MAX_KEY_BYTES, ObjectKey, UploadId, UserId
from core.origin import Origin
from core.protocols import ObjectStore
from core.types import (
    MAX_PUT_BYTES,
    NO_CONDITIONS,
    BoundedRange,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ObjectInfo,
    User,
)
from core.uploads import CompletedPart

Place = tuple[Bucket, ObjectKey]

LATEST = Conditions(latest=True)
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


@dataclass(frozen=True, slots=True)
class CopyRules:
    """What is copied. `latest`: of what lives elsewhere, the object that its backend has now. `only_newer`: nothing
    takes the place of an object that is newer."""

    latest: bool = False
    only_newer: bool = False


class Copier:
    """Copies objects between two buckets for a user: the copies are the user's, encrypted as the target asks. Where
    either lives elsewhere, what the target has already stays as it is: bytes are not sent for nothing."""

    def __init__(
        self,
        store: ObjectStore,
        source: Bucket,
        target: Bucket,
        user: User,
        rules: CopyRules = CopyRules(),  # frozen
    ) -> None:
        origin = Origin("CopyObject", requester=user.user_id, region=target.region)
        self._store = store
        self._source = source
        self._target = with_origin(target, origin)
        self._writer = Writer(user, user.user_id)
        self._rules = rules
        is_local = source.props.backend is None and target.props.backend is None
        self._looks = rules.only_newer or not is_local
        self._conditions = LATEST if rules.latest else NO_CONDITIONS

    async def look(self, key: ObjectKey) -> ObjectInfo:
        """The source. Raises NoSuchKey, and as ObjectStore.head."""
        return await self._store.head(self._source, key, conditions=self._conditions)

    async def copy(
        self, key: ObjectKey, to: ObjectKey, info: ObjectInfo | None = None
    ) -> ObjectInfo | None:
        """One object with its metadata and tags; the copy's info, None where the target needed none. `info`: the
        source's, if it was just looked up. Raises as ObjectStore.copy, but for large ones."""
        source, target = (self._source, key), (self._target, to)
        if info is None:
            info = await self.look(key)
        if self._looks and await self._is_there(info, to):
            return None
        return await copy_object(
            self._store, source, target, self._writer, info=info, conditions=self._conditions
        )

    async def _is_there(self, info: ObjectInfo, to: ObjectKey) -> bool:
        try:
            there = await self._store.head(self._target, to)
        except NotFound:
            return False
        if self._rules.only_newer and there.modified_ns >= info.modified_ns:
            return True
        return is_same(info, there)


def is_same(source: ObjectInfo, target: ObjectInfo) -> bool:
    """Whether an object is as a copy of another would be: of the same bytes, by size and a digest, and with the same
    metadata. What a provider adds on its own does not count."""
    ours, theirs = source.attributes, target.attributes
    return (
        source.size_bytes == target.size_bytes
        and not _digests(source).isdisjoint(_digests(target))
        and ours.user_metadata == theirs.user_metadata
        and ours.headers.items() <= theirs.headers.items()
        and (not ours.tags or ours.tags == theirs.tags)
    )


def _digests(info: ObjectInfo) -> frozenset[tuple[str, str]]:
    """What is known of an object's bytes, each with what it is. An ETag that is no MD5 tells little, but if it is the
    same one, the bytes are."""
    found = {("etag", info.etag)}
    if info.checksum is not None and info.checksum.type is ChecksumType.FULL_OBJECT:
        found.add((info.checksum.algorithm.value, info.checksum.digest.hex()))
    if info.remote is not None and info.remote.md5:
        found.add(("etag", info.remote.md5.hex()))
    if info.remote is not None and info.remote.crc32c:
        found.add((ChecksumAlgorithm.CRC32C.value, info.remote.crc32c.hex()))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Writer:
    """On whose behalf something is copied. What nobody in particular makes still has an initiator, by name."""

    user: User
    owner_id: UserId


async def copy_object(
    store: ObjectStore,
    source: Place,
    target: Place,
    writer: Writer,
    *,
    info: ObjectInfo | None = None,
    conditions: Conditions = NO_CONDITIONS,
) -> ObjectInfo:
    """Copy an object of any size with its metadata and tags; `conditions` are those of the source, `info` is what is
    known of it. What is too large for one copy is put together of several, and becomes visible at the end. Raises as
    ObjectStore.copy."""
    bucket, _ = target
    owner_id = acl.owner_of_new(bucket, writer.owner_id, CannedAcl.PRIVATE)
    default = bucket.props.encryption
    encryption = None if default is None else default.request()
    if info is None:
        latest = LATEST if conditions.latest else NO_CONDITIONS
        info = await store.head(*source, conditions=latest)
    if info.size_bytes <= MAX_PUT_BYTES:
        return await store.copy(
            *source,
            *target,
            source_conditions=conditions,
            owner_id=owner_id,
            encryption=encryption,
        )
    attributes = replace(
        info.attributes,
        owner_id=owner_id,
        acl=CannedAcl.PRIVATE,
        retention=None,
        legal_hold=None,
    )
    upload = await store.create_upload(
        *target,
        attributes=attributes,
        initiator=writer.user,
        checksum_algorithm=ChecksumAlgorithm.CRC32C,
        checksum_type=ChecksumType.FULL_OBJECT,
        encryption=encryption,
    )
    try:
        parts = await copy_parts(store, source, info, target, upload.upload_id)
        return await store.complete_upload(*target, upload.upload_id, parts)
    except BaseException:
        with contextlib.suppress(StoreError):  # else it is reclaimed as other abandoned uploads are
            await store.abort_upload(*target, upload.upload_id)
        raise


async def copy_parts(
    store: ObjectStore, source: Place, info: ObjectInfo, target: Place, upload_id: UploadId
) -> Sequence[CompletedPart]:
    """Copy an object into an upload as its first parts. Raises PreconditionFailed, NoSuchKey if it is replaced
    meanwhile."""
    unchanged = Conditions(if_match=(info.etag,))
    parts = []
    for number, first in enumerate(range(0, info.size_bytes, _PART_BYTES), 1):
        last = min(first + _PART_BYTES, info.size_bytes) - 1
        part = await store.upload_part_copy(
            *source,
            *target,
            upload_id,
            number,
            source_range=BoundedRange(first, last),
            source_conditions=unchanged,
        )
        parts.append(CompletedPart(number, part.etag))
    return parts
