"""Owns the rows of uploads in progress, their parts, and what finished uploads made; on any connection of
storage.database.

A part may be committed only while its upload is there, in one transaction with that check; so whatever ends an upload
(completion, abort, the bucket's end) finds every part that was acknowledged, and none comes after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from core.completion import CompletedObject, CompletionRequest, complete, names_same_parts
from core.errors import NoSuchUpload
from core.names import ObjectKey, UploadId
from core.types import Bucket, Conditions, ObjectInfo
from core.uploads import Upload, UploadedPart
from storage.index import find_object, load_whole, require_open
from storage.records import (
    Description,
    InlineSegment,
    Segment,
    encode_description,
    refs_of,
)
from storage.transaction import Operation, Transaction
from storage.upload_records import (
    PART,
    UPLOAD,
    StoredPart,
    StoredUpload,
    decode_part,
    decode_upload,
    encode_part,
    encode_upload,
)
from storage.versions import Publication, publish_object

PartRow = tuple[int, bytes]
"""A part's number and record, as they stand in the index."""


@dataclass(frozen=True, slots=True)
class UploadName:
    """What an upload goes by."""

    bucket: Bucket
    key: ObjectKey
    upload_id: UploadId

    @property
    def row(self) -> tuple[int, bytes, str]:
        """Its primary key."""
        return self.bucket.bucket_id, self.key.encode(), self.upload_id


# --- looking up --------------------------------------------------------------------------------------------------


def find_upload(connection: sqlite3.Connection, name: UploadName) -> StoredUpload | None:
    # Our ids are ASCII; other text may not even be text that SQLite can take.
    if not name.upload_id.isascii():
        return None
    row = connection.execute(
        "SELECT record FROM idx.upload WHERE bucket = ? AND key = ? AND upload_id = ?", name.row
    ).fetchone()
    return None if row is None else decode_upload(row[0], name.key.encode())


def require_upload(connection: sqlite3.Connection, name: UploadName) -> StoredUpload:
    """Raises NoSuchUpload."""
    stored = find_upload(connection, name)
    if stored is None:
        raise NoSuchUpload(upload_id=name.upload_id)
    return stored


def part_rows(
    connection: sqlite3.Connection, upload_id: UploadId, *, after: int = 0, limit: int = -1
) -> list[PartRow]:
    """The rows of parts above a number, ascending; all if there is no limit."""
    return connection.execute(
        "SELECT part_number, record FROM idx.part WHERE upload_id = ? AND part_number > ?"
        " ORDER BY part_number LIMIT ?",
        (upload_id, after, limit),
    ).fetchall()


# --- creating, adding --------------------------------------------------------------------------------------------


def add_upload(tx: Transaction, bucket: Bucket, upload: Upload) -> None:
    """Begin an upload. Raises NoSuchBucket."""
    require_open(tx, bucket)
    small_id = tx.next_stamp()
    record = encode_upload(StoredUpload(upload, small_id))
    name = UploadName(bucket, upload.key, upload.upload_id)
    tx.add_small((small_id, _describe(UPLOAD, name, record), None))
    tx.connection.execute(
        "INSERT INTO idx.upload (bucket, key, upload_id, record) VALUES (?, ?, ?, ?)",
        (*name.row, record),
    )


def add_inline_part(
    tx: Transaction, name: UploadName, part: UploadedPart, data: bytes, checksum: int
) -> None:
    """Keep a part whose bytes go into its small row. Raises as `add_part`."""
    stamp = tx.next_stamp()
    stored = StoredPart(name.upload_id, part, InlineSegment(stamp, len(data), checksum), stamp)
    add_part(tx, name, stored)
    tx.add_small((stamp, describe_part(name, stored), data))


