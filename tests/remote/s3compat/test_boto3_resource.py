"""tests/s3compat/test_boto3_resource.py over remote buckets."""

from tests.s3compat.test_boto3_resource import *  # noqa: F403
