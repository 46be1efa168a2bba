"""tests/s3compat/test_list_objects.py over remote buckets."""

from tests.s3compat.test_list_objects import *  # noqa: F403
