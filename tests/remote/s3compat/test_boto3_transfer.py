"""tests/s3compat/test_boto3_transfer.py over remote buckets."""

from tests.s3compat.test_boto3_transfer import *  # noqa: F403
