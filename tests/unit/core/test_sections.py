"""Single bucket properties, as they are read where they count."""

from __future__ import annotations

import pytest

from core.configs.native import NativeProps
from core.configs.sections import (
    is_on,
    number,
    parse_duration,
    parse_size,
    seconds,
    size_bytes,
    text,
)

SET = NativeProps(
    sections={
        "versioning.validate_warm_get": "true",
        "lru.batch_size": "7",
        "chunks.chunk_size": '"4MiB"',
        "chunks.objsize_limit": "1024",
        "lru.dont_evict_time": '"1h30m"',
        "extra.aws.profile": '"team"',
        "broken": "{",
    }
)


def test_what_is_set_is_read_in_its_unit() -> None:
    assert is_on(SET, "versioning.validate_warm_get")
    assert number(SET, "lru.batch_size") == 7
    assert size_bytes(SET, "chunks.chunk_size") == 4 * 1024**2
    assert size_bytes(SET, "chunks.objsize_limit") == 1024
    assert seconds(SET, "lru.dont_evict_time") == 5400
    assert text(SET, "extra.aws.profile") == "team"


def test_what_is_not_set_or_not_readable_has_its_default() -> None:
    assert is_on(SET, "lru.enabled", True)
    assert number(SET, "broken", 3) == 3
    assert text(SET, "lru.batch_size", "none") == "none"
    assert size_bytes(NativeProps(), "chunks.chunk_size", 5) == 5


@pytest.mark.parametrize(
    ("written", "size"),
    [("512", 512), ("1KB", 1024), ("1.5k", 1536), ("2 GiB", 2 * 1024**3), ("x", 9), ("-1", 9)],
)
def test_sizes(written: str, size: int) -> None:
    assert parse_size(written, 9) == size


@pytest.mark.parametrize(
    ("written", "time_s"), [("0", 0.0), ("10m", 600.0), ("1h1ms", 3600.001), ("5", 9.0), ("", 9.0)]
)
def test_durations(written: str, time_s: float) -> None:
    assert parse_duration(written, 9.0) == time_s
