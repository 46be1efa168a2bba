"""tests/s3compat/test_presigned.py over remote buckets."""

from tests.s3compat.test_presigned import *  # noqa: F403
