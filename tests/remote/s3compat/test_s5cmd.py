"""tests/s3compat/test_s5cmd.py over remote buckets."""

from tests.s3compat.test_s5cmd import *  # noqa: F403
