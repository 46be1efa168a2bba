"""tests/s3compat/test_multipart.py over remote buckets."""

from tests.s3compat.test_multipart import *  # noqa: F403
