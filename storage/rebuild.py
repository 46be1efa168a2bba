"""Owns the making of a lost index anew, from what small rows and blobs say of themselves. Blocking; nothing else may
run on the store meanwhile.

Of several descriptions of one version, and of several null versions of a key, the newest stamp wins. What comes back
beyond what was acknowledged: versions whose removal was acknowledged but whose bytes were not yet removed, and writes
that had become durable unacknowledged.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import Conflict, Corrupt
from core.names import ObjectKey
from core.types import NULL_VERSION
from storage.blobs import read_trailer_sync
from storage.database import open_rebuild_sync
from storage.doctor import Finding
from storage.faults import translate
from storage.index import (
    demote,
    find_newest_other,
    find_object,
    find_other,
    load_whole,
    promote,
    put_current,
    put_other,
    remove_current,
    remove_other,
)
from storage.layout import (
    Layout,
    MountpathSpec,
    layout_of,
    live_workers_sync,
    sync_directory,
)
from storage.names import id_of, objects, small_rows
from storage.records import (
    OBJECT,
    Description,
    FileSegment,
    Segment,
    StoredObject,
    decode_description,
    decode_record,
)
from storage.schema import INDEX_TABLES, VERSION
from storage.upload_records import PART, UPLOAD
from storage.uploads import drop_restored_parts, restore_part, restore_upload
from storage.write_lock import FileLock

_CHUNK = 500


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild read and made. `objects` counts every version that has bytes. `unfinished_blobs` were never
    published and stay for the space cleanup."""

    small_rows: int = 0
    blobs: int = 0
    unfinished_blobs: int = 0
    objects: int = 0
    delete_markers: int = 0
    findings: list[Finding] = field(default_factory=list)


Progress = Callable[[RebuildReport], None]


def rebuild_index_sync(
    specs: Sequence[MountpathSpec],
    *,
    bucket_ids: Collection[int] | None = None,
    progress: Progress = lambda report: None,
) -> RebuildReport:
    """Make the index of every mountpath that is there anew. `bucket_ids`: the buckets that exist; what belongs to
    others is left out. Raises Conflict while a server runs on the store, MountpathUnavailable, Corrupt.
    """
    report = RebuildReport()
    layouts = [layout_of(spec, specs) for spec in specs]
    for layout in layouts:
        try:
            if live_workers_sync(layout):
                raise Conflict(
                    what="a server is running on this store", where=str(layout.directory)
                )
            with FileLock(layout):
                _Rebuild(layout, report, bucket_ids, progress).run()
        except (OSError, sqlite3.Error) as error:
            raise translate(error, layout.directory) from error
    return report


