"""Owns the memory of manifests: an object of many parts is read in many ranges, and its manifest need be decoded once.

A manifest never changes: whatever changes its object writes another under another id. The index is still asked each
time, so nothing stale is served.
"""

from __future__ import annotations

import collections
import sqlite3
import threading

from storage.index import load_whole
from storage.records import StoredObject

# Segments and parts together, of some 150 bytes each.
_MAX_ITEMS = 40_000


class NotKept(Exception):
    """The manifest must be decoded, which is no work for the event loop: 2 µs for each of up to 10,000 parts."""


class Manifests:
    """The objects of parts that were looked up last, whole; for any thread."""

    def __init__(self, max_items: int = _MAX_ITEMS) -> None:
        self._max_items = max_items
        self._items = 0
        self._kept: collections.OrderedDict[tuple[str, int | None], StoredObject] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def load(
        self, mountpath: str, connection: sqlite3.Connection, stored: StoredObject
    ) -> StoredObject | None:
        """As index.load_whole, for a summary that the index of this mountpath has now."""
        if not stored.is_summary:
            return stored
        kept = self._find(mountpath, stored)
        if kept is not None:
            return kept
        whole = load_whole(connection, stored)
        if whole is not None:
            self._keep((mountpath, stored.sidecar_id), whole)
        return whole

    def recall(
        self, mountpath: str, _connection: sqlite3.Connection, stored: StoredObject
    ) -> StoredObject:
        """As `load`, from memory alone. Raises NotKept."""
        if not stored.is_summary:
            return stored
        kept = self._find(mountpath, stored)
        if kept is None:
            raise NotKept
        return kept

    def _find(self, mountpath: str, stored: StoredObject) -> StoredObject | None:
        name = (mountpath, stored.sidecar_id)
        with self._lock:
            kept = self._kept.get(name)
            if kept is None or kept.stamp != stored.stamp:
                return None
            self._kept.move_to_end(name)
            return kept

    def _keep(self, name: tuple[str, int | None], whole: StoredObject) -> None:
        if _size(whole) > self._max_items:
            return
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = whole
            self._items += _size(whole)
            while self._items > self._max_items:
                _, dropped = self._kept.popitem(last=False)
                self._items -= _size(dropped)


def _size(whole: StoredObject) -> int:
    return len(whole.segments) + len(whole.info.parts)
