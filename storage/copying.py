"""Owns copies of objects: onto themselves without touching data, as clones where nothing new must be computed of the
bytes, else as a put from the source's reader."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence

import xxhash

from core.conditions import check_copy_source, check_write
from core.configs.versioning import Versioning
from core.digests import MD5, kept_checksum
from core.encryption import CustomerKey, EncryptionRequest, encryption_as_before
from core.errors import EntityTooLarge, NoSuchKey, PreconditionFailed, WriteConflict
from core.memory_reader import MemoryReader
from core.names import ObjectKey, UserId
from core.types import (
    MAX_PUT_BYTES,
    NO_CONDITIONS,
    NULL_VERSION,
    Bucket,
    CannedAcl,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
)
from storage import crashpoints
from storage.index import find_object, require_open
from storage.intake import Intake
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.objects import Objects
from storage.pieces import cutting_of
from storage.publish import Publisher, is_durable
from storage.reader import FileReader
from storage.records import StoredObject
from storage.sealed import Seal, Seals
from storage.transaction import Transaction
from storage.versions import Publication, replace_object

_MAX_ATTEMPTS = 10


class ReaderBody:
    """The bytes that a reader offers, as the body of a write."""

    wanted_checksum = None

    def __init__(self, reader: MemoryReader | FileReader) -> None:
        self._reader = reader
        self.size_bytes: int | None = reader.length

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._reader)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        return ()


@dataclasses.dataclass(frozen=True, slots=True)
class CopyRequest:
    """What CopyObject asks for, beside the names."""

    source_version_id: str | None = None
    source_conditions: Conditions = NO_CONDITIONS
    conditions: Conditions = NO_CONDITIONS
    attributes: ObjectAttributes | None = None
    owner_id: UserId | None = None
    checksum_algorithm: ChecksumAlgorithm | None = None
    encryption: EncryptionRequest | None = None
    source_customer_key: CustomerKey | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """What a copy keeps of its source's digests, and what must be computed from the bytes."""

    needs_md5: bool
    kept: Checksum | None
    computed: ChecksumAlgorithm | None

    @property
    def needs_bytes(self) -> bool:
        return self.needs_md5 or self.computed is not None


class _SourceReplaced(Exception):
    """Somebody wrote to the object whose attributes were to be replaced."""


