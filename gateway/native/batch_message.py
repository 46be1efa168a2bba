"""Owns the message that asks for a batch: its parsing, and what of it is refused."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.batches import TO_THE_END, BatchItem, WholeItems
from core.errors import InvalidArgument, InvalidKey, NoSuchBucket
from core.names import MAX_KEY_BYTES, BucketRef, ObjectKey
from core.shards import ShardFormat
from core.types import Bucket
from gateway.batch.request import BatchRequest
from gateway.native.call import NativeCall, parse_native_key
from gateway.native.request import bucket_ref

_FORMATS = {
    "": ShardFormat.TAR,
    "tar": ShardFormat.TAR,
    "tgz": ShardFormat.TGZ,
    "tar.gz": ShardFormat.TGZ,
    "tar.lz4": ShardFormat.TAR_LZ4,
    "zip": ShardFormat.ZIP,
}
_MAX_MEMBER_BYTES = 4096
_MAX_POSITION = 2**63 - 1


class _In(msgspec.Struct, gc=False):
    objname: str | None = None
    bucket: str | None = None
    provider: str | None = None
    uname: str | None = None
    archpath: str | None = None
    opaque: str | None = None
    start: int | None = None
    length: int | None = None


class _Body(msgspec.Struct, rename={"items": "in"}):
    items: list[_In] | None = None
    mime: str | None = None
    coer: bool | None = None
    onob: bool | None = None
    strm: bool | None = None


class _Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An item that is a whole object."""

    objname: ObjectKey
    bucket: str | None = None
    provider: str | None = None


class _PlainBody(msgspec.Struct, rename={"items": "in"}):
    items: list[_Plain]
    mime: str | None = None
    coer: bool | None = None
    onob: bool | None = None
    strm: bool | None = None


_decoder = msgspec.json.Decoder(_Body)
_plain_decoder = msgspec.json.Decoder(_PlainBody)
# What is in none of the names, put between line breaks, that need no closer look (see _is_plain_name).
_UNPLAIN = ("\n\n", "\n.", "\n/", "\n~", "/.", "/\n")


def parse_batch(raw: bytes, call: NativeCall) -> BatchRequest:
    """Raises InvalidArgument, InvalidKey, KeyTooLong, NoSuchBucket."""
    return _parse_plain(raw, call) or _parse_any(raw, call)


def _parse_plain(raw: bytes, call: NativeCall) -> BatchRequest | None:
    """A batch of whole objects of one bucket, as most are, in a third of the time; None for any other."""
    try:
        body = _plain_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    names = [each.objname for each in body.items]
    if not _are_plain_names(names) or (body.mime or "tar") != "tar":
        return None
    named, providers = {each.bucket for each in body.items}, {each.provider for each in body.items}
    if len(named) != 1 or len(providers) != 1:
        return None
    buckets = _Buckets(call)
    bucket = buckets.named(named.pop(), providers.pop())
    return BatchRequest(
        WholeItems(bucket, names),
        buckets.named(None, None) if call.request.bucket_name else bucket,
        ShardFormat.TAR,
        bool(body.coer),
        bool(body.onob),
        bool(body.strm),
        {},
    )


def _are_plain_names(names: Sequence[str]) -> bool:
    """`_is_plain_name` of all, in a tenth of the time."""
    joined = "\n".join(("", *names, ""))
    return (
        joined.isascii()
        and joined.count("\n") == len(names) + 1
        and max(map(len, names), default=0) <= MAX_KEY_BYTES
        and not any(each in joined for each in _UNPLAIN)
    )


def _parse_any(raw: bytes, call: NativeCall) -> BatchRequest:
    try:
        body = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(name="body", value="", reason=f"not a batch: {error}") from None
    if not body.items:
        raise InvalidArgument(name="in", value="", reason="the batch has no items")
    mime = (body.mime or "").lower().removeprefix(".")
    if mime not in _FORMATS:
        raise InvalidArgument(name="mime", value=mime, reason=f"unknown archive format {mime!r}")
    buckets = _Buckets(call)
    items = _parse_items(body.items, buckets)
    return BatchRequest(
        items,
        buckets.named(None, None) if call.request.bucket_name else items[0].bucket,
        _FORMATS[mime],
        bool(body.coer),
        bool(body.onob),
        bool(body.strm),
        {number: each.opaque for number, each in enumerate(body.items) if each.opaque},
    )


