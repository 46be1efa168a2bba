"""tests/s3compat/test_restic.py over remote buckets."""

from tests.s3compat.test_restic import *  # noqa: F403
