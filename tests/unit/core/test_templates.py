"""Templates: which names they make, and that a name is recognized exactly if they make it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidArgument
from core.templates import NumberRange, Template, parse_template


def names(text: str) -> list[str]:
    template = parse_template(text)
    return [template.name(index) for index in range(template.count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("obj-{07..10}", ["obj-07", "obj-08", "obj-09", "obj-10"]),
        ("d-{0..1}/o-{07..08}.x", ["d-0/o-07.x", "d-0/o-08.x", "d-1/o-07.x", "d-1/o-08.x"]),
        ("p-{00001..00010..4}-s", ["p-00001-s", "p-00005-s", "p-00009-s"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{5..5}", ["5"]),
        ("p-@2-s", ["p-0-s", "p-1-s", "p-2-s"]),
        ("p-@01-@1", ["p-00-0", "p-00-1", "p-01-0", "p-01-1"]),
    ],
)
def test_names(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_format_style_counts_without_end() -> None:
    template = parse_template("p-%06d-s")
    assert template.name(0) == "p-000000-s"
    assert template.name(1234567) == "p-1234567-s"
    assert template.matches("p-000012-s")
    assert not template.matches("p-12-s")
    assert template.count > 10**17


@pytest.mark.parametrize("text", ["", "dir/", "a{b}c", "100%", "me@home", "{1.2}"])
def test_text_without_ranges_is_a_prefix(text: str) -> None:
    template = parse_template(text)
    assert template.is_prefix
    assert template.matches(f"{text}x")
    assert text == "" or not template.matches("-")


@pytest.mark.parametrize(
    "text",
    [
        "{a..b}",
        "{1..}",
        "{..3}",
        "{5..1}",
        "{1..5..0}",
        "{1..5..-1}",
        "x{-3..3}",
        "{1..9999999999999999999}",
        "%0999999d",
        "%099999999999999999999999999d",
        "@9999999999999999999",
        "{0..9}" * 17,
        "x" * 5000,
    ],
)
def test_bad_templates_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_template(text)


def test_hostile_templates_cost_nothing() -> None:
    template = parse_template("{0..999999999999999999}" * 16)
    assert template.count == 10 ** (18 * 16)
    assert template.name(10**100)
    assert template.matches("1" * 100)
    assert not template.matches("1" * 100 + "x")


_LITERALS = st.text("a-0/{", max_size=2)


@st.composite
def _templates(draw: st.DrawFn) -> Template:
    ranges = []
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, 12))
        last = first + draw(st.integers(0, 12))
        ranges.append(
            NumberRange(first, last, draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 2, 3])))
        )
    return Template([draw(_LITERALS) for _ in range(len(ranges) + 1)], ranges)


@given(template=_templates(), data=st.data())
def test_matches_what_it_names_and_nothing_else(template: Template, data: st.DataObject) -> None:
    made = {template.name(index) for index in range(template.count)}
    assert all(template.matches(name) for name in made)
    name = data.draw(st.sampled_from(sorted(made)), label="name")
    at = data.draw(st.integers(0, len(name)), label="at")
    changed = data.draw(
        st.sampled_from(["", *"0123456789a-"]).map(lambda c: name[:at] + c + name[at + 1 :])
    )
    assert template.matches(changed) is (changed in made)


@given(text=st.text("{}.@%0d19a", max_size=20))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        template = parse_template(text)
    except InvalidArgument:
        return
    if not template.is_prefix:
        assert template.matches(template.name(0))
        assert template.matches(template.name(template.count - 1))
