"""tests/s3compat/test_copy_object.py over remote buckets."""

from tests.s3compat.test_copy_object import *  # noqa: F403
