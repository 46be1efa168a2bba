"""Owns reads of what lies in a shard: one member by its path, or all that match, as a TAR stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from core import tar
from core.errors import InvalidArgument
from core.names import ObjectKey
from core.shards import MatchMode, Member, NoSuchMember, Selection
from core.types import Bucket, ByteRange, Conditions, ObjectInfo
from gateway.bringing import bring_here
from gateway.native.call import NativeCall, NativeResponse
from gateway.native.object_headers import (
    ACCEPT_RANGES,
    OCTETS,
    PRESENT,
    HeaderList,
    atime_headers,
    etag_headers,
    modified_headers,
    version_headers,
)
from gateway.native.writing import check_owner
from s3api.headers import parse_range, read_conditions

PARAMETERS = frozenset({"archpath", "archregx", "archmode", "archmime"})
_TAR = (b"content-type", b"application/x-tar")

Selected = AsyncIterator[tuple[Member, AsyncIterator[bytes]]]


def asks_for_members(query: Mapping[str, str]) -> bool:
    """Whether a GET or HEAD is for what lies in the object. The SDK sends parameters that it does not mean, empty."""
    return any(query.get(name) for name in ("archpath", "archregx"))


async def get_members(call: NativeCall, bucket: Bucket, key: ObjectKey) -> NativeResponse:
    """A member, or a TAR of several. The caller is admitted to the shard; one that lives elsewhere is brought here."""
    query = call.request.query
    mime = query.get("archmime", "")
    path, pattern = query.get("archpath", ""), query.get("archregx", "")
    if path and (pattern or query.get("archmode")):
        reason = "archpath names one member, so it cannot come with archregx or archmode"
        raise InvalidArgument(name="archpath", value=path, reason=reason)
    await bring_here(call.store, bucket, key, _latest(call))
    if path:
        return await _get_member(call, bucket, key, path)
    selection = Selection(pattern, _mode(query.get("archmode", "")))
    check_owner(call, bucket, await call.store.head(bucket, key))
    selected = call.services.shards.select(bucket, key, selection, mime=mime)
    stream = _as_tar(selected)
    # The first piece is made before the answer begins, so that what is wrong with the shard is still an error.
    first = await anext(stream)
    if first == tar.END:
        await stream.aclose()
        raise NoSuchMember(key=key, member=pattern)
    return NativeResponse(200, [_TAR, PRESENT], _Begun(first, stream))


async def head_member(call: NativeCall, bucket: Bucket, key: ObjectKey) -> NativeResponse:
    """The size of a member, as a GET of it would send it."""
    path = call.request.query.get("archpath", "")
    if not path:
        reason = "a HEAD takes the path of one member"
        raise InvalidArgument(name="archregx", value="", reason=reason)
    await bring_here(call.store, bucket, key, _latest(call))
    response = await _get_member(call, bucket, key, path)
    reader = response.body
    assert not isinstance(reader, bytes | AsyncIterator)
    await reader.close()
    length = (b"content-length", b"%d" % reader.length)
    return NativeResponse(response.status, [*response.headers, length])


async def _get_member(
    call: NativeCall, bucket: Bucket, key: ObjectKey, path: str
) -> NativeResponse:
    request = call.request
    byte_range: ByteRange | None = parse_range(request.headers.get("range"))
    reader = await call.services.shards.open_member(
        bucket,
        key,
        path,
        mime=request.query.get("archmime", ""),
        byte_range=byte_range,
        conditions=read_conditions(request.headers),
    )
    try:
        check_owner(call, bucket, reader.info)
    except BaseException:
        await reader.close()
        raise
    headers = _member_headers(reader.info)
    if byte_range is None or reader.length == 0:
        return NativeResponse(200, headers, reader)
    last = reader.first + reader.length - 1
    span = b"bytes %d-%d/%d" % (reader.first, last, reader.info.size_bytes)
    return NativeResponse(206, [*headers, (b"content-range", span)], reader)


def _latest(call: NativeCall) -> Conditions:
    return Conditions(latest=call.request.flag("latest-ver"))


def _member_headers(info: ObjectInfo) -> HeaderList:
    """What of the shard holds for its member too; a checksum does not."""
    said = atime_headers(info) + version_headers(info) + etag_headers(info) + modified_headers(info)
    return [*said, PRESENT, ACCEPT_RANGES, OCTETS]


def _mode(text: str) -> MatchMode:
    try:
        return MatchMode(text or MatchMode.REGEXP)
    except ValueError:
        known = ", ".join(MatchMode)
        reason = f"unknown archmode; known are {known}"
        raise InvalidArgument(name="archmode", value=text[:64], reason=reason) from None


# --- the TAR stream ------------------------------------------------------------------------------------------------


async def _as_tar(selected: Selected) -> AsyncGenerator[bytes, None]:
    """The members as a TAR archive, in their order."""
    try:
        async for member, data in selected:
            yield tar.header(member.path, member.size_bytes, member.modified_ns // 10**9)
            async for chunk in data:
                yield chunk
            if rest := tar.padding(member.size_bytes):
                yield rest
    finally:
        if isinstance(selected, AsyncGenerator):
            # It holds the shard open.
            await selected.aclose()
    yield tar.END


class _Begun:
    """A stream of which the first piece was taken already. It is closed also if it is never read."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await anext(self._rest) if first is None else first

    async def aclose(self) -> None:
        await self._rest.aclose()
