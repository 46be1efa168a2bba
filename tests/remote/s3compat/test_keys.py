"""tests/s3compat/test_keys.py over remote buckets."""

from tests.s3compat.test_keys import *  # noqa: F403
