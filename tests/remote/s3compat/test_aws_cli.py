"""tests/s3compat/test_aws_cli.py over remote buckets."""

from tests.s3compat.test_aws_cli import *  # noqa: F403
