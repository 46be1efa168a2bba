"""Owns LocalShards: core.shards.Shards over the objects of a local node."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from typing import TypeVar

from core import cpus
from core.encryption import encryption_as_before
from core.errors import CustomerKeyRequired, InvalidArgument, NoSuchKey, PreconditionFailed
from core.names import BucketRef, ObjectKey
from core.protocols import ObjectReader
from core.shards import (
    IndexOutcome,
    IndexState,
    Located,
    Member,
    MemberPage,
    NewMember,
    NoSuchMember,
    NotAShard,
    Selection,
    ShardChanged,
    ShardFormat,
    member_path,
)
from core.types import NO_CONDITIONS, Bucket, ByteRange, Conditions, ObjectAttributes, ObjectInfo
from core.whole_objects import WholeObjects
from storage.shards.appending import continuation
from storage.shards.archives import Archive, open_archive
from storage.shards.encoders import new_encoder
from storage.shards.formats import (
    SNIFFED_BYTES,
    format_of_bytes,
    format_of_key,
    format_of_mime,
    format_to_write,
)
from storage.shards.index import BadIndexError
from storage.shards.indexed import (
    NearObjects,
    find_near,
    make_index,
    member_by_index,
    open_at,
    page_by_index,
)
from storage.shards.indexes import ShardIndexes
from storage.shards.limits import ShardLimits
from storage.shards.pages import Remembered, gathering
from storage.shards.reading import reader_of
from storage.shards.selections import wanted_by
from storage.shards.source import Source, open_source, source_of
from storage.shards.turns import batches, first, with_bytes
from storage.shards.writing import ShardBody, encoded

T = TypeVar("T")

_THREADS = 4


class LocalShards:
    """Implements core.shards.Shards. Work on archives has threads of its own, so that scans take none from reads."""

    def __init__(
        self,
        store: WholeObjects,
        limits: ShardLimits | None = None,
        *,
        indexes: ShardIndexes | None = None,
        near: NearObjects | None = None,
    ) -> None:
        """Without `indexes`, every look for a member is a scan, and nothing is indexed. `near`: the objects of `store`
        that lie in this machine, for small members to be read without opening the shard."""
        self._store = store
        self._indexes = indexes
        self._near = near
        self._limits = limits or ShardLimits()
        self._pages = Remembered()
        self._threads = cpus.pool(_THREADS, "shards")

    def close(self) -> None:
        """Wait for the threads, none of which has more than a turn to do."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def open_member(
        self,
        bucket: Bucket,
        key: ObjectKey,
        path: str,
        *,
        mime: str = "",
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectReader:
        wanted = member_path(path)
        if wanted is None:
            raise InvalidArgument(
                name="archpath", value=path[:100], reason="this can be no member's path"
            )
        if self._near is not None and self._indexes is not None and not mime:
            near = (self._near, self._indexes)
            try:
                found = await find_near(near, bucket, (key, wanted), byte_range, conditions)
            except NoSuchKey:
                if bucket.props.backend is None:
                    raise
                found = None  # it is brought here first
            if found is not None:
                return found
        reader = await self._store.get(bucket, key)
        try:
            member = await self._indexed(bucket, reader.info, wanted, mime)
            if member is not None:
                return await open_at(reader, member, byte_range, conditions)
            source = source_of(reader, self._threads)
        except BaseException:
            await reader.close()
            raise
        try:
            archive = await self._archive(source, mime)
            opened = await first(source, archive, lambda each: each.path == wanted)
            if opened is None:
                raise NoSuchMember(key=key, member=wanted)
            return reader_of(source, opened, byte_range, conditions)
        except BaseException:
            source.close()
            raise

    async def _indexed(
        self, bucket: Bucket, info: ObjectInfo, path: str, mime: str
    ) -> Member | None:
        """The member by the shard's index; None without one. Raises NoSuchMember, NotAShard."""
        if self._indexes is None:
            return None
        if mime and format_of_mime(mime, info.key) is not ShardFormat.TAR:
            return None
        return await member_by_index(self._indexes, bucket, info, path)

    async def select(
        self, bucket: Bucket, key: ObjectKey, selection: Selection, *, mime: str = ""
    ) -> AsyncGenerator[tuple[Member, AsyncIterator[bytes]], None]:
        # A pattern of a thousand characters takes some milliseconds to compile.
        wanted = await self._run(lambda: wanted_by(selection))
        async with self._source(bucket, key) as source:
            archive = await self._archive(source, mime)
            async with aclosing(with_bytes(source, archive, wanted)) as found:
                async for each in found:
                    yield each

    async def members(
        self, bucket: Bucket, key: ObjectKey, *, mime: str = ""
    ) -> AsyncGenerator[Member, None]:
        async with self._source(bucket, key) as source:
            archive = await self._archive(source, mime)
            async with aclosing(batches(source, archive.entries())) as found:
                async for batch in found:
                    for member in batch:
                        yield member

    async def list_members(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        prefix: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> MemberPage:
        async with self._source(bucket, key) as source:
            if self._indexes is not None:
                page = await page_by_index(self._indexes, bucket, source, prefix, after, limit)
                if page is not None:
                    return page
            page = self._pages.page(bucket, source.info, prefix, after, limit)
            if page is not None:
                return page
            archive = await self._archive(source, "")
            wanted = gathering(prefix, after, limit)
            async for _ in batches(source, archive.entries(), wanted.offer):
                pass
            gathered = await source.run(wanted.finish)
            page = gathered.page(after, limit)
            assert page is not None
            if page.is_truncated:
                self._pages.keep(bucket, source.info, prefix, gathered)
            return page

    async def locate_many(
        self, bucket: Bucket, key: ObjectKey, paths: Sequence[str]
    ) -> Located | None:
        info = await self._store.head(bucket, key)
        if self._indexes is None:
            return None
        index = await self._indexes.find(bucket, info)
        if index is None:
            return None
        wanted = [member_path(path) for path in paths]
        try:
            found = [None if path is None else index.find(path) for path in wanted]
        except BadIndexError:
            await self._indexes.refuse(bucket, info)
            return None
        return Located(info, found)

    @asynccontextmanager
    async def _source(self, bucket: Bucket, key: ObjectKey) -> AsyncIterator[Source]:
        source = await open_source(self._store, bucket, key, self._threads)
        try:
            yield source
        finally:
            source.close()

    async def _archive(self, source: Source, mime: str) -> Archive:
        """The shard as an archive of the format that it is found to have. Raises NotAShard."""
        return open_archive(source, await self._format(source, mime), self._limits)

    async def _format(self, source: Source, mime: str) -> ShardFormat:
        key = source.info.key
        found = format_of_mime(mime, key) or format_of_key(key)
        if found is None:
            start = await source.run(lambda: source.read_at(0, SNIFFED_BYTES))
            found = format_of_bytes(start, key)
        return found

    async def create(
        self,
        bucket: Bucket,
        key: ObjectKey,
        members: AsyncIterable[NewMember],
        *,
        shard_format: ShardFormat,
        attributes: ObjectAttributes,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        encoder = new_encoder(shard_format)
        body = ShardBody(encoded(self._store, encoder, members, self._run))
        default = bucket.props.encryption
        return await self._store.put(
            bucket,
            key,
            body,
            attributes=attributes,
            conditions=conditions,
            encryption=None if default is None else default.request(),
        )

    async def append(
        self,
        bucket: Bucket,
        key: ObjectKey,
        members: AsyncIterable[NewMember],
        *,
        mime: str = "",
        creates: ObjectAttributes | None = None,
    ) -> ObjectInfo:
        try:
            source = await open_source(self._store, bucket, key, self._threads)
        except NoSuchKey:
            if creates is None:
                raise
            said = format_to_write(mime, key)
            with _replaced_is_changed(key):
                return await self.create(
                    bucket,
                    key,
                    members,
                    shard_format=said,
                    attributes=creates,
                    conditions=Conditions(if_none_match=("*",)),
                )
        with closing(source):
            return await self._append(bucket, source, members, mime)

    async def _append(
        self, bucket: Bucket, source: Source, members: AsyncIterable[NewMember], mime: str
    ) -> ObjectInfo:
        info = source.info
        found = format_to_write(mime, info.key) if mime else await self._format(source, "")
        before = await continuation(source, found, self._limits)
        pieces = encoded(self._store, before.encoder, members, source.run, before.start)
        with _replaced_is_changed(info.key):
            return await self._store.put(
                bucket,
                info.key,
                ShardBody(pieces),
                attributes=info.attributes,
                conditions=Conditions(if_match=(info.etag,)),
                encryption=encryption_as_before(info.encryption),
            )

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def index(
        self, bucket: Bucket, key: ObjectKey, *, verifies_present: bool = True
    ) -> IndexOutcome:
        if self._indexes is None:
            raise NotAShard(key=key, reason="no indexes are kept here")
        try:
            source = await open_source(self._store, bucket, key, self._threads)
        except CustomerKeyRequired:
            return IndexOutcome(reason="it is encrypted with a customer's key")
        with closing(source):
            return await make_index(
                self._indexes, bucket, source, self._limits, verifies_present=verifies_present
            )

    async def examine_index(self, bucket: Bucket, info: ObjectInfo) -> tuple[IndexState, int]:
        if self._indexes is None:
            return IndexState.ABSENT, 0
        return await self._indexes.examine(bucket, info)

    async def drop_index(self, ref: BucketRef, key: ObjectKey) -> None:
        if self._indexes is not None:
            await self._indexes.remove(ref, key)


@contextmanager
def _replaced_is_changed(key: ObjectKey) -> Iterator[None]:
    """That the shard is no longer what it was is for the caller to know as that."""
    try:
        yield
    except (PreconditionFailed, NoSuchKey):
        raise ShardChanged(key=key) from None
