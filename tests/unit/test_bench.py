"""The measuring programs keep up with what they measure."""

from __future__ import annotations

from bench.__main__ import main
from bench.runner import all_cases


def test_cases_can_be_named() -> None:
    names = [case.name for case in all_cases(100_000)]
    assert len(set(names)) == len(names)
    assert callable(main)
