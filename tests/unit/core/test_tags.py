"""Tags: what AWS allows in them, and how many."""

from __future__ import annotations

import pytest

from core.errors import InvalidArgument, InvalidTag, TooManyTags
from core.tags import bucket_tags, object_tags, parse_tagging


def test_tags_come_in_order_of_keys() -> None:
    assert list(object_tags([("b", "1"), ("a", ""), ("B", "2")]).items()) == [
        ("B", "2"),
        ("a", ""),
        ("b", "1"),
    ]


@pytest.mark.parametrize(
    "text", ["aZ0 9", "+-=._:/@", "\u00fc\u4e16\u3000", "k" * 128, "\U0001d7d8"]
)
def test_allowed(text: str) -> None:
    assert object_tags([(text, text)]) == {text: text}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("", "v", "The TagKey you have provided is invalid"),
        ("k" * 129, "v", "The TagKey you have provided is invalid"),
        ("a\n", "v", "The TagKey you have provided is invalid"),
        ("a?", "v", "The TagKey you have provided is invalid"),
        ("k", "v" * 257, "The TagValue you have provided is invalid"),
        ("k", "<", "The TagValue you have provided is invalid"),
        ("k", "\ud800", "The TagValue you have provided is invalid"),
        ("aws:x", "v", "System tags cannot be added/updated by requester"),
        ("AWS:x", "v", "System tags cannot be added/updated by requester"),
    ],
)
def test_refused(key: str, value: str, reason: str) -> None:
    for tags in (object_tags, bucket_tags):
        with pytest.raises(InvalidTag) as caught:
            tags([(key, value)])
        assert caught.value.reason == reason


def test_keys_are_unique() -> None:
    with pytest.raises(InvalidTag):
        object_tags([("a", "1"), ("a", "2")])


def test_counts() -> None:
    pairs = [(f"k{number}", "") for number in range(51)]
    assert len(object_tags(pairs[:10])) == 10
    assert len(bucket_tags(pairs[:50])) == 50
    with pytest.raises(InvalidTag):
        object_tags(pairs[:11])
    with pytest.raises(TooManyTags):
        bucket_tags(pairs)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", {}),
        ("foo=bar&bar", {"bar": "", "foo": "bar"}),
        ("a=b=c", {"a": "b=c"}),
        ("a+b=%2B", {"a b": "+"}),
        ("%C3%BC=1", {"\u00fc": "1"}),
        ("\u00c3\u00bc=1", {"\u00fc": "1"}),
    ],
)
def test_parse_tagging(text: str, tags: dict[str, str]) -> None:
    assert parse_tagging(text) == tags


@pytest.mark.parametrize("text", ["&", "a=1&a=2", "%FF=1", "a=%E2%82"])
def test_parse_tagging_refuses_what_is_no_form_data(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_tagging(text)


@pytest.mark.parametrize("text", ["a=1&", "=v", "a=%00", "\u00ff=1"])
def test_parse_tagging_refuses_bad_tags(text: str) -> None:
    with pytest.raises(InvalidTag):
        parse_tagging(text)
