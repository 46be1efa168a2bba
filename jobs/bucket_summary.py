"""Owns the counting of what a bucket holds, for clients that ask for a summary of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from core.control import ControlStore
from core.listing import ListQuery
from core.names import BucketName, BucketRef
from core.types import Bucket
from jobs.lookup import Listed, find_bucket
from jobs.queue import JobContext, OnDemand

SUMMARY_KIND = "summary-bck"


@dataclass(frozen=True, slots=True)
class BucketCount:
    """What was counted, of the keys up to `after`."""

    after: str = ""
    objects: int = 0
    size_bytes: int = 0
    min_bytes: int = 0
    max_bytes: int = 0

    def with_page(self, sizes: list[int], after: str) -> BucketCount:
        """Further objects of these sizes."""
        if not sizes:
            return BucketCount(after, self.objects, self.size_bytes, self.min_bytes, self.max_bytes)
        smallest = min(sizes)
        return BucketCount(
            after,
            self.objects + len(sizes),
            self.size_bytes + sum(sizes),
            min(self.min_bytes, smallest) if self.objects else smallest,
            max(self.max_bytes, *sizes),
        )

    @classmethod
    def read(cls, cursor: str) -> BucketCount:
        """From a job's cursor."""
        return cls(**json.loads(cursor)) if cursor else cls()


def summary_arguments(bucket: Bucket, prefix: str) -> dict[str, str]:
    """What a job of this kind is started with."""
    ref = bucket.ref
    return {
        "provider": ref.provider,
        "namespace": ref.namespace,
        "bucket": ref.name,
        "bucket_id": str(bucket.bucket_id),
        "prefix": prefix,
    }


class BucketSummaryJob(OnDemand):
    """A JobKind. Its cursor is the count so far, so no object counts twice whoever goes on with it."""

    name = SUMMARY_KIND

    def __init__(self, store: Listed, control: ControlStore) -> None:
        self._store = store
        self._control = control

    async def run(self, context: JobContext) -> None:
        arguments = context.arguments
        name = BucketName(arguments["bucket"])
        ref = BucketRef(name, arguments["provider"], arguments["namespace"])
        bucket = find_bucket(self._control, ref, arguments["bucket_id"])
        prefix = arguments["prefix"]
        context.say(f"bucket {name}, prefix {prefix!r}")
        count = BucketCount.read(context.cursor)
        while True:
            context.check()
            query = ListQuery(prefix=prefix, after=count.after)
            page = await self._store.list_objects(bucket, query)
            sizes = [entry.size_bytes for entry in page.entries]
            count = count.with_page(sizes, page.next_after)
            context.cursor = json.dumps(asdict(count))
            context.count(objects=len(sizes), size_bytes=sum(sizes))
            if not page.is_truncated:
                return
