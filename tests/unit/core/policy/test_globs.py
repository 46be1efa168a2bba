"""Patterns: wildcards, variables, and that none of them can be made slow."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedPolicy
from core.policy.globs import glob_matches, normal_key, parse_pattern

VALUES = {"aws:username": ["al*ce"], "s3:prefix": ["a", "b"], "aws:userid": []}


def values(key: str) -> Sequence[str] | None:
    return VALUES.get(key)


@given(st.text("ab*?", max_size=12), st.text("abc", max_size=12))
def test_as_a_regular_expression(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(each, each) for each in pattern)
    assert glob_matches(pattern, text) == bool(re.fullmatch(expression, text, re.DOTALL))


@pytest.mark.parametrize(
    "pattern", ["*a" * 5000, "*a?" * 3000, "a*" * 5000 + "b", "?" * 9000 + "*"]
)
def test_hostile_patterns_are_quick(pattern: str) -> None:
    started = time.process_time()
    assert not glob_matches(pattern, "a" * 1023 + "c")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("home/${aws:username}/*", "home/al*ce/x", True),
        ("home/${aws:username}/*", "home/alice/x", False),
        ("home/${aws:UserName}/*", "home/al*ce/x", True),
        ("home/${aws:username, 'nobody'}", "home/al*ce", True),
        ("home/${aws:sourceip, 'nobody'}", "home/nobody", True),
        ("home/${aws:sourceip}", "home/", False),
        ("home/${aws:userid}", "home/", False),
        ("home/${s3:prefix}", "home/a", False),
        ("${*}${?}${$}", "*?$", True),
        ("${*}", "x", False),
        ("$", "$", True),
        ("${", "${", True),
    ],
)
def test_variables(pattern: str, text: str, expected: bool) -> None:
    assert parse_pattern(pattern).matches(text, values) is expected


def test_variables_of_the_old_version_are_text() -> None:
    assert parse_pattern("${aws:username}", variables=False).matches("${aws:username}", values)


@pytest.mark.parametrize("pattern", ["${}", "${a b}", "${a,b}", "${ }"])
def test_malformed_variables(pattern: str) -> None:
    with pytest.raises(MalformedPolicy):
        parse_pattern(pattern)


def test_blanks_in_variables_are_not_slow() -> None:
    began = time.process_time()
    with pytest.raises(MalformedPolicy):
        parse_pattern("${a" + " " * 19_000 + "b}")
    assert time.process_time() - began < 0.5
    assert parse_pattern("${ aws:username , 'x' }").matches("al*ce", values)


def test_only_tag_keys_have_case() -> None:
    assert normal_key("S3:ExistingObjectTag/Level/X") == "s3:existingobjecttag/Level/X"
