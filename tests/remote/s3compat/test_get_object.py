"""tests/s3compat/test_get_object.py over remote buckets."""

from tests.s3compat.test_get_object import *  # noqa: F403