class Copier:
    """Copies between and within the mountpaths of a node."""

    def __init__(
        self,
        mountpaths: Mountpaths,
        objects: Objects,
        intake: Intake,
        publisher: Publisher,
        seals: Seals,
    ) -> None:
        self._mountpaths = mountpaths
        self._seals = seals
        self._objects = objects
        self._intake = intake
        self._publisher = publisher

    async def copy(
        self,
        source: tuple[Bucket, ObjectKey],
        target: tuple[Bucket, ObjectKey],
        request: CopyRequest,
    ) -> ObjectInfo:
        """See ObjectStore.copy. A caller that is cancelled does not stop it."""
        return await self._publisher.shield(self._copy(source, target, request))

    async def _copy(
        self,
        source: tuple[Bucket, ObjectKey],
        target: tuple[Bucket, ObjectKey],
        request: CopyRequest,
    ) -> ObjectInfo:
        for _ in range(_MAX_ATTEMPTS):
            reader, stored = await self._open_source(source, request)
            try:
                if not _is_same_key(source, target):
                    return await self._copy_bytes(target, reader, stored, request)
                if await self._is_in_place(target, stored, request):
                    return await self._replace_attributes(target, reader, stored, request)
                return await self._copy_onto_itself(target, reader, stored, request)
            except _SourceReplaced:
                continue
            finally:
                await reader.close()
        raise WriteConflict(key=target[1])

    async def _open_source(
        self, source: tuple[Bucket, ObjectKey], request: CopyRequest
    ) -> tuple[MemoryReader | FileReader, StoredObject]:
        def choose(info: ObjectInfo) -> tuple[int, int]:
            check_copy_source(info, request.source_conditions)
            if info.size_bytes > MAX_PUT_BYTES:
                raise EntityTooLarge(size_bytes=info.size_bytes, max_bytes=MAX_PUT_BYTES)
            return 0, info.size_bytes

        return await self._objects.open_stored(
            *source, request.source_version_id, choose, request.source_customer_key
        )

    def _new_info(
        self, key: ObjectKey, old: ObjectInfo, plan: _Plan, request: CopyRequest
    ) -> ObjectInfo:
        """But for the digests that are still to be computed."""
        attributes = request.attributes
        if attributes is None:
            owner_id = old.attributes.owner_id if request.owner_id is None else request.owner_id
            # What locks the source is no property of its copy (AWS: Copying objects, Object Lock).
            attributes = dataclasses.replace(
                old.attributes,
                owner_id=owner_id,
                acl=CannedAcl.PRIVATE,
                retention=None,
                legal_hold=None,
            )
        now_ns = self._mountpaths.clock.now_ns()
        return ObjectInfo(key, old.size_bytes, old.etag, now_ns, attributes, plan.kept)

    async def _is_in_place(
        self, target: tuple[Bucket, ObjectKey], stored: StoredObject, request: CopyRequest
    ) -> bool:
        """Whether the copy replaces its own source, so that the bytes can stay where they are. A copy that makes a
        version of its own gets bytes of its own: no blob is two versions'."""
        bucket, key = target
        if request.encryption is not None:
            return False
        if stored.info.encryption is not None and _plan(stored.info, request).needs_bytes:
            # The parts' numbers, by which their bytes open, would be lost with the parts.
            return False
        if bucket.props.versioning is Versioning.ENABLED or stored.info.version_id != NULL_VERSION:
            return False
        old_class = stored.info.attributes.storage_class
        attributes = request.attributes or stored.info.attributes
        if attributes.storage_class != old_class and (
            self._mountpaths.place(bucket, key, attributes.storage_class)
            is not self._mountpaths.place(bucket, key, old_class)
        ):
            return False
        if request.source_version_id is None:
            return True
        try:
            current = await self._objects.find(bucket, key, None, with_data=False)
        except NoSuchKey:
            return False
        return current.stored.stamp == stored.stamp

    # --- onto another key, or as a new version ---

    async def _copy_bytes(
        self,
        target: tuple[Bucket, ObjectKey],
        reader: MemoryReader | FileReader,
        stored: StoredObject,
        request: CopyRequest,
    ) -> ObjectInfo:
        bucket, key = target
        mountpath = self._mountpaths.owner(bucket, key)
        plan = _plan(stored.info, request)
        info = self._new_info(key, stored.info, plan, request)
        seal: Seal | None = None
        if request.encryption is not None:
            seal = await self._seals.new(bucket, key, request.encryption)
        cutting = cutting_of(
            self._mountpaths,
            (bucket, key, info.attributes.storage_class),
            info.size_bytes,
            None if seal is None else seal.sealer,
        )
        if isinstance(reader, FileReader):
            is_plain = seal is None and stored.info.encryption is None and cutting is None
            if is_plain and len(stored.segments) == 1 and not plan.needs_bytes:
                return await self._clone(mountpath, bucket, info, (reader, stored), request)
            reader.verify()
        place = cutting or self._mountpaths.place(bucket, key, info.attributes.storage_class)
        sealer = None if seal is None else seal.sealer()
        received = await self._intake.receive(
            mountpath, ReaderBody(reader), plan.computed, sealer, place
        )
        info = dataclasses.replace(
            info,
            etag=received.etag if seal is None else seal.etag(received),
            checksum=plan.kept or received.checksum,
            encryption=None if seal is None else seal.encryption,
        )
        return await self._publisher.publish_received(
            mountpath, bucket, (info, received), request.conditions, "copy"
        )

    async def _clone(
        self,
        mountpath: Mountpath,
        bucket: Bucket,
        info: ObjectInfo,
        source: tuple[FileReader, StoredObject],
        request: CopyRequest,
    ) -> ObjectInfo:
        reader, stored = source
        place = self._mountpaths.place(bucket, info.key, info.attributes.storage_class)
        disk = place or mountpath
        await disk.require_room(info.size_bytes)
        disk.opened().capacity.took(info.size_bytes, is_blob=True)
        blob = mountpath.opened().new_blob(None if place is None else place.spec)
        try:
            await disk.run(lambda: blob.clone(reader.held_fd, info.size_bytes))
        except BaseException:
            await mountpath.run(blob.abandon)
            raise
        made = (info, blob, stored.segments[0].checksum)
        return await self._publisher.publish_blob(
            mountpath, bucket, made, request.conditions, "copy"
        )

    # --- onto itself ---

    async def _copy_onto_itself(
        self,
        target: tuple[Bucket, ObjectKey],
        reader: MemoryReader | FileReader,
        stored: StoredObject,
        request: CopyRequest,
    ) -> ObjectInfo:
        """With bytes of its own: as a version, or to be encrypted anew. What is asked for nothing stays encrypted."""
        asked = request
        if request.encryption is None:
            kept = encryption_as_before(stored.info.encryption, request.source_customer_key)
            asked = dataclasses.replace(request, encryption=kept)
        is_version = target[0].props.versioning is Versioning.ENABLED
        if is_version or request.source_version_id is not None or request.conditions.if_match:
            return await self._copy_bytes(target, reader, stored, asked)
        # What is written to the key meanwhile is newer than what this would put there.
        unchanged = dataclasses.replace(request.conditions, if_match=(stored.info.etag,))
        try:
            return await self._copy_bytes(
                target, reader, stored, dataclasses.replace(asked, conditions=unchanged)
            )
        except (PreconditionFailed, NoSuchKey) as error:
            if request.conditions.if_none_match:
                raise
            raise _SourceReplaced from error

    async def _replace_attributes(
        self,
        target: tuple[Bucket, ObjectKey],
        reader: MemoryReader | FileReader,
        stored: StoredObject,
        request: CopyRequest,
    ) -> ObjectInfo:
        bucket, key = target
        plan = _plan(stored.info, request)
        info = self._new_info(key, stored.info, plan, request)
        if plan.needs_bytes:
            info = await self._digested(info, reader, plan)
        info = dataclasses.replace(info, encryption=stored.info.encryption)
        if reader.data is not None and info.encryption is None:
            checksum = xxhash.xxh3_64_intdigest(reader.data)
            publication = Publication(info, reader.data, checksum)
        else:
            publication = Publication(info, segments=tuple(stored.segments))

        def run(tx: Transaction) -> ObjectInfo:
            require_open(tx, bucket)
            current = find_object(tx.connection, bucket.bucket_id, key)
            if current is None or current.stamp != stored.stamp:
                raise _SourceReplaced
            check_write(current.info, key, request.conditions)
            replaced = replace_object(tx, bucket, publication, current)
            crashpoints.reach("attributes:named")
            return replaced.info

        mountpath = self._mountpaths.owner(bucket, key)
        made = await mountpath.commit(run, is_durable=is_durable(bucket))
        crashpoints.reach("attributes:committed")
        return made

    async def _digested(
        self, info: ObjectInfo, reader: MemoryReader | FileReader, plan: _Plan
    ) -> ObjectInfo:
        """With the digests that the plan wants, from the bytes."""
        if isinstance(reader, FileReader):
            reader.verify()
        digests = await self._intake.digest(ReaderBody(reader), plan.computed)
        checksum = plan.kept or kept_checksum(digests, plan.computed)
        return dataclasses.replace(info, etag=digests[MD5].hex(), checksum=checksum)


def _is_same_key(source: tuple[Bucket, ObjectKey], target: tuple[Bucket, ObjectKey]) -> bool:
    return source[0].bucket_id == target[0].bucket_id and source[1] == target[1]


def _plan(source: ObjectInfo, request: CopyRequest) -> _Plan:
    """S3 gives a copy the checksum asked for, else the source's kind of it, always of the whole; and the ETag of an
    object put whole, even where the source was made of parts."""
    algorithm = request.checksum_algorithm
    if algorithm is None and source.checksum is not None:
        algorithm = source.checksum.algorithm
    kept = source.checksum
    if kept is not None and (
        kept.algorithm is not algorithm or kept.type is not ChecksumType.FULL_OBJECT
    ):
        kept = None
    return _Plan(bool(source.parts), kept, None if kept is not None else algorithm)
