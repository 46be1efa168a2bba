"""Owns the check of a store: index against bytes and bytes against index, every checksum. Blocking.

It may run beside a server: what looks wrong is looked at again before it is reported.
"""

from __future__ import annotations

import functools
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import xxhash

from core.cipher import DoesNotOpen, opened_size
from core.errors import Corrupt, StoreError
from core.names import ObjectKey
from storage.blobs import read_trailer_sync
from storage.database import check_schema_sync, open_reader_sync
from storage.faults import translate
from storage.index import find_object, find_version, load_whole
from storage.layout import (
    Layout,
    MountpathSpec,
    layout_of,
    live_workers_sync,
    worker_of,
)
from storage.names import is_named, small_rows
from storage.reader import load_inline
from storage.records import (
    OBJECT,
    FileSegment,
    InlineSegment,
    Segment,
    StoredObject,
    decode_description,
    decode_record,
    decode_refs,
)
from storage.upload_records import decode_part

_CHUNK = 500
_BLOCK_BYTES = 1024**2
_MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is damaged. `key` is empty where it is not one object's; `bucket_id` 0 likewise."""

    mountpath: str
    what: str
    bucket_id: int = 0
    key: str = ""

    def __str__(self) -> str:
        whose = f" of bucket {self.bucket_id}, key {self.key!r}" if self.key else ""
        return f"{self.mountpath}: {self.what}{whose}"


@dataclass(slots=True)
class CheckReport:
    """What a check counted. `objects` are the current ones; `other_versions` include delete markers. `findings` are
    damage; `unnamed_*` and `garbage_rows` are leftovers, which the space cleanup removes."""

    objects: int = 0
    other_versions: int = 0
    parts: int = 0
    blobs: int = 0
    small_rows: int = 0
    bytes_verified: int = 0
    unnamed_blobs: int = 0
    unnamed_rows: int = 0
    garbage_rows: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.findings


Progress = Callable[[CheckReport], None]


def check_sync(
    specs: Sequence[MountpathSpec],
    *,
    verifies_bytes: bool = True,
    progress: Progress = lambda report: None,
) -> CheckReport:
    """Check every mountpath; `progress` is called now and then with the counts so far."""
    report = CheckReport()
    for spec in specs:
        try:
            layout = layout_of(spec, specs)
        except StoreError as error:
            reason = error.fields.get("reason") or error.fields.get("what")
            report.findings.append(Finding(str(spec.directory or spec.uuid), str(reason)))
            continue
        try:
            _check_databases(layout)
            with closing(open_reader_sync(layout)) as connection:
                _Check(layout, connection, report, progress).run(verifies_bytes)
        except (OSError, sqlite3.Error, Corrupt) as error:
            fault = translate(error, layout.directory)
            what = fault.fields.get("what") or fault.fields.get("reason") or type(fault).__name__
            report.findings.append(Finding(str(layout.directory), str(what)))
    return report


def _check_databases(layout: Layout) -> None:
    """Raises Corrupt."""
    for path in (layout.small_db, layout.index_db):
        if not path.exists():
            raise Corrupt(what=f"{path.name} is missing", where=str(layout.directory))
    check_schema_sync(layout)
    with closing(open_reader_sync(layout)) as connection:
        for database, name in (("main", "small.db"), ("idx", "index.db")):
            (said,) = connection.execute(f"PRAGMA {database}.quick_check(1)").fetchone()
            if said != "ok":
                raise Corrupt(what=f"{name} is damaged: {said}", where=str(layout.directory))


