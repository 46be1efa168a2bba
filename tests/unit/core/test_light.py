"""Values of the hot path behave as frozen dataclasses do, but for refusing assignment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from core.light import light


@light
@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    size: int = 3
    tags: dict[str, str] = field(default_factory=dict)


@light
@dataclass(frozen=True, slots=True)
class Key:
    name: str
    number: int = 0


def test_construction_by_position_keyword_and_default() -> None:
    assert Sample("a") == Sample(name="a", size=3, tags={})
    assert Sample("a").tags is not Sample("a").tags
    assert repr(Key("a", 2)) == "Key(name='a', number=2)"


def test_values_hash_and_compare() -> None:
    assert {Key("a"): 1}[Key("a")] == 1
    assert Key("a") != Key("b")
    assert replace(Key("a"), number=5) == Key("a", 5)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(TypeError):
        Sample()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Key("a").other = 1  # type: ignore[attr-defined]
