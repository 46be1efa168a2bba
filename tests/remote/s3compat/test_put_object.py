"""tests/s3compat/test_put_object.py over remote buckets."""

from tests.s3compat.test_put_object import *  # noqa: F403
