"""Owns which format a shard has: by what the caller says, else by its key's ending, else by its first bytes."""

from __future__ import annotations

from core.names import ObjectKey
from core.shards import NotAShard, ShardFormat
from storage.shards.tar import BLOCK_BYTES, is_header

SNIFFED_BYTES = BLOCK_BYTES

_ENDINGS = {
    ".tar": ShardFormat.TAR,
    ".tgz": ShardFormat.TGZ,
    ".tar.gz": ShardFormat.TGZ,
    ".tar.lz4": ShardFormat.TAR_LZ4,
    ".zip": ShardFormat.ZIP,
}
_MIMES = {
    **{ending.removeprefix("."): known for ending, known in _ENDINGS.items()},
    "tar+gzip": ShardFormat.TGZ,
    "gtar": ShardFormat.TAR,
    "gzip": ShardFormat.TGZ,
    "lz4": ShardFormat.TAR_LZ4,
}


def format_of_mime(mime: str, key: ObjectKey) -> ShardFormat | None:
    """The format that a caller names, as an ending or a content type; None if it is left open. Raises NotAShard."""
    if not mime:
        return None
    name = mime.lower().removeprefix("application/").removeprefix("x-").removeprefix(".")
    known = _MIMES.get(name)
    if known is None:
        raise NotAShard(key=key, reason=f"unknown archive format {mime[:100]!r}")
    return known


def format_of_key(key: ObjectKey) -> ShardFormat | None:
    """The format that a key's ending names, if any."""
    name = key.lower()
    return next((known for ending, known in _ENDINGS.items() if name.endswith(ending)), None)


def format_to_write(mime: str, key: ObjectKey) -> ShardFormat:
    """The format of a shard to be written. Raises NotAShard where key and caller name none, or two."""
    said, named = format_of_mime(mime, key), format_of_key(key)
    if said is not None and named is not None and said is not named:
        raise NotAShard(
            key=key, reason=f"mime mismatch: {mime[:100]!r} for a name that ends in {named}"
        )
    chosen = said or named
    if chosen is None:
        raise NotAShard(key=key, reason="neither name nor mime says what archive it should be")
    return chosen


def format_of_bytes(first: bytes, key: ObjectKey) -> ShardFormat:
    """The format by a shard's first SNIFFED_BYTES. Raises NotAShard."""
    if first.startswith(b"\x1f\x8b"):
        return ShardFormat.TGZ
    if first.startswith(b"\x04\x22\x4d\x18"):
        return ShardFormat.TAR_LZ4
    if first.startswith(b"PK"):
        return ShardFormat.ZIP
    if first[257:262] == b"ustar" and is_header(first):
        return ShardFormat.TAR
    raise NotAShard(key=key, reason="it is no archive of a known format")
