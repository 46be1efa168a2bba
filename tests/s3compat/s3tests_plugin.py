"""A pytest plugin for the suite: what it needs to run as it was written. No test's own steps are touched.

Its cleanup lists object versions, which a server without versioning may not serve, and a cleanup that fails would
fail every test: buckets are emptied through ListObjectsV2 here. Its tests of bad headers and expiry times reach into
botocore's own signers; where awscrt is installed (some checksums need it), botocore signs with that, which refuses
such requests before they are sent: the signers are put back.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from botocore import auth


def list_current(client: Any, bucket: str, batch_size: int) -> Iterator[list[dict[str, str]]]:
    """In the place of the suite's list_versions: batches for delete_objects."""
    while True:
        page = client.list_objects_v2(Bucket=bucket, MaxKeys=batch_size)
        found = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
        if not found:
            return
        yield found


def pytest_configure() -> None:
    suite = importlib.import_module("s3tests.functional")
    suite.list_versions = list_current  # type: ignore[attr-defined]
    auth.AUTH_TYPE_MAPS.update(
        {
            "v4": auth.SigV4Auth,
            "v4-query": auth.SigV4QueryAuth,
            "s3v4": auth.S3SigV4Auth,
            "s3v4-query": auth.S3SigV4QueryAuth,
        }
    )
