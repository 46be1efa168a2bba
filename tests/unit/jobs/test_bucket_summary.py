"""The counting of buckets: page by page, and over a worker's death no object twice."""

from __future__ import annotations

import json

from jobs.bucket_summary import BucketCount


def test_count_over_pages_and_deaths() -> None:
    count = BucketCount.read("")
    assert count == BucketCount()
    count = count.with_page([5, 3], "b")
    count = BucketCount.read(json.dumps({name: getattr(count, name) for name in count.__slots__}))
    count = count.with_page([], "b").with_page([7], "")
    assert (count.objects, count.size_bytes, count.min_bytes, count.max_bytes) == (3, 15, 3, 7)


def test_empty_objects_count() -> None:
    count = BucketCount().with_page([0], "").with_page([4], "")
    assert (count.objects, count.min_bytes, count.max_bytes) == (2, 0, 4)
