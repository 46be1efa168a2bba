"""tests/s3compat/test_aiobotocore.py over remote buckets."""

from tests.s3compat.test_aiobotocore import *  # noqa: F403
