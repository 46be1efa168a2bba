"""Owns the looking up of objects for reading: records, and the bytes of what lies inline as a whole."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from core.light import light
from core.names import ObjectKey
from storage.index import find_object, find_version, find_with_data, load_whole
from storage.reader import load_inline, log_corrupt, verify_inline
from storage.records import FileSegment, InlineSegment, StoredObject
from storage.versions import refuse_marker

_MAX_ATTEMPTS = 10

LoadWhole = Callable[[sqlite3.Connection, StoredObject], StoredObject | None]
"""index.load_whole, or one that remembers (storage.manifests)."""


@light
@dataclass(frozen=True, slots=True)
class Found:
    """An object as looked up; `data` holds its bytes, verified, if they lie inline as a whole."""

    stored: StoredObject
    data: bytes | None


def lookup(
    connection: sqlite3.Connection,
    bucket_id: int,
    key: ObjectKey,
    *,
    with_data: bool = True,
    load: LoadWhole = load_whole,
) -> Found | None:
    """Find a current object and what of it lies in small.db. Raises Corrupt."""
    if with_data:
        found = find_with_data(connection, bucket_id, key)
        if found is None:
            return None
        stored, data = found
        if data is not None:
            verify_inline(data, stored.segments[0], key)
            return Found(stored, data)
        if len(stored.segments) == 1 and isinstance(stored.segments[0], FileSegment):
            # All that there is to know: its bytes lie in a file of their own.
            return Found(stored, None)
    find = functools.partial(find_object, connection, bucket_id, key)
    return _lookup_in_steps(connection, find, key, with_data=with_data, load=load)


def lookup_version(
    connection: sqlite3.Connection,
    bucket_id: int,
    key: ObjectKey,
    version_id: str,
    *,
    with_data: bool = True,
    load: LoadWhole = load_whole,
) -> Found | None:
    """`lookup` of a version, current or not. Raises Corrupt, VersionIsDeleteMarker."""
    find = functools.partial(find_version, connection, bucket_id, key, version_id)
    return _lookup_in_steps(connection, find, key, with_data=with_data, load=load)


def _lookup_in_steps(
    connection: sqlite3.Connection,
    find: Callable[[], StoredObject | None],
    key: ObjectKey,
    *,
    with_data: bool,
    load: LoadWhole,
) -> Found | None:
    for _ in range(_MAX_ATTEMPTS):
        stored = find()
        if stored is None:
            return None
        refuse_marker(stored.info)
        whole = load(connection, stored)
        if whole is not None:
            inline = [part for part in whole.segments if isinstance(part, InlineSegment)]
            if not with_data or len(inline) < len(whole.segments):
                return Found(whole, None)
            # Nothing of an object without blobs can be held open, so its bytes are taken now.
            blocks = [load_inline(connection, part, key) for part in inline]
            if None not in blocks:
                return Found(whole, b"".join(block for block in blocks if block is not None))
        # Overwritten between the two reads: small rows are removed soon after their object.
        again = find()
        if again is not None and again.stamp == stored.stamp:
            raise log_corrupt("small row missing", key)
    raise log_corrupt("object that never stays", key)
