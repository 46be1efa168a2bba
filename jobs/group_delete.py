"""Owns the job that deletes objects by list, template or prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.deletion import DeleteItem
from core.errors import NotFound, StoreError
from core.events import with_origin
from core.origin import Origin
from core.protocols import ObjectStore
from jobs.object_group import Control, GroupRun
from jobs.parallel import work_through
from jobs.queue import JobContext, OnDemand
from jobs.selection import Piece, pieces

DELETE_OBJECTS = "delete-listrange"


@dataclass(frozen=True, slots=True)
class DeleteObjectsJob(OnDemand):
    """A JobKind. Where deletes leave markers, so do these."""

    store: ObjectStore
    control: Control

    name = DELETE_OBJECTS

    async def run(self, context: JobContext) -> None:
        run = GroupRun(self.store, self.control, context)
        origin = Origin("DeleteObjects", requester=run.user.user_id, region=run.source.region)
        bucket = with_origin(run.source, origin)
        context.say(f"bucket {bucket.name}: {run.request.selection}")

        async def some() -> AsyncIterator[tuple[str, Piece]]:
            async for piece in pieces(self.store, bucket, run.request.selection, context.cursor):
                yield piece.cursor, piece

        async def delete(piece: Piece) -> None:
            sizes = {}
            known = piece.found
            for key in piece.keys:
                try:
                    info = await self.store.head(bucket, key) if known is None else known[key]
                except NotFound as error:
                    # Who had the job before may have deleted it.
                    if piece.must_exist and not context.was_begun:
                        run.failed(key, error)
                else:
                    sizes[key] = info.size_bytes
            items = [DeleteItem(key) for key in sizes]
            outcomes = await self.store.delete_many(bucket, items) if items else ()
            for item, outcome in zip(items, outcomes, strict=True):
                if isinstance(outcome, StoreError):
                    run.failed(item.key, outcome)
                elif isinstance(outcome, Exception):
                    raise outcome
                else:
                    context.count(objects=1, size_bytes=sizes[item.key])

        await work_through(context, some(), delete, workers=1)
