"""Owns what a node does to a bucket as a whole: its listing, its closing, its end."""

from __future__ import annotations

import asyncio

from core.errors import BucketNotEmpty, StoreError
from core.names import ObjectKey
from core.types import Bucket
from storage import crashpoints
from storage.index import refs_now
from storage.listing import is_empty_sync
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.records import decode_record
from storage.transaction import Transaction
from storage.uploads import drop_uploads

_VERSIONS_A_COMMIT = 250
_COMMITS_A_DROP = 8
"""Whoever waits for a drop waits for no more commits than these."""


class Buckets:
    """Buckets over all mountpaths of a node."""

    def __init__(self, mountpaths: Mountpaths) -> None:
        self._mountpaths = mountpaths

    async def close(self, bucket: Bucket, *, even_if_full: bool = False) -> None:
        """See StorageNode.close_bucket. Each mountpath closes in a transaction that finds no version, so that no
        write can slip in; if one holds any, those closed just now are reopened."""
        outcomes = await asyncio.gather(
            *(
                self._close_on(mountpath, bucket, even_if_full)
                for mountpath in self._mountpaths.all
            ),
            return_exceptions=True,
        )
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if not failed:
            crashpoints.reach("bucket:closed")
            return
        for mountpath, outcome in zip(self._mountpaths.all, outcomes, strict=True):
            if outcome is True:
                await _reopen_on(mountpath, bucket)
        not_empty = [error for error in failed if isinstance(error, BucketNotEmpty)]
        raise (not_empty or failed)[0]

    async def _close_on(self, mountpath: Mountpath, bucket: Bucket, even_if_full: bool) -> bool:
        """True if it was open before."""
        now_ns = self._mountpaths.clock.now_ns()

        def run(tx: Transaction) -> bool:
            if not even_if_full and not is_empty_sync([tx.connection], bucket.bucket_id):
                raise BucketNotEmpty(bucket=bucket.name)
            inserted = tx.connection.execute(
                "INSERT OR IGNORE INTO idx.closed_bucket (bucket, at_ns) VALUES (?, ?)",
                (bucket.bucket_id, now_ns),
            )
            return inserted.rowcount == 1

        return await mountpath.commit(run)

    async def reopen(self, bucket: Bucket) -> None:
        """See StorageNode.reopen_bucket. All are tried before a failure is raised."""
        outcomes = await asyncio.gather(
            *(_reopen_on(mountpath, bucket) for mountpath in self._mountpaths.all),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def closed(self) -> dict[int, int]:
        """Bucket id → when it was closed, of all that are closed and not dropped."""
        rows = await self._mountpaths.read_all(
            lambda connections: [
                row
                for connection in connections
                for row in connection.execute(
                    "SELECT bucket, at_ns FROM idx.closed_bucket WHERE NOT is_dropped"
                )
            ]
        )
        latest: dict[int, int] = {}
        for bucket_id, at_ns in rows:
            latest[bucket_id] = max(at_ns, latest.get(bucket_id, 0))
        return latest

    async def drop(self, bucket_id: int) -> bool:
        """Forget what is left of a deleted bucket, in a bounded number of bounded commits; whether all is gone.
        Idempotent."""
        crashpoints.reach("bucket:unnamed")
        outcomes = await asyncio.gather(
            *(_drop_on(mountpath, bucket_id) for mountpath in self._mountpaths.all),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return all(outcomes)

    async def health(self) -> dict[str, str]:
        """See StorageNode.health."""
        return {
            str(mountpath.spec.directory or mountpath.spec.uuid): await _health_of(mountpath)
            for mountpath in self._mountpaths.all
        }


async def _reopen_on(mountpath: Mountpath, bucket: Bucket) -> None:
    def run(tx: Transaction) -> None:
        tx.connection.execute("DELETE FROM idx.closed_bucket WHERE bucket = ?", (bucket.bucket_id,))

    await mountpath.commit(run)


async def _drop_on(mountpath: Mountpath, bucket_id: int) -> bool:
    def run(tx: Transaction) -> bool:
        if _drop_versions(tx, bucket_id) or drop_uploads(tx, bucket_id):
            return False
        _mark_dropped(tx, bucket_id)
        return True

    for _ in range(_COMMITS_A_DROP):
        is_done = await mountpath.commit(run, frees=True)
        crashpoints.reach("bucket:dropped-some")
        if is_done:
            return True
    return False


def _drop_versions(tx: Transaction, bucket_id: int) -> bool:
    """Take away versions of a closed bucket; whether there may be more."""
    for table in ("idx.object", "idx.version"):
        rows = tx.connection.execute(
            f"SELECT key, vorder, record FROM {table} WHERE bucket = ? LIMIT ?",
            (bucket_id, _VERSIONS_A_COMMIT),
        ).fetchall()
        for key, _, record in rows:
            stored = decode_record(record, ObjectKey(key.decode()))
            tx.add_garbage(refs_now(tx.connection, stored))
        tx.connection.executemany(
            f"DELETE FROM {table} WHERE bucket = ? AND key = ? AND vorder = ?",
            [(bucket_id, key, order) for key, order, _ in rows],
        )
        if rows:
            return True
    return False


def _mark_dropped(tx: Transaction, bucket_id: int) -> None:
    tx.connection.execute(
        "UPDATE idx.closed_bucket SET is_dropped = 1 WHERE bucket = ?", (bucket_id,)
    )


async def _health_of(mountpath: Mountpath) -> str:
    try:
        await mountpath.run(mountpath.watch_sync)
        await mountpath.require_room(0)
    except StoreError as error:
        return str(error.fields.get("reason", type(error).__name__))
    return "ok"
