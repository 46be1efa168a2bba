"""Messages that ask for batches: the quick way sees what the careful one sees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.native.batch_message import _are_plain_names, _is_plain_name

NAMES = st.text(st.sampled_from("ab./~\n\0é"), max_size=6) | st.text(max_size=4)


@given(st.lists(NAMES, max_size=4))
def test_names_are_plain_together_if_each_is(names: list[str]) -> None:
    has_breaks = any("\n" in name for name in names)
    assert _are_plain_names(names) == (not has_breaks and all(map(_is_plain_name, names)))


def test_a_name_is_not_too_long() -> None:
    assert _are_plain_names(["a" * 1024])
    assert not _are_plain_names(["b", "a" * 1025])
