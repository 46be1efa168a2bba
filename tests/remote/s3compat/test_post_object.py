"""tests/s3compat/test_post_object.py over remote buckets."""

from tests.s3compat.test_post_object import *  # noqa: F403