def add_part(tx: Transaction, name: UploadName, stored: StoredPart) -> None:
    """Keep a part, in place of one of the same number. Raises NoSuchBucket, NoSuchUpload."""
    require_open(tx, name.bucket)
    require_upload(tx.connection, name)
    number = stored.part.part_number
    previous = tx.connection.execute(
        "SELECT record FROM idx.part WHERE upload_id = ? AND part_number = ?",
        (name.upload_id, number),
    ).fetchone()
    tx.connection.execute(
        "INSERT OR REPLACE INTO idx.part (upload_id, part_number, record) VALUES (?, ?, ?)",
        (name.upload_id, number, encode_part(stored)),
    )
    if previous is not None:
        tx.add_garbage(refs_of([decode_part(previous[0]).segment]))


def describe_part(name: UploadName, stored: StoredPart) -> bytes:
    """What stands beside a part's bytes."""
    return _describe(PART, name, encode_part(stored))


def _describe(kind: str, name: UploadName, record: bytes) -> bytes:
    bucket_id, key, _ = name.row
    return encode_description(Description(kind, bucket_id, key, record))


# --- completing --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """A completion as decided from the part rows that it was shown."""

    rows: Sequence[PartRow]
    whole: CompletedObject
    segments: Sequence[Segment]
    unused: Sequence[Segment]


def plan_completion(
    stored: StoredUpload,
    rows: Sequence[PartRow],
    request: CompletionRequest,
    min_part_bytes: int,
) -> Plan:
    """Decide a completion. Raises as core.completion.complete."""
    parts = {number: decode_part(record) for number, record in rows}
    held = {number: kept.part for number, kept in parts.items()}
    whole = complete(stored.upload, held, request, min_part_bytes=min_part_bytes)
    segments = [parts.pop(part.part_number).segment for part in whole.parts]
    return Plan(rows, whole, segments, [kept.segment for kept in parts.values()])


@dataclass(frozen=True, slots=True)
class Completion:
    """What turns an upload into an object. `plan` was made outside the transaction, which is held up the less.
    `known`: what a backend says of the object, which is then told of it."""

    name: UploadName
    request: CompletionRequest
    conditions: Conditions
    plan: Plan
    min_part_bytes: int
    now_ns: int
    known: ObjectInfo | None = None


def complete_upload(tx: Transaction, completion: Completion) -> ObjectInfo:
    """Publish the object that an upload's parts make, and end the upload.

    Raises NoSuchBucket, NoSuchUpload, PreconditionFailed, NoSuchKey and as `plan_completion`.
    """
    name, request, plan = completion.name, completion.request, completion.plan
    stored = find_upload(tx.connection, name)
    if stored is None:
        return repeat_completion(tx.connection, name, request)
    rows = part_rows(tx.connection, name.upload_id)
    if rows != plan.rows:
        plan = plan_completion(stored, rows, request, completion.min_part_bytes)
    whole = plan.whole
    info = ObjectInfo(
        name.key,
        whole.size_bytes,
        whole.etag,
        completion.now_ns,
        stored.upload.attributes,
        whole.checksum,
        parts=whole.parts,
        encryption=stored.upload.encryption,
    )
    if completion.known is not None:
        info = replace(completion.known, key=name.key, checksum=whole.checksum, parts=whole.parts)
    publication = Publication(info, segments=tuple(plan.segments))
    published = publish_object(tx, name.bucket, publication, completion.conditions)
    _remove_rows(tx, name.row)
    tx.add_garbage(refs_of(plan.unused, stored.small_id))
    tx.connection.execute(
        "INSERT INTO idx.completed (upload_id, bucket, key, stamp, at_ns) VALUES (?, ?, ?, ?, ?)",
        (
            name.upload_id,
            name.bucket.bucket_id,
            name.key.encode(),
            published.order,
            completion.now_ns,
        ),
    )
    return published.info


def repeat_completion(
    connection: sqlite3.Connection, name: UploadName, request: CompletionRequest
) -> ObjectInfo:
    """What a completion made that is sent again, while it is its key's current object. Raises NoSuchUpload."""
    if name.upload_id.isascii():
        made = connection.execute(
            "SELECT stamp FROM idx.completed WHERE upload_id = ? AND bucket = ? AND key = ?",
            (name.upload_id, name.bucket.bucket_id, name.key.encode()),
        ).fetchone()
        current = find_object(connection, name.bucket.bucket_id, name.key)
        if made is not None and current is not None and current.order == made[0]:
            whole = load_whole(connection, current)
            if whole is not None and names_same_parts(request, whole.info.etag):
                return whole.info
    raise NoSuchUpload(upload_id=name.upload_id)


