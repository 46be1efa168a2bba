"""Owns the fixtures of the S3 front's tests."""

from __future__ import annotations

import pytest

from tests.unit.s3api.front import Front


@pytest.fixture
def front() -> Front:
    """A front whose store holds one empty bucket, "bucket", of alice."""
    made = Front()
    assert made("PUT", "/bucket").status == 200
    return made
