"""A world around a LocalNode on real disk, that looks behind its back."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from cluster.placement import HrwPlacement
from core.names import ObjectKey
from storage.index import load_whole
from storage.layout import Layout, open_set_sync
from storage.node import LocalNode
from storage.options import SMALL_LIMIT_BYTES, StorageOptions
from storage.rebuild import rebuild_index_sync
from storage.records import Refs, decode_record, refs_of
from storage.upload_records import decode_part, decode_upload
from tests.contract.world import MIN_PART_BYTES, World


class LocalWorld(World):
    """`mountpath_count` directories on one disk."""

    def __init__(
        self,
        directory: Path,
        mountpath_count: int = 1,
        small_limit_bytes: int = SMALL_LIMIT_BYTES,
    ) -> None:
        super().__init__()
        self._known: frozenset[str] = frozenset()
        self._directories = [directory / f"disk-{number}" for number in range(mountpath_count)]
        self._options = StorageOptions(
            small_limit_bytes=small_limit_bytes,
            verify_rate=1.0,
            free_space_reserve_bytes=0,
            threads=2,
            min_part_bytes=MIN_PART_BYTES,
        )
        self.run(self._open())

    async def _open(self) -> None:
        self._specs = open_set_sync(self._directories)
        placement = HrwPlacement([spec.uuid for spec in self._specs])
        self.node = LocalNode(self._specs, placement, self.clock, self._options, self.keys)
        await self.node.open()
        self.store = self.node

    def holds_on_disk(self, data: bytes) -> bool:
        files = (path for each in self._directories for path in each.rglob("*") if path.is_file())
        return any(data in path.read_bytes() for path in files)

    async def close_store(self) -> None:
        await self.node.close()

    async def restart(self) -> None:
        await self.node.close()
        await self._open()

    async def rebuild(self) -> None:
        await self.node.close()
        for path in (index for each in self._directories for index in each.glob("index.db*")):
            path.unlink()
        report = rebuild_index_sync(self._specs)
        assert not report.findings
        await self._open()

    async def settle(self, within_s: float = 10.0) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while self.leftovers() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

    def begin_test(self) -> None:
        """Set the clock back, and forgive what an earlier test left for the space cleanup: what was being read."""
        self.clock.reset()
        self._known = frozenset(self._all_leftovers())

    def leftovers(self) -> Sequence[str]:
        return self._new(self._all_leftovers())

    def _new(self, found: Sequence[str]) -> list[str]:
        return [item for item in found if item not in self._known]

    def _all_leftovers(self) -> list[str]:
        unnamed = [_unnamed(Layout(directory)) for directory in self._directories]
        return [*self._garbage(), *itertools.chain.from_iterable(unnamed)]

    def _garbage(self) -> list[str]:
        found: list[str] = []
        for directory in self._directories:
            connection = _open_index(Layout(directory))
            try:
                rows = connection.execute("SELECT id FROM idx.garbage").fetchall()
            finally:
                connection.close()
            found += [f"{directory.name}: garbage {garbage_id}" for (garbage_id,) in rows]
        return found


def _open_index(layout: Layout) -> sqlite3.Connection:
    connection = sqlite3.connect(layout.small_db, isolation_level=None)
    connection.execute("ATTACH ? AS idx", (str(layout.index_db),))
    return connection


def _unnamed(layout: Layout) -> list[str]:
    """Blob files and small rows that no object and no upload names, and names of what is not there."""
    connection = _open_index(layout)
    try:
        refs = [*_refs_of_objects(connection), *_refs_of_uploads(connection)]
        rows = {row[0] for row in connection.execute("SELECT id FROM small")}
    finally:
        connection.close()
    blobs = {path.name for path in layout.blobs.glob("*/*")}
    named_blobs = {blob_id for ref in refs for blob_id in ref.blob_ids}
    named_rows = {small_id for ref in refs for small_id in ref.small_ids}
    return [
        *(f"unnamed blob {name}" for name in blobs - named_blobs),
        *(f"missing blob {name}" for name in named_blobs - blobs),
        *(f"unnamed row {name}" for name in rows - named_rows),
        *(f"missing row {name}" for name in named_rows - rows),
    ]


def _refs_of_objects(connection: sqlite3.Connection) -> list[Refs]:
    found = []
    rows = connection.execute(
        "SELECT key, record FROM idx.object UNION ALL SELECT key, record FROM idx.version"
    )
    for key, record in rows.fetchall():
        whole = load_whole(connection, decode_record(record, ObjectKey(key.decode())))
        assert whole is not None
        found.append(refs_of(whole.segments, whole.sidecar_id))
    return found


def _refs_of_uploads(connection: sqlite3.Connection) -> list[Refs]:
    rows = connection.execute("SELECT key, record FROM idx.upload").fetchall()
    found = [Refs((), (decode_upload(record, key).small_id,)) for key, record in rows]
    for (record,) in connection.execute("SELECT record FROM idx.part").fetchall():
        found.append(refs_of([decode_part(record).segment]))
    return found
