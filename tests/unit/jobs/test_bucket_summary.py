"""The counting of buckets: page by page, and over a worker's death no object twice."""

from __future__ import annotations

from jobs.bucket_summary import BucketCount, BucketCounts


def test_count_over_pages_and_deaths() -> None:
    counts = BucketCounts.read("")
    assert counts == BucketCounts()
    counts = BucketCounts(counts.here.with_page([5, 3], "b"), BucketCount(objects=7))
    assert BucketCounts.read(counts.text()) == counts
    count = BucketCounts.read(BucketCounts(counts.here).text()).here
    count = count.with_page([], "b").with_page([7], "")
    assert (count.objects, count.size_bytes, count.min_bytes, count.max_bytes) == (3, 15, 3, 7)


def test_empty_objects_count() -> None:
    count = BucketCount().with_page([0], "").with_page([4], "")
    assert (count.objects, count.min_bytes, count.max_bytes) == (2, 0, 4)
