"""Owns the ids of versions: opaque to clients, to us a version's place among those of its key, so that one seek finds
it, and random bits, so that nobody guesses one. Pure."""

from __future__ import annotations

import base64
import binascii
import os

_ORDER_BYTES = 8
_RANDOM_BYTES = 16
_LENGTH = 32
"""Of 24 bytes in base64: URL-safe, without padding. It begins with a letter, as the first byte is that of a time."""


def new_version_id(order: int) -> str:
    """An id for the version of this order."""
    return encode_version_id(order, os.urandom(_RANDOM_BYTES))


def encode_version_id(order: int, random_bytes: bytes) -> str:
    raw = order.to_bytes(_ORDER_BYTES, "big") + random_bytes
    return base64.urlsafe_b64encode(raw).decode()


def place_id(order: int) -> str:
    """What stands for the place of this order in a listing's marker. It is no version's id."""
    return encode_version_id(order, bytes(_RANDOM_BYTES))


def order_of(version_id: str) -> int | None:
    """The order that an id names; None for what cannot be one of ours. Anything may come from outside."""
    if len(version_id) != _LENGTH or not version_id.isascii():
        return None
    try:
        raw = base64.b64decode(version_id, b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    order = int.from_bytes(raw[:_ORDER_BYTES], "big")
    # SQLite's integers are signed.
    return order if 0 < order < 1 << 63 else None
