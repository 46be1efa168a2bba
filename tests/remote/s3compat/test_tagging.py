"""tests/s3compat/test_tagging.py over remote buckets."""

from tests.s3compat.test_tagging import *  # noqa: F403
