"""tests/s3compat/test_s3cmd.py over remote buckets."""

from tests.s3compat.test_s3cmd import *  # noqa: F403
