"""Owns the form in which the control store keeps the properties of a bucket."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from core.errors import Corrupt
from core.types import BucketProps

_VERSION = 1


@dataclass(frozen=True, slots=True)
class _StoredProps:
    """A field that is absent has its default, one that is not known is passed over: so versions can live together."""

    v: int
    props: BucketProps


_DECODER = msgspec.msgpack.Decoder(_StoredProps)


def encode_props(props: BucketProps) -> bytes:
    """As they are kept."""
    return msgspec.msgpack.encode(_StoredProps(_VERSION, props))


def decode_props(packed: bytes, bucket: str) -> BucketProps:
    """As they were kept for the bucket of that name. Raises Corrupt."""
    try:
        stored = _DECODER.decode(packed)
    except msgspec.MsgspecError as error:
        raise Corrupt(what="bucket properties", where=bucket) from error
    if stored.v != _VERSION:
        raise Corrupt(what=f"bucket properties of version {stored.v}", where=bucket)
    return stored.props
