"""Patterns from outside: they find what Python's engine finds, in linear time, or are refused."""

from __future__ import annotations

import re
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidArgument
from core.patterns import compile_pattern

TEXTS = [
    "",
    "a",
    "ab",
    "abc",
    "file1.txt",
    "dir/file22.cls",
    "AbC",
    "a b",
    "x-y_z.9",
    "ü/你好",
    "aaaa",
]


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "^a$",
        ".*",
        r"\.txt$",
        r"^file\d+\.(txt|cls)$",
        r"file[0-9]{2,}\.",
        "(?i)ABC",
        "(?:a|b)+c?",
        "(?P<name>a)(b*)",
        "[^a-c]+$",
        "[]a]",
        "[a-]",
        r"[\d\-_.]+",
        r"\bfile",
        r"e\B\d",
        "^(a|ab)(c|bcd)*$",
        r"\x61\x{62}",
        "a{2}",
        "a{0,1}b{1}",
        "a*?b",
        "x{a}",
        "(a*)*$",
        "(|a)+$",
        "a||b",
        r"\A.\z",
        r"[[:alpha:]]+\d",
        "[a&&b~~|]",
        r"(?s)^.{3}$",
    ],
)
def test_what_is_found(pattern: str) -> None:
    found = compile_pattern(pattern)
    theirs = (
        pattern.replace(r"\x{62}", "b").replace(r"\z", r"\Z").replace("[[:alpha:]]", "[A-Za-z]")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = re.compile(theirs)
    for text in TEXTS:
        assert found(text) == bool(expected.search(text)), text


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "a)",
        "[",
        "[a",
        "[b-a]",
        "*",
        "a**",
        "a{2}{3}",
        "a*+",
        "a{3,2}",
        "(?=a)",
        "(?<!a)b",
        r"(a)\1",
        r"\pL",
        "\\",
        r"\x{110000}",
        r"\xz",
        "(?",
        "[[:odd:]]",
        "a" * 1001,
        "(" * 60 + ")" * 60,
        "((a{100}){100}){100}",
        "(((((){1000}){1000}){1000}){1000}){1000}",
        "(a|b){0,9999}",
    ],
)
def test_refusals(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*$",
        "(a*)*b",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "a?" * 100 + "a" * 100,
        ".*.*.*.*.*.*=.*",
        "(.*)(.*)(.*)(.*)(.*)[0]",
        "(x+x+)+y",
        "a*a*a*a*a*a*a*b",
        ".*b",
    ],
)
def test_what_makes_others_explode(pattern: str) -> None:
    found = compile_pattern(pattern)
    started = time.process_time()
    for text in ("a" * 90 + "!", "a" * 1000 + "!", "x" * 4096):
        found(text)
    assert time.process_time() - started < 5


@given(
    st.lists(
        st.sampled_from(
            ["a", "b", ".", "[ab]", "[^a]", "(", ")", "|", "*", "+", "?", "^", "$", "{2}"]
        ),
        max_size=10,
    ).map("".join),
    st.lists(st.text("ab\n", max_size=8), max_size=5),
)
def test_agrees_with_python(pattern: str, texts: list[str]) -> None:
    try:
        found = compile_pattern(pattern)
    except InvalidArgument:
        return
    try:
        # A $ of ours is the end, not a newline before it.
        expected = re.compile(pattern.replace("$", r"\Z"))
    except re.error:
        return
    for text in texts:
        assert found(text) == bool(expected.search(text))


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        compile_pattern(pattern)("text")
    except InvalidArgument:
        pass
