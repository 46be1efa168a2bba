"""tests/s3compat/test_checksums.py over remote buckets."""

from tests.s3compat.test_checksums import *  # noqa: F403
