"""tests/s3compat/test_obstore.py over remote buckets."""

from tests.s3compat.test_obstore import *  # noqa: F403
