"""Owns the names of objects that adapters get wrong."""

from __future__ import annotations

ODD_NAMES = [
    "a b",
    " leading and trailing ",
    "a+b",
    "100%",
    "%41%2F",
    "a?b=c&d",
    "a#b",
    "quote\"'<>&",
    "back\\slash",
    "semi;colon:at@comma,",
    "(paren)[bracket]{brace}*!~^`|$=",
    "ü/é/é",
    "日本語/🦆",
    "..",
    "../up",
    "a/../b",
    "a/./b",
    "a//b",
    "/leading",
    "dir/",
    "k" * 1024,
    "ü" * 512,
]
"""é is here twice: as one character, and as two that look the same."""
