"""When a version may be removed, and how its retention may change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.configs.versioning import DefaultRetention, ObjectLock, Retention, RetentionMode
from core.errors import ObjectLocked
from core.locks import check_removable, check_retention_change, default_retention
from core.types import ObjectAttributes

NOW = 1_700_000_000 * 10**9
DAY = 86_400 * 10**9
GOVERNANCE = RetentionMode.GOVERNANCE
COMPLIANCE = RetentionMode.COMPLIANCE


@pytest.mark.parametrize("bypasses", [False, True])
@pytest.mark.parametrize("until_ns", [NOW - 1, NOW])
@pytest.mark.parametrize("mode", [GOVERNANCE, COMPLIANCE])
def test_a_retention_that_is_over_keeps_nothing(
    mode: RetentionMode, until_ns: int, bypasses: bool
) -> None:
    attributes = ObjectAttributes(retention=Retention(mode, until_ns))
    check_removable(attributes, NOW, bypass_governance=bypasses)


def test_what_was_never_locked_is_removable() -> None:
    check_removable(ObjectAttributes(), NOW, bypass_governance=False)


def test_governance_yields_to_the_bypass_alone() -> None:
    attributes = ObjectAttributes(retention=Retention(GOVERNANCE, NOW + 1))
    with pytest.raises(ObjectLocked):
        check_removable(attributes, NOW, bypass_governance=False)
    check_removable(attributes, NOW, bypass_governance=True)


@pytest.mark.parametrize("bypasses", [False, True])
@pytest.mark.parametrize(
    "attributes",
    [
        ObjectAttributes(retention=Retention(COMPLIANCE, NOW + 1)),
        ObjectAttributes(legal_hold=True),
        ObjectAttributes(legal_hold=True, retention=Retention(GOVERNANCE, NOW + 1)),
        ObjectAttributes(legal_hold=True, retention=Retention(COMPLIANCE, NOW - 1)),
    ],
)
def test_compliance_and_legal_holds_yield_to_nothing(
    attributes: ObjectAttributes, bypasses: bool
) -> None:
    with pytest.raises(ObjectLocked):
        check_removable(attributes, NOW, bypass_governance=bypasses)


OLD_NS, LONGER_NS, SHORTER_NS = NOW + 2 * DAY, NOW + 3 * DAY, NOW + DAY


@pytest.mark.parametrize(
    ("mode", "new", "without", "bypassing"),
    [
        (GOVERNANCE, Retention(GOVERNANCE, LONGER_NS), True, True),
        (GOVERNANCE, Retention(GOVERNANCE, OLD_NS), True, True),
        (GOVERNANCE, Retention(GOVERNANCE, SHORTER_NS), False, True),
        (GOVERNANCE, Retention(COMPLIANCE, LONGER_NS), False, True),
        (GOVERNANCE, Retention(COMPLIANCE, OLD_NS), False, True),
        (GOVERNANCE, None, False, True),
        (COMPLIANCE, Retention(COMPLIANCE, LONGER_NS), True, True),
        (COMPLIANCE, Retention(COMPLIANCE, OLD_NS), True, True),
        (COMPLIANCE, Retention(COMPLIANCE, SHORTER_NS), False, False),
        (COMPLIANCE, Retention(GOVERNANCE, LONGER_NS), False, False),
        (COMPLIANCE, None, False, False),
    ],
)
def test_changes_of_a_retention_in_force(
    mode: RetentionMode, new: Retention | None, without: bool, bypassing: bool
) -> None:
    old = Retention(mode, OLD_NS)
    assert _may_change(old, new, bypasses=False) is without
    assert _may_change(old, new, bypasses=True) is bypassing


@pytest.mark.parametrize("old", [None, Retention(COMPLIANCE, NOW), Retention(GOVERNANCE, NOW)])
@pytest.mark.parametrize("new", [None, Retention(COMPLIANCE, SHORTER_NS), Retention(GOVERNANCE, 1)])
def test_without_a_retention_in_force_anything_may_come(
    old: Retention | None, new: Retention | None
) -> None:
    assert _may_change(old, new, bypasses=False)


def _may_change(old: Retention | None, new: Retention | None, *, bypasses: bool) -> bool:
    try:
        check_retention_change(old, new, NOW, bypass_governance=bypasses)
    except ObjectLocked:
        return False
    return True


def test_default_retention() -> None:
    assert default_retention(None, NOW) is None
    assert default_retention(ObjectLock(), NOW) is None
    of_days = ObjectLock(DefaultRetention(GOVERNANCE, days=3))
    assert default_retention(of_days, NOW + 7) == Retention(GOVERNANCE, NOW + 3 * DAY + 7)


@pytest.mark.parametrize(
    ("written", "years", "until"),
    [
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), 1, datetime(2024, 11, 14, 22, 13, 20)),
        (datetime(2024, 2, 29, 1, tzinfo=UTC), 4, datetime(2028, 2, 29, 1)),
        (datetime(2024, 2, 29, 1, tzinfo=UTC), 1, datetime(2025, 3, 1, 1)),
        (datetime(2024, 2, 29, 1, tzinfo=UTC), 100, datetime(2124, 2, 29, 1)),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), 2, datetime(2028, 12, 31, 23, 59, 59)),
    ],
)
def test_default_retention_of_years_ends_on_the_same_day(
    written: datetime, years: int, until: datetime
) -> None:
    written_ns = int(written.timestamp()) * 10**9 + 123_456_789
    until_ns = int(until.replace(tzinfo=UTC).timestamp()) * 10**9 + 123_456_789
    lock = ObjectLock(DefaultRetention(COMPLIANCE, years=years))
    assert default_retention(lock, written_ns) == Retention(COMPLIANCE, until_ns)