def forget_completions(before_ns: int, *, limit: int = 10_000) -> Operation[int]:
    """Forget what uploads made that were completed before a time; as many as were forgotten, up to the limit."""

    def run(tx: Transaction) -> int:
        return tx.connection.execute(
            "DELETE FROM idx.completed WHERE upload_id IN"
            " (SELECT upload_id FROM idx.completed WHERE at_ns < ? ORDER BY at_ns LIMIT ?)",
            (before_ns, limit),
        ).rowcount

    return run


# --- ending without an object ------------------------------------------------------------------------------------


def abort_upload(tx: Transaction, name: UploadName) -> None:
    """End an upload and give its parts up. Raises NoSuchUpload."""
    _drop(tx, name.row, require_upload(tx.connection, name))


def drop_uploads(tx: Transaction, bucket_id: int, *, limit: int = 100) -> bool:
    """End uploads of a bucket that is closed; whether there may be more."""
    rows = tx.connection.execute(
        "SELECT key, upload_id, record FROM idx.upload WHERE bucket = ? LIMIT ?",
        (bucket_id, limit),
    ).fetchall()
    for key, upload_id, record in rows:
        _drop(tx, (bucket_id, key, upload_id), decode_upload(record, key))
    return len(rows) == limit


def _drop(tx: Transaction, row: tuple[int, bytes, str], stored: StoredUpload) -> None:
    rows = part_rows(tx.connection, stored.upload.upload_id)
    segments = [decode_part(record).segment for _, record in rows]
    _remove_rows(tx, row)
    tx.add_garbage(refs_of(segments, stored.small_id))


def _remove_rows(tx: Transaction, row: tuple[int, bytes, str]) -> None:
    tx.connection.execute(
        "DELETE FROM idx.upload WHERE bucket = ? AND key = ? AND upload_id = ?", row
    )
    tx.connection.execute("DELETE FROM idx.part WHERE upload_id = ?", row[2:])


# --- for the doctor --------------------------------------------------------------------------------------------------


def restore_upload(connection: sqlite3.Connection, description: Description) -> None:
    """Put an upload back into an index that is made anew from descriptions (kind UPLOAD)."""
    stored = decode_upload(description.record, description.key)
    connection.execute(
        "INSERT OR REPLACE INTO idx.upload (bucket, key, upload_id, record) VALUES (?, ?, ?, ?)",
        (description.bucket_id, description.key, stored.upload.upload_id, description.record),
    )


def restore_part(connection: sqlite3.Connection, description: Description) -> None:
    """Put a part back (kind PART), unless a later one of its number is there."""
    stored = decode_part(description.record)
    number = stored.part.part_number
    row = connection.execute(
        "SELECT record FROM idx.part WHERE upload_id = ? AND part_number = ?",
        (stored.upload_id, number),
    ).fetchone()
    if row is None or decode_part(row[0]).stamp < stored.stamp:
        connection.execute(
            "INSERT OR REPLACE INTO idx.part (upload_id, part_number, record) VALUES (?, ?, ?)",
            (stored.upload_id, number, description.record),
        )


def drop_restored_parts(
    connection: sqlite3.Connection, is_claimed: Callable[[Segment], bool]
) -> None:
    """After everything is restored: remove the parts that are an object's by now (`is_claimed`), and those whose
    upload is no more; the bytes of these are then unnamed."""
    connection.execute(
        "DELETE FROM idx.part WHERE upload_id NOT IN (SELECT upload_id FROM idx.upload)"
    )
    rows: Iterable[tuple[str, int, bytes]] = connection.execute(
        "SELECT upload_id, part_number, record FROM idx.part"
    )
    claimed = [row[:2] for row in rows if is_claimed(decode_part(row[2]).segment)]
    connection.executemany("DELETE FROM idx.part WHERE upload_id = ? AND part_number = ?", claimed)
