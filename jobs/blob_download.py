"""Owns the job that brings one large remote object here by reads side by side (core.blobs).

It keeps no cursor: what a dead worker had of the object is nobody's, and the next one begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from core.blob_jobs import BLOB_DOWNLOAD, BlobRequest
from core.blobs import BlobPlan, Blobs
from core.errors import InvalidArgument
from core.jobs import BYTES
from core.load import Level
from core.types import Bucket, ObjectInfo
from jobs.lookup import Buckets, find_bucket
from jobs.queue import JobContext, OnDemand

_LONG_S = 1e9
_CALMER_S = 1.0


@dataclass(frozen=True, slots=True)
class BlobDownloadJob(OnDemand):
    """A JobKind. A job that finds the object being fetched already waits for that."""

    blobs: Blobs
    control: Buckets

    name = BLOB_DOWNLOAD

    async def run(self, context: JobContext) -> None:
        request = BlobRequest.of_arguments(context.arguments)
        bucket = find_bucket(self.control, request.bucket, str(request.bucket_id))
        if bucket.props.backend is None:
            reason = "it has no backend: all that is in it is here"
            raise InvalidArgument(name="bucket", value=bucket.name, reason=reason)
        await _calm(context)
        asked = BlobPlan(
            request.chunk_bytes, request.workers, request.read_timeout_s, request.latest
        )
        plan = asked.under(context.load)
        context.say(f"{request.origin or 'api-blobdl'} {bucket.name}/{request.key}")
        # What was counted by a worker that died came to nothing.
        context.count(size_bytes=-context.progress.counters.get(BYTES, 0))
        await _until_stopped(context, self._download(context, bucket, request, plan))
        context.count(objects=1)

    async def _download(
        self, context: JobContext, bucket: Bucket, request: BlobRequest, plan: BlobPlan
    ) -> None:
        context.expect(1)

        def progress(info: ObjectInfo, more_bytes: int) -> None:
            context.use_workers(plan.worker_count(info.size_bytes))
            context.count(size_bytes=more_bytes)

        await self.blobs.download(bucket, request.key, plan, progress)


async def _calm(context: JobContext) -> None:
    """Wait while there is no memory for it. Who asks then is refused, but this was asked for before."""
    while context.load.levels.get("memory", Level.LOW) is Level.CRITICAL:
        await context.pause(_CALMER_S)


async def _until_stopped(context: JobContext, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; when the job is to leave off, it is cancelled at once. Raises JobStopped."""
    task = asyncio.create_task(work)
    watch = asyncio.create_task(context.pause(_LONG_S))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            context.check()
        await task
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await watch
