"""tests/s3compat/test_minio_py.py over remote buckets."""

from tests.s3compat.test_minio_py import *  # noqa: F403
