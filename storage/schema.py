"""Owns the tables of a mountpath's two databases.

`small.db` holds what cannot be made again: inline bytes and self-descriptions. `index.db` can be rebuilt from it and
from the blobs. All statements must be repeatable (IF NOT EXISTS); VERSION goes up when a table changes.
"""

from __future__ import annotations

VERSION = 3

SMALL_TABLES = (
    # record: a description (storage.records); data NULL: a sidecar that describes what lies elsewhere.
    "CREATE TABLE IF NOT EXISTS small (id INTEGER PRIMARY KEY, record BLOB NOT NULL, data BLOB)",
)

INDEX_TABLES = (
    # The current object of each key, under vorder 0: what reads without a version id and listings of keys meet.
    # small_id: the row that has all its bytes, if one does.
    "CREATE TABLE IF NOT EXISTS idx.object (bucket INTEGER NOT NULL, key BLOB NOT NULL, vorder INTEGER NOT NULL,"
    " small_id INTEGER, record BLOB NOT NULL, PRIMARY KEY (bucket, key, vorder)) WITHOUT ROWID",
    # Every other version, and every delete marker, of a key newest first: vorder is minus the stamp with which the
    # version was made. A key without a row in idx.object has a marker first here, or nothing.
    "CREATE TABLE IF NOT EXISTS idx.version (bucket INTEGER NOT NULL, key BLOB NOT NULL, vorder INTEGER NOT NULL,"
    " is_marker INTEGER NOT NULL, is_null INTEGER NOT NULL, small_id INTEGER, record BLOB NOT NULL,"
    " PRIMARY KEY (bucket, key, vorder)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS idx.null_version ON version (bucket, key) WHERE is_null = 1",
    # Messages of events that wait for delivery (storage.outbox), in the order of their ids.
    "CREATE TABLE IF NOT EXISTS idx.outbox (id INTEGER PRIMARY KEY, destination TEXT NOT NULL, bucket INTEGER NOT NULL,"
    " key BLOB NOT NULL, message BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS idx.outbox_by_destination ON outbox (destination, id)",
    # What no record names any more and is still to be removed: refs (storage.records) of blobs and small rows.
    "CREATE TABLE IF NOT EXISTS idx.garbage (id INTEGER PRIMARY KEY, refs BLOB NOT NULL)",
    # A bucket that takes no writes; dropped: nothing of it is left, but late writers must still be refused.
    "CREATE TABLE IF NOT EXISTS idx.closed_bucket (bucket INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL,"
    " is_dropped INTEGER NOT NULL DEFAULT 0)",
    # How far the space cleanup has come: small rows up to an id ("small"), dead workers' blobs (their ids).
    "CREATE TABLE IF NOT EXISTS idx.swept (name TEXT PRIMARY KEY, upto INTEGER NOT NULL) WITHOUT ROWID",
    # Uploads in progress; an upload id begins with its time of creation.
    "CREATE TABLE IF NOT EXISTS idx.upload (bucket INTEGER NOT NULL, key BLOB NOT NULL, upload_id TEXT NOT NULL,"
    " record BLOB NOT NULL, PRIMARY KEY (bucket, key, upload_id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS idx.part (upload_id TEXT NOT NULL, part_number INTEGER NOT NULL,"
    " record BLOB NOT NULL, PRIMARY KEY (upload_id, part_number)) WITHOUT ROWID",
    # What finished uploads made (the version first stamped so), for a while, so that a completion can be sent again.
    "CREATE TABLE IF NOT EXISTS idx.completed (upload_id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL,"
    " stamp INTEGER NOT NULL, at_ns INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS idx.completed_at ON completed (at_ns)",
)
