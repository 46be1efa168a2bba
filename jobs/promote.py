"""Owns promotion: files of this machine become objects. A directory's become so in a job, one after the other."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.acl import owner_of_new
from core.errors import (
    IncompleteBody,
    Invalid,
    InvalidArgument,
    NoSuchBucket,
    NotFound,
    PreconditionFailed,
)
from core.events import with_origin
from core.job_table import BUCKET, parse_ref, ref_text
from core.names import BucketRef, ObjectKey, UserId, parse_object_key
from core.origin import Origin
from core.protocols import ObjectStore
from core.types import (
    MAX_PUT_BYTES,
    NO_CONDITIONS,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
)
from jobs.local_files import LocalFile, LocalPath, allowed_path, files_sync, is_directory_sync
from jobs.lookup import Buckets, find_bucket
from jobs.queue import JobContext, OnDemand

PROMOTE = "promote"
_READ_BYTES = 1024**2
_PAGE = 256
_ABSENT = Conditions(if_none_match=("*",))


class PromotionIncomplete(Invalid):
    """Some files did not become objects. Fields: failed (how many), reason (of the first)."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What is asked for. A file's object is called `prefix` and the file's path under the source."""

    bucket: BucketRef
    source: str
    prefix: str
    owner_id: UserId
    is_recursive: bool = False
    overwrites: bool = False
    deletes_source: bool = False

    def arguments(self) -> Mapping[str, str]:
        """As arguments of a job."""
        said = {
            "prefix": self.prefix,
            "owner": self.owner_id,
            "recursive": self.is_recursive,
            "overwrite": self.overwrites,
            "delete": self.deletes_source,
        }
        return {BUCKET: ref_text(self.bucket), "source": self.source, "options": json.dumps(said)}

    @classmethod
    def parse(cls, arguments: Mapping[str, str]) -> Promotion:
        said = json.loads(arguments["options"])
        return cls(
            parse_ref(arguments[BUCKET]),
            arguments["source"],
            said["prefix"],
            UserId(said["owner"]),
            said["recursive"],
            said["overwrite"],
            said["delete"],
        )


class FileBody:
    """A local file as the body of a write. Raises IncompleteBody if it gets shorter meanwhile."""

    wanted_checksum: ChecksumAlgorithm | None = None

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self.size_bytes: int | None = file.size_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """As BodyStream."""
        offset, size_bytes = 0, self._file.size_bytes
        while offset < size_bytes:
            wanted = min(_READ_BYTES, size_bytes - offset)
            chunk = await asyncio.to_thread(self._file.read_sync, offset, wanted)
            if not chunk:
                raise IncompleteBody(expected_bytes=size_bytes, actual_bytes=offset)
            yield chunk
            offset += len(chunk)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """As BodyStream."""
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        """As BodyStream."""
        return ()


async def promote_file(
    store: ObjectStore, bucket: Bucket, key: ObjectKey, path: LocalPath, promotion: Promotion
) -> ObjectInfo:
    """One file. Its source goes only once the object is there. Raises as ObjectStore.put, PreconditionFailed for an
    object that is there and may not be replaced, and as LocalFile."""
    file = await asyncio.to_thread(LocalFile, path)
    try:
        if file.size_bytes > MAX_PUT_BYTES:
            reason = f"{path} is larger than the {MAX_PUT_BYTES} bytes that can be written at once"
            raise InvalidArgument(name="src", value=str(path), reason=reason)
        default = bucket.props.encryption
        info = await store.put(
            with_origin(bucket, Origin("PutObject", promotion.owner_id, region=bucket.region)),
            key,
            FileBody(file),
            attributes=ObjectAttributes(
                {"content-type": "application/octet-stream"},
                owner_id=owner_of_new(bucket, promotion.owner_id, CannedAcl.PRIVATE),
            ),
            conditions=NO_CONDITIONS if promotion.overwrites else _ABSENT,
            encryption=None if default is None else default.request(),
        )
        if promotion.deletes_source:
            await asyncio.to_thread(file.remove_sync)
        return info
    finally:
        await asyncio.to_thread(file.close_sync)


def object_key(prefix: str, names: Sequence[str]) -> ObjectKey:
    """What a file's object is called. Raises InvalidKey, KeyTooLong."""
    return parse_object_key(prefix.encode() + os.fsencode("/".join(names)))


def file_key(promotion: Promotion, source: LocalPath) -> ObjectKey:
    """What the object of a source is called that is a file: as the client says, else as the file is called. Raises
    InvalidKey, KeyTooLong."""
    prefix = promotion.prefix
    is_named = prefix and not prefix.endswith("/")
    return object_key(prefix, () if is_named else source.names[-1:])


@dataclass(frozen=True, slots=True)
class PromoteJob(OnDemand):
    """A JobKind."""

    store: ObjectStore
    control: Buckets
    roots: Sequence[Path]
    name = PROMOTE

    async def run(self, context: JobContext) -> None:
        promotion = Promotion.parse(context.arguments)
        # Asked again: the administrator may have changed it since.
        source = allowed_path(promotion.source, self.roots)
        context.say(f"{promotion.source} to {promotion.bucket.name}/{promotion.prefix}")
        if not await asyncio.to_thread(is_directory_sync, source):
            key = file_key(promotion, source)
            if why := await self._promote(context, promotion, source, key):
                raise PromotionIncomplete(failed=1, reason=why)
            return
        after: Sequence[str] = json.loads(context.cursor) if context.cursor else ()
        failed, reason = 0, ""
        walk = files_sync(source, is_recursive=promotion.is_recursive, after=after)
        try:
            while page := await asyncio.to_thread(_page, walk):
                for names in page:
                    await context.throttle()
                    if why := await self._promote_inner(context, promotion, source, names):
                        failed, reason = failed + 1, reason or why
                    context.cursor = json.dumps(names)
        finally:
            await asyncio.to_thread(walk.close)
        if failed:
            raise PromotionIncomplete(failed=failed, reason=reason)

    async def _promote_inner(
        self, context: JobContext, promotion: Promotion, source: LocalPath, names: Sequence[str]
    ) -> str:
        """One file of the directory; as `_promote`."""
        try:
            key = object_key(promotion.prefix, names)
        except Invalid as error:
            context.count(failed=1)
            return f"{'/'.join(names)!r}: {error.fields.get('reason') or error}"
        return await self._promote(context, promotion, source.joined(names), key)

    async def _promote(
        self, context: JobContext, promotion: Promotion, path: LocalPath, key: ObjectKey
    ) -> str:
        """One file; gives why it failed, "" if it did not. What is full or lost ends the job."""
        bucket = find_bucket(self.control, promotion.bucket, "")
        try:
            info = await promote_file(self.store, bucket, key, path, promotion)
        except PreconditionFailed:
            context.count(skipped=1)
            return ""
        except NoSuchBucket:
            raise
        except (Invalid, NotFound) as error:
            context.count(failed=1)
            return f"{path}: {error.fields.get('reason') or error}"
        context.count(objects=1, size_bytes=info.size_bytes)
        return ""


def _page(walk: Iterator[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return list(islice(walk, _PAGE))
