"""tests/s3compat/test_pyarrow.py over remote buckets."""

from tests.s3compat.test_pyarrow import *  # noqa: F403