class _Check:
    """A check of one mountpath."""

    def __init__(
        self,
        layout: Layout,
        connection: sqlite3.Connection,
        report: CheckReport,
        progress: Progress,
    ) -> None:
        self._layout = layout
        self._connection = connection
        self._report = report
        self._progress = progress
        self._named_blobs: set[str] = set()

    def run(self, verifies_bytes: bool) -> None:
        for bucket_id, key, _ in self._rows("object"):
            find = functools.partial(find_object, self._connection, bucket_id, key)
            self._check_version(bucket_id, key, find, verifies_bytes)
            self._report.objects += 1
            if self._report.objects % _CHUNK == 0:
                self._progress(self._report)
        self._check_other_versions(verifies_bytes)
        self._check_parts(verifies_bytes)
        self._progress(self._report)
        garbage = self._garbage()
        self._check_blobs(garbage)
        self._check_small_rows(garbage)
        self._progress(self._report)

    def _found(self, what: str, bucket_id: int = 0, key: str = "") -> None:
        self._report.findings.append(Finding(str(self._layout.directory), what, bucket_id, key))

    # --- from the index to the bytes ---

    def _rows(self, table: str) -> Iterator[tuple[int, ObjectKey, bytes]]:
        """Bucket, key and record of what a table has; in chunks, so that no long read holds up the folding of the
        write-ahead log."""
        last: tuple[object, ...] = (-1, b"", 0)
        while rows := self._connection.execute(
            f"SELECT bucket, key, vorder, record FROM idx.{table}"
            " WHERE (bucket, key, vorder) > (?, ?, ?) ORDER BY bucket, key, vorder LIMIT ?",
            (*last, _CHUNK),
        ).fetchall():
            last = rows[-1][:3]
            for bucket_id, key, _, record in rows:
                yield bucket_id, ObjectKey(key.decode()), record

    def _check_other_versions(self, verifies_bytes: bool) -> None:
        last: tuple[int, ObjectKey] | None = None
        for bucket_id, key, record in self._rows("version"):
            try:
                version_id = decode_record(record, key).info.version_id
            except Corrupt as error:
                self._found(str(error.fields["what"]), bucket_id, key)
                continue
            find = functools.partial(find_version, self._connection, bucket_id, key, version_id)
            self._check_version(bucket_id, key, find, verifies_bytes)
            if (bucket_id, key) != last:
                self._check_order(bucket_id, key)
                last = bucket_id, key
            self._report.other_versions += 1
            if self._report.other_versions % _CHUNK == 0:
                self._progress(self._report)

    def _check_order(self, bucket_id: int, key: ObjectKey) -> None:
        """The current object is the newest version, and only a delete marker can be so in its place."""
        newest = self._connection.execute(
            "SELECT version.vorder, version.is_marker, object.record FROM idx.version"
            " LEFT JOIN idx.object USING (bucket, key) WHERE version.bucket = ? AND version.key = ?"
            " ORDER BY version.vorder LIMIT 1",
            (bucket_id, key.encode()),
        ).fetchone()
        if newest is None:
            return
        vorder, is_marker, record = newest
        if record is None and not is_marker:
            self._found("no version is the current one", bucket_id, key)
        if record is not None and decode_record(record, key).order <= -vorder:
            self._found("the current version is not the newest", bucket_id, key)

    def _check_version(
        self,
        bucket_id: int,
        key: ObjectKey,
        find: Callable[[], StoredObject | None],
        verifies_bytes: bool,
    ) -> None:
        problem = ""
        stamp = 0
        for _ in range(_MAX_ATTEMPTS):
            try:
                stored = find()
                if stored is None:
                    return
                seen_before, stamp = stored.stamp == stamp, stored.stamp
                if problem and seen_before:
                    break
                problem = self._problem_of(stored, verifies_bytes)
            except Corrupt as error:
                problem = str(error.fields["what"])
                break
            if not problem:
                return
        self._found(problem, bucket_id, key)

    def _problem_of(self, stored: StoredObject, verifies_bytes: bool) -> str:
        whole = load_whole(self._connection, stored)
        if whole is None:
            return "manifest missing"
        if stored.sidecar_id is not None and not self._is_row_there(stored.sidecar_id):
            return f"small row {stored.sidecar_id} missing"
        for segment in whole.segments:
            problem = self._problem_of_segment(segment, stored.info.key, verifies_bytes)
            if problem:
                return problem
        sizes = [segment.size_bytes for segment in whole.segments]
        measure = int if stored.info.encryption is None else opened_size
        try:
            total = sum(map(measure, sizes))
        except DoesNotOpen:
            return "size of sealed bytes"
        return "" if total == stored.info.size_bytes else f"{total} bytes stored"

    def _problem_of_segment(self, segment: Segment, key: ObjectKey, verifies_bytes: bool) -> str:
        try:
            if isinstance(segment, InlineSegment):
                data = load_inline(self._connection, segment, key)
                self._report.bytes_verified += segment.size_bytes
                return "small row missing" if data is None else ""
        except Corrupt as error:
            return str(error.fields["what"])
        self._named_blobs.add(segment.blob_id)
        try:
            return self._problem_of_blob(segment, verifies_bytes)
        except FileNotFoundError:
            return f"blob {segment.blob_id} missing"
        except Corrupt as error:
            return str(error.fields["what"])

    def _problem_of_blob(self, segment: FileSegment, verifies_bytes: bool) -> str:
        path = self._layout.blob(segment.blob_id)
        trailer = read_trailer_sync(path)
        decode_description(trailer.description, path)
        if trailer.size_bytes != segment.size_bytes:
            return f"blob {segment.blob_id} of another size"
        if verifies_bytes and _checksum_sync(path, segment.size_bytes) != segment.checksum:
            return f"bytes of blob {segment.blob_id} damaged"
        self._report.bytes_verified += segment.size_bytes if verifies_bytes else 0
        return ""

    def _check_parts(self, verifies_bytes: bool) -> None:
        last = ("", 0)
        while True:
            rows = self._connection.execute(
                "SELECT upload_id, part_number, record FROM idx.part"
                " WHERE (upload_id, part_number) > (?, ?) ORDER BY upload_id, part_number LIMIT ?",
                (*last, _CHUNK),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][:2]
            for upload_id, number, record in rows:
                self._report.parts += 1
                where = ObjectKey(f"part {number} of upload {upload_id}")
                segment = decode_part(record).segment
                problem = self._problem_of_segment(segment, where, verifies_bytes)
                if problem and self._is_part_as_it_was(upload_id, number, record):
                    self._found(f"{problem}, {where}")

    def _is_part_as_it_was(self, upload_id: str, number: int, record: bytes) -> bool:
        row = self._connection.execute(
            "SELECT record FROM idx.part WHERE upload_id = ? AND part_number = ?",
            (upload_id, number),
        ).fetchone()
        return row is not None and row[0] == record

    # --- from the bytes to the index ---

    def _garbage(self) -> set[int | str]:
        named: set[int | str] = set()
        for (refs,) in self._connection.execute("SELECT refs FROM idx.garbage"):
            self._report.garbage_rows += 1
            decoded = decode_refs(refs)
            named.update(decoded.blob_ids)
            named.update(decoded.small_ids)
        return named

    def _check_blobs(self, garbage: set[int | str]) -> None:
        paths = [
            f"{place}/{name}"
            for place in self._layout.blob_directories()
            for name in os.listdir(place)
        ]
        alive = live_workers_sync(self._layout)
        for path in paths:
            name = os.path.basename(path)
            self._report.blobs += 1
            if name in self._named_blobs or name in garbage or worker_of(name) in alive:
                continue
            if not self._is_blob_named(name, path):
                self._report.unnamed_blobs += 1

    def _is_blob_named(self, blob_id: str, path: str) -> bool:
        """Named since the index was read, or removed."""
        try:
            description = decode_description(read_trailer_sync(path).description, path)
            return is_named(self._connection, description, blob_id)
        except FileNotFoundError:
            return True
        except Corrupt:
            # Unfinished: its maker died over it.
            return False

    def _check_small_rows(self, garbage: set[int | str]) -> None:
        for small_id, record in small_rows(self._connection):
            self._report.small_rows += 1
            if small_id not in garbage:
                self._check_small_row(small_id, record)
            if self._report.small_rows % _CHUNK == 0:
                self._progress(self._report)

    def _check_small_row(self, small_id: int, record: bytes) -> None:
        try:
            description = decode_description(record, f"small row {small_id}")
            if description.kind == OBJECT:
                decode_record(description.record, ObjectKey(description.key.decode()))
            if is_named(self._connection, description, small_id):
                return
        except Corrupt as error:
            self._found(f"{error.fields['what']} of small row {small_id}")
            return
        if self._is_row_there(small_id):
            self._report.unnamed_rows += 1

    def _is_row_there(self, small_id: int) -> bool:
        found = self._connection.execute("SELECT 1 FROM small WHERE id = ?", (small_id,))
        return found.fetchone() is not None


def _checksum_sync(path: str, size_bytes: int) -> int:
    running = xxhash.xxh3_64()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        done = 0
        while done < size_bytes:
            block = os.pread(fd, min(_BLOCK_BYTES, size_bytes - done), done)
            if not block:
                break
            running.update(block)
            done += len(block)
    finally:
        os.close(fd)
    return running.intdigest()
