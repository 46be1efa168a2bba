"""Owns the job that rewrites the objects of a bucket to the layout that its settings ask for, or others that it was
given: into pieces, or into one file each.

Objects stay readable, and are the same to all who look; what is written meanwhile wins. The job goes through every
version, goes on from its cursor, and leaves alone what lies as it should, so that doing a piece twice costs a look.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass

from core.chunks import ChunkRule, chunk_rule, made_rule
from core.errors import (
    CustomerKeyRequired,
    Invalid,
    NotFound,
    PreconditionFailed,
    StoreError,
    Unavailable,
)
from core.job_table import BUCKET, parse_ref, ref_text
from core.listing import VersionListQuery
from core.names import ObjectKey
from core.nodes import Rechunks
from core.protocols import ObjectStore
from core.types import Bucket, ObjectInfo
from jobs.lookup import Buckets, find_bucket
from jobs.parallel import work_through
from jobs.queue import JobContext, OnDemand

logger = logging.getLogger(__name__)

RECHUNK = "rechunk"
BUCKET_ID = "bucket_id"
_OPTIONS = "options"
_PAGE = 500
_WORKERS = 2


Resend = Callable[[Bucket, ObjectKey], Awaitable[bool]]
"""Sends an object that is here to its bucket's backend again; whether it was there as it is here."""


@dataclass(frozen=True, slots=True)
class RechunkOptions:
    """`limit_bytes` and `chunk_bytes` None: as the bucket's settings say when the job gets to it. `syncs_remote`: what
    was cut anew is sent to the bucket's backend again, in parts as it lies here."""

    prefix: str = ""
    limit_bytes: int | None = None
    chunk_bytes: int | None = None
    syncs_remote: bool = False

    def rule(self, bucket: Bucket) -> ChunkRule:
        """The layout that objects are to have."""
        own = chunk_rule(bucket.props.native)
        limit = own.limit_bytes if self.limit_bytes is None else self.limit_bytes
        return made_rule(limit, self.chunk_bytes or own.chunk_bytes)


def rechunk_arguments(bucket: Bucket, options: RechunkOptions) -> Mapping[str, str]:
    """What a job of this kind is started with."""
    return {
        BUCKET: ref_text(bucket.ref),
        BUCKET_ID: str(bucket.bucket_id),
        _OPTIONS: json.dumps(asdict(options)),
    }


@dataclass(frozen=True, slots=True)
class RechunkJob(OnDemand):
    """A JobKind. `store` is what is here, whatever the bucket."""

    store: ObjectStore
    node: Rechunks
    control: Buckets
    resend: Resend | None = None

    name = RECHUNK

    async def run(self, context: JobContext) -> None:
        arguments = context.arguments
        options = RechunkOptions(**json.loads(arguments.get(_OPTIONS, "{}")))
        ref = parse_ref(arguments[BUCKET])
        bucket = find_bucket(self.control, ref, arguments.get(BUCKET_ID, ""))
        rule = options.rule(bucket)
        cut = f"from {rule.limit_bytes} bytes on in pieces of {rule.chunk_bytes}"
        context.say(f"bucket {bucket.name}, prefix {options.prefix!r}: {cut}")

        syncs = options.syncs_remote and bucket.props.backend is not None

        async def one(info: ObjectInfo) -> None:
            if await self._one(context, bucket, info, rule) and syncs:
                await self._send(context, bucket, info)

        await work_through(
            context, _versions(self.store, bucket, options.prefix, context), one, workers=_WORKERS
        )

    async def _one(
        self, context: JobContext, bucket: Bucket, info: ObjectInfo, rule: ChunkRule
    ) -> bool:
        """Whether it was cut. Out of space, or a disk that is not there, ends the job; what is wrong with one object
        does not."""
        if info.is_delete_marker:
            return False
        try:
            was_done = await self.node.rechunk(bucket, info.key, info.version_id, rule)
        except NotFound:
            return False
        except (CustomerKeyRequired, Invalid, PreconditionFailed) as error:
            logger.info("job %s leaves %r as it is: %r", context.job_id, info.key, error)
            context.count(skipped_objects=1)
        except Unavailable:
            raise
        except StoreError as error:
            logger.warning("job %s: %r failed: %r", context.job_id, info.key, error)
            context.count(failed_objects=1)
        else:
            if was_done:
                context.count(objects=1, size_bytes=info.size_bytes)
            else:
                context.count(skipped_objects=1)
            return was_done
        return False

    async def _send(self, context: JobContext, bucket: Bucket, info: ObjectInfo) -> None:
        """A backend that does not take one object does not end the job."""
        if self.resend is None:
            return
        try:
            if await self.resend(bucket, info.key):
                context.count(sent_objects=1)
        except StoreError as error:
            logger.warning("job %s: %r was not sent: %r", context.job_id, info.key, error)
            context.count(failed_objects=1)


async def _versions(
    store: ObjectStore, bucket: Bucket, prefix: str, context: JobContext
) -> AsyncIterator[tuple[str, ObjectInfo]]:
    """All versions from the cursor on, each with the cursor behind it."""
    key, version_id = json.loads(context.cursor) if context.cursor else ("", "")
    while True:
        page = await store.list_versions(
            bucket, VersionListQuery(prefix, "", key, version_id, _PAGE)
        )
        for each in page.versions:
            yield json.dumps((each.info.key, each.info.version_id)), each.info
        if not page.is_truncated:
            return
        key, version_id = page.next_key_marker, page.next_version_id_marker
