"""tests/s3compat/test_rclone.py over remote buckets."""

from tests.s3compat.test_rclone import *  # noqa: F403