class _Buckets:
    """The buckets that items name, each looked up once."""

    def __init__(self, call: NativeCall) -> None:
        self._call = call
        self._known: dict[tuple[str | None, str | None], Bucket] = {}

    def named(self, name: str | None, provider: str | None) -> Bucket:
        """The bucket that an item names, or the path's."""
        found = self._known.get((name, provider))
        if found is None:
            found = self._find(self._ref(name, provider))
            self._known[name, provider] = found
        return found

    def _ref(self, name: str | None, provider: str | None) -> BucketRef:
        request = self._call.request
        if not request.bucket_name:
            if not name:
                raise InvalidArgument(name="bucket", value="", reason="an item names no bucket")
            return bucket_ref(name, provider or "")
        path = request.ref()
        named = bucket_ref(name or path.name, provider or path.provider)
        return path if (named.name, named.provider) == (path.name, path.provider) else named

    def by_uname(self, uname: str) -> tuple[Bucket, str]:
        """The bucket and the object of a full name: PROVIDER/@UUID#NAMESPACE/BUCKET/OBJECT."""
        parts = uname.split("/", 3)
        if len(parts) != 4:
            raise InvalidArgument(name="uname", value=uname, reason="not a full name of an object")
        provider, namespace, name, key = parts
        return self._find(bucket_ref(name, provider, namespace)), key

    def _find(self, ref: BucketRef) -> Bucket:
        try:
            return self._call.bucket(ref)
        except NoSuchBucket as error:
            error.fields["ref"] = ref
            raise


def _parse_items(asked: Sequence[_In], buckets: _Buckets) -> list[BatchItem]:
    """Most items of a batch are whole objects of the bucket of the item before: those are made here, in half the time
    that `_parse_item` takes."""
    items: list[BatchItem] = []
    last_name: str | None = None
    last_provider: str | None = None
    last_bucket: Bucket | None = None
    for each in asked:
        name = each.objname
        if (
            last_bucket is None
            or each.bucket != last_name
            or each.provider != last_provider
            or each.uname
            or each.archpath
            or each.start is not None
            or each.length is not None
            or not name
            or not _is_plain_name(name)
        ):
            item = _parse_item(each, buckets)
            items.append(item)
            if not each.uname:
                last_name, last_provider, last_bucket = each.bucket, each.provider, item.bucket
        else:
            items.append(BatchItem(last_bucket, ObjectKey(name)))
    return items


def _parse_item(each: _In, buckets: _Buckets) -> BatchItem:
    if each.uname:
        bucket, name = buckets.by_uname(each.uname)
    else:
        bucket, name = buckets.named(each.bucket, each.provider), each.objname or ""
    key = _parse_key(name)
    if each.start is None and each.length is None and not each.archpath:
        return BatchItem(bucket, key)
    first, length = each.start or 0, each.length or 0
    if first or length:
        _check_run(first, length)
    if not each.archpath:
        return BatchItem(bucket, key, "", first, length)
    return BatchItem(bucket, key, _checked_member(each.archpath), first, length)


def _is_plain_name(name: str) -> bool:
    """What nearly all names are, found out in a third of the time that the whole check takes."""
    if not (name.isascii() and 0 < len(name) <= MAX_KEY_BYTES):
        return False
    return name[-1] != "/" and name[0] not in "./~" and "/." not in name


def _parse_key(name: str) -> ObjectKey:
    if _is_plain_name(name):
        return ObjectKey(name)
    if not name:
        raise InvalidArgument(name="objname", value="", reason="an item names no object")
    try:
        return parse_native_key(name.encode())
    except UnicodeEncodeError:
        raise InvalidKey(reason="not UTF-8") from None


def _check_run(first: int, length: int) -> None:
    reason = ""
    if not 0 <= first <= _MAX_POSITION:
        reason = "a range starts at 0 or later"
    elif not TO_THE_END <= length <= _MAX_POSITION:
        reason = "the length of a range is positive, or -1 for all to the end"
    elif first and not length:
        reason = "a range that starts later than at 0 has a length"
    if reason:
        raise InvalidArgument(name="start,length", value=f"{first},{length}", reason=reason)


def _checked_member(path: str) -> str:
    bare = path.removeprefix("/")
    is_bad = not bare or bare.endswith("/") or bare.startswith("~/") or "\0" in bare
    if is_bad or ".." in bare.split("/"):
        raise InvalidArgument(name="archpath", value=path, reason="not a path of a file in a shard")
    try:
        size_bytes = len(path.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(name="archpath", value="", reason="not UTF-8") from None
    if size_bytes > _MAX_MEMBER_BYTES:
        raise InvalidArgument(name="archpath", value="", reason="a path of more than 4,096 bytes")
    return path
