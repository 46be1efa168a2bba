"""tests/s3compat/test_delete_objects.py over remote buckets."""

from tests.s3compat.test_delete_objects import *  # noqa: F403