class _Rebuild:
    """A rebuild of one mountpath's index, beside the old one until it is whole."""

    def __init__(
        self,
        layout: Layout,
        report: RebuildReport,
        bucket_ids: Collection[int] | None,
        progress: Progress,
    ) -> None:
        self._layout = layout
        self._report = report
        self._bucket_ids = bucket_ids
        self._progress = progress
        self._new = layout.directory / "index.db.new"
        # Blobs that a small row describes: what their own trailers say is out of date.
        self._described: set[str] = set()

    def run(self) -> None:
        if not self._layout.small_db.exists():
            self._found("small.db is missing: the small objects are lost")
        self._new.unlink(missing_ok=True)
        with closing(open_rebuild_sync(self._layout, self._new)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in INDEX_TABLES:
                connection.execute(statement)
            self._read_small_rows(connection)
            blob_ids = self._read_blobs(connection)
            claimed = self._check_objects(connection, blob_ids)
            _settle(connection)
            drop_restored_parts(connection, lambda segment: id_of(segment) in claimed)
            connection.execute(f"PRAGMA idx.user_version = {VERSION}")
            connection.execute("COMMIT")
        self._put_in_place()

    def _put_in_place(self) -> None:
        """The old index's log must be gone before the new index takes the name, or it would be read into it."""
        for suffix in ("-wal", "-shm", ""):
            Path(f"{self._layout.index_db}{suffix}").unlink(missing_ok=True)
        sync_directory(self._layout.directory)
        self._new.rename(self._layout.index_db)
        sync_directory(self._layout.directory)

    def _found(self, what: str, description: Description | None = None) -> None:
        where = str(self._layout.directory)
        if description is None:
            self._report.findings.append(Finding(where, what))
        else:
            key = description.key.decode(errors="replace")
            self._report.findings.append(Finding(where, what, description.bucket_id, key))

    # --- reading what describes itself ---

    def _read_small_rows(self, connection: sqlite3.Connection) -> None:
        for small_id, record in small_rows(connection):
            self._report.small_rows += 1
            self._restore(connection, record, f"small row {small_id}")
            if self._report.small_rows % _CHUNK == 0:
                self._progress(self._report)

    def _read_blobs(self, connection: sqlite3.Connection) -> set[str]:
        blob_ids: set[str] = set()
        for path in self._blob_paths():
            self._report.blobs += 1
            try:
                trailer = read_trailer_sync(path)
            except Corrupt:
                self._report.unfinished_blobs += 1
                blob_ids.add(path.name)
                continue
            blob_ids.add(path.name)
            if path.name in self._described:
                continue
            self._restore(connection, trailer.description, f"blob {path.name}")
            if self._report.blobs % _CHUNK == 0:
                self._progress(self._report)
        return blob_ids

    def _blob_paths(self) -> Iterator[Path]:
        for directory in self._layout.blob_directories():
            for name in os.listdir(directory):
                yield directory / name

    def _restore(self, connection: sqlite3.Connection, raw: bytes, where: str) -> None:
        try:
            description = decode_description(raw, where)
            if self._bucket_ids is not None and description.bucket_id not in self._bucket_ids:
                return
            if description.kind == OBJECT:
                stored = decode_record(description.record, ObjectKey(description.key.decode()))
                _restore_object(connection, description.bucket_id, stored)
                if stored.sidecar_id is not None:
                    blobs = [part for part in stored.segments if isinstance(part, FileSegment)]
                    self._described.update(part.blob_id for part in blobs)
            elif description.kind == UPLOAD:
                restore_upload(connection, description)
            elif description.kind == PART:
                restore_part(connection, description)
            else:
                raise Corrupt(what=f"description of kind {description.kind}", where=where)
        except Corrupt as error:
            self._found(f"{error.fields['what']} ({where})")

    # --- judging what was restored ---

    def _check_objects(self, connection: sqlite3.Connection, blob_ids: set[str]) -> set[int | str]:
        """Drop what describes bytes that are all gone: its removal was under way. Gives the ids that objects claim."""
        claimed: set[int | str] = set()
        gone: list[tuple[int, StoredObject]] = []
        for bucket_id, stored in objects(connection):
            if stored.info.is_delete_marker:
                self._report.delete_markers += 1
                continue
            whole = load_whole(connection, stored)
            segments = () if whole is None else whole.segments
            missing = [part for part in segments if not _is_there(connection, part, blob_ids)]
            if whole is None or (missing and len(missing) == len(segments)):
                gone.append((bucket_id, stored))
                continue
            if missing:
                key = stored.info.key.encode()
                what = f"{len(missing)} of {len(segments)} segments missing"
                self._found(what, Description(OBJECT, bucket_id, key, b""))
            claimed.update(id_of(segment) for segment in segments)
            self._report.objects += 1
        for bucket_id, stored in gone:
            _remove(connection, bucket_id, stored)
        return claimed


def _restore_object(connection: sqlite3.Connection, bucket_id: int, stored: StoredObject) -> None:
    """Put a version or delete marker back, unless a later description of it is there. Until `_settle`, `idx.object` has
    the null versions, as that is all there is in most buckets; `idx.version` has the others and all markers."""
    key, version_id = stored.info.key, stored.info.version_id
    is_plain = version_id == NULL_VERSION and not stored.info.is_delete_marker
    known = find_object(connection, bucket_id, key) if version_id == NULL_VERSION else None
    if known is None:
        known = find_other(connection, bucket_id, key, version_id)
    if known is not None:
        if known.stamp >= stored.stamp:
            return
        _remove(connection, bucket_id, known)
    if is_plain:
        put_current(connection, bucket_id, stored)
    else:
        put_other(connection, bucket_id, stored)


def _remove(connection: sqlite3.Connection, bucket_id: int, stored: StoredObject) -> None:
    if stored.info.version_id == NULL_VERSION and not stored.info.is_delete_marker:
        remove_current(connection, bucket_id, stored.info.key)
    else:
        remove_other(connection, bucket_id, stored)


def _settle(connection: sqlite3.Connection) -> None:
    """Have the newest version of every key that has several stand where current objects do, unless it is a marker."""
    last = (-1, b"")
    while last := connection.execute(
        "SELECT bucket, key FROM idx.version WHERE (bucket, key) > (?, ?) ORDER BY bucket, key LIMIT 1",
        last,
    ).fetchone():
        bucket_id, raw = last
        key = ObjectKey(raw.decode())
        newest = find_newest_other(connection, bucket_id, key)
        null = find_object(connection, bucket_id, key)
        if newest is None or (null is not None and null.order > newest.order):
            continue
        if null is not None:
            demote(connection, bucket_id, null)
        promote(connection, bucket_id, key)


def _is_there(connection: sqlite3.Connection, segment: Segment, blob_ids: set[str]) -> bool:
    if isinstance(segment, FileSegment):
        return segment.blob_id in blob_ids
    found = connection.execute("SELECT 1 FROM small WHERE id = ?", (segment.small_id,)).fetchone()
    return found is not None
