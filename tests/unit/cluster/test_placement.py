"""Rendezvous placement: even, stable, and moving no more than it must."""

from __future__ import annotations

from collections import Counter

from cluster.placement import HrwPlacement

MEMBERS = ["a" * 32, "b" * 32, "c" * 32, "d" * 32]
KEYS = [b"key/%d" % number for number in range(4000)]


def placed(members: list[str]) -> list[str]:
    placement = HrwPlacement(members)
    return [members[placement.mountpath_index(7, key)] for key in KEYS]


def test_is_even() -> None:
    counts = Counter(placed(MEMBERS))
    assert set(counts) == set(MEMBERS)
    assert max(counts.values()) < 1.15 * len(KEYS) / len(MEMBERS)


def test_depends_on_names_and_not_on_their_order() -> None:
    assert placed(MEMBERS) == placed(MEMBERS[::-1])


def test_a_new_member_takes_and_moves_nothing_else() -> None:
    before, after = placed(MEMBERS[:3]), placed(MEMBERS)
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {MEMBERS[3]}
    assert 0.2 < len(moved) / len(KEYS) < 0.3


def test_is_fixed_for_ever() -> None:
    """Stored objects are found by it: these positions may never change."""
    placement = HrwPlacement(MEMBERS)
    found = [placement.mountpath_index(1, b"key-%d" % n) for n in range(12)]
    assert found == [2, 3, 2, 3, 3, 2, 0, 1, 0, 1, 2, 1]
