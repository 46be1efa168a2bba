"""Owns the outboxes: the messages of events that wait, on the mountpath where the change was made, until a destination
has taken them.

A message is written by the transaction that makes the change (storage.versions), so there is one if and only if the
change was kept. It is taken away after its delivery; a crash in between has it delivered again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from core.errors import MountpathUnavailable
from core.events import Change, PendingEvent, event_of, message, rules_for
from core.names import ObjectKey
from core.shard_indexes import SHARDS_CHANGED, shard_message
from core.types import Bucket, ObjectInfo
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.transaction import Transaction

T = TypeVar("T")

_PENDING = (
    "SELECT id, bucket, key, message FROM idx.outbox WHERE destination = ? ORDER BY id LIMIT ?"
)
_COUNT = "SELECT destination, count(*) FROM idx.outbox GROUP BY destination"
_INSERT = "INSERT INTO idx.outbox (id, destination, bucket, key, message) VALUES (?, ?, ?, ?, ?)"


def note_change(tx: Transaction, bucket: Bucket, change: Change, info: ObjectInfo) -> None:
    """Leave word of a change for every rule that tells of it. For buckets with an origin only; callers look first,
    which is all that other buckets pay."""
    assert bucket.origin is not None
    event = event_of(bucket.origin, change)
    for rule in rules_for(bucket, event, info.key):
        event_id = _next_id(tx)
        row = (event_id, rule.destination, bucket.bucket_id, info.key.encode())
        tx.connection.execute(_INSERT, (*row, message(bucket, rule, event, info, event_id)))


def note_shard(tx: Transaction, bucket: Bucket, key: ObjectKey) -> None:
    """Leave word that a shard's index wants looking at: the shard is new, or the one that had an index is gone."""
    row = (_next_id(tx), SHARDS_CHANGED, bucket.bucket_id, key.encode())
    tx.connection.execute(_INSERT, (*row, shard_message(bucket.ref, key)))


def _next_id(tx: Transaction) -> int:
    """Greater than any that waits, so that what waits is in the order of its making whatever the clock does."""
    (last,) = tx.connection.execute("SELECT ifnull(max(id), 0) FROM idx.outbox").fetchone()
    return tx.next_stamp(after=last)


class Outbox:
    """The outboxes of all mountpaths of a node, as one."""

    def __init__(self, mountpaths: Mountpaths) -> None:
        self._mountpaths = mountpaths

    async def announce(self, bucket: Bucket, messages: Mapping[str, bytes]) -> None:
        """See ObjectStore.announce."""
        mountpath = self._mountpaths.owner(bucket, ObjectKey(""))

        def run(tx: Transaction) -> None:
            for destination, text in messages.items():
                row = (_next_id(tx), destination, bucket.bucket_id, b"", text)
                tx.connection.execute(_INSERT, row)

        await mountpath.commit(run)

    async def pending(self, destination: str, limit: int) -> Sequence[PendingEvent]:
        """The oldest messages for a destination, up to `limit` of each mountpath; of those that are not there, none."""

        def query(connection: sqlite3.Connection) -> list[tuple[int, int, bytes, bytes]]:
            return connection.execute(_PENDING, (destination, limit)).fetchall()

        found = await asyncio.gather(*(_ask(each, query) for each in self._mountpaths.all))
        return [
            PendingEvent(place, event_id, b"%d/%b" % (bucket_id, key), text)
            for place, rows in enumerate(found)
            for event_id, bucket_id, key, text in rows
        ]

    async def forget(self, events: Sequence[PendingEvent]) -> None:
        """Take away what was delivered. It is not waited for until it is on disk: what comes back is sent again."""
        by_place: dict[int, list[tuple[int]]] = {}
        for event in events:
            by_place.setdefault(event.place, []).append((event.event_id,))

        async def forget_on(mountpath: Mountpath, ids: list[tuple[int]]) -> None:
            def run(tx: Transaction) -> None:
                tx.connection.executemany("DELETE FROM idx.outbox WHERE id = ?", ids)

            await mountpath.commit(run, is_durable=False, frees=True)

        await asyncio.gather(
            *(forget_on(self._mountpaths.all[place], ids) for place, ids in by_place.items())
        )

    async def backlog(self) -> Mapping[str, int]:
        """Destination → how many messages wait for it."""

        def query(connection: sqlite3.Connection) -> list[tuple[str, int]]:
            return connection.execute(_COUNT).fetchall()

        total: Counter[str] = Counter()
        for rows in await asyncio.gather(*(_ask(each, query) for each in self._mountpaths.all)):
            total.update(dict(rows))
        return total


async def _ask(mountpath: Mountpath, query: Callable[[sqlite3.Connection], list[T]]) -> Sequence[T]:
    """What a mountpath answers; nothing while its disk is not there."""
    try:
        return await mountpath.read(query)
    except MountpathUnavailable:
        return ()
