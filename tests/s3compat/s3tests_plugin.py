"""A pytest plugin for the suite: what it needs to run as it was written. No test's own steps are touched.

Its tests of bad headers and expiry times reach into botocore's own signers; where awscrt is installed (some checksums
need it), botocore signs with that, which refuses such requests before they are sent: the signers are put back.
"""

from __future__ import annotations

from botocore import auth


def pytest_configure() -> None:
    auth.AUTH_TYPE_MAPS.update(
        {
            "v4": auth.SigV4Auth,
            "v4-query": auth.SigV4QueryAuth,
            "s3v4": auth.S3SigV4Auth,
            "s3v4-query": auth.S3SigV4QueryAuth,
        }
    )
