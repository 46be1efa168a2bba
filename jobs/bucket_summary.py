"""Owns the counting of what a bucket holds, for clients that ask for a summary of it: what is here, and where they ask
for that of a bucket that lives elsewhere, what is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from core.control import ControlStore
from core.listing import ListQuery
from core.names import BucketName, BucketRef
from core.types import Bucket
from jobs.lookup import Listed, find_bucket
from jobs.queue import JobContext, OnDemand

SUMMARY_KIND = "summary-bck"
_WITH_REMOTE = "with_remote"


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


@dataclass(frozen=True, slots=True)
class BucketCounts:
    """What is here, and what is at the backend; `there` None until all here is counted, or where nobody asked."""

    here: BucketCount = BucketCount()
    there: BucketCount | None = None

    def text(self) -> str:
        """As a job's cursor."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, cursor: str) -> BucketCounts:
        """From a job's cursor."""
        if not cursor:
            return cls()
        said = json.loads(cursor)
        there = said["there"]
        return cls(BucketCount(**said["here"]), None if there is None else BucketCount(**there))


def summary_arguments(bucket: Bucket, prefix: str, *, with_remote: bool = False) -> dict[str, str]:
    """What a job of this kind is started with. `with_remote`: the objects at the backend are counted too."""
    ref = bucket.ref
    return {
        "provider": ref.provider,
        "namespace": ref.namespace,
        "bucket": ref.name,
        "bucket_id": str(bucket.bucket_id),
        "prefix": prefix,
        **({_WITH_REMOTE: "yes"} if with_remote and bucket.props.backend is not None else {}),
    }


class BucketSummaryJob(OnDemand):
    """A JobKind. Its cursor is the count so far, so no object counts twice whoever goes on with it."""

    name = SUMMARY_KIND

    def __init__(self, here: Listed, there: Listed | None, control: ControlStore) -> None:
        """`there` lists what backends have."""
        self._here = here
        self._there = there
        self._control = control

    async def run(self, context: JobContext) -> None:
        arguments = context.arguments
        name = BucketName(arguments["bucket"])
        ref = BucketRef(name, arguments["provider"], arguments["namespace"])
        bucket = find_bucket(self._control, ref, arguments["bucket_id"])
        context.say(f"bucket {name}, prefix {arguments['prefix']!r}")
        counts = BucketCounts.read(context.cursor)
        if counts.there is None:

            def here(count: BucketCount) -> BucketCounts:
                return BucketCounts(count)

            counts = here(await _counted(context, self._here, bucket, counts.here, here))
        if self._there is None or _WITH_REMOTE not in arguments:
            return

        def there(count: BucketCount) -> BucketCounts:
            return replace(counts, there=count)

        await _counted(context, self._there, bucket, counts.there or BucketCount(), there)


async def _counted(
    context: JobContext,
    store: Listed,
    bucket: Bucket,
    count: BucketCount,
    cursor: Callable[[BucketCount], BucketCounts],
) -> BucketCount:
    while True:
        context.check()
        query = ListQuery(prefix=context.arguments["prefix"], after=count.after)
        page = await store.list_objects(bucket, query)
        sizes = [entry.size_bytes for entry in page.entries]
        count = count.with_page(sizes, page.next_after)
        context.cursor = cursor(count).text()
        context.count(objects=len(sizes), size_bytes=sum(sizes))
        if not page.is_truncated:
            return count
