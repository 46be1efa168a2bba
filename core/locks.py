"""Owns the rules of Object Lock: when a version may be removed, and how its retention may change. Pure.

Source: AWS, Locking objects with Object Lock (retention modes, legal holds, bypassing governance).
"""

from __future__ import annotations

from datetime import UTC, datetime

from core.configs.versioning import ObjectLock, Retention, RetentionMode
from core.errors import ObjectLocked
from core.types import ObjectAttributes

_NS_PER_S = 10**9
_NS_PER_DAY = 86_400 * _NS_PER_S


def check_removable(attributes: ObjectAttributes, now_ns: int, *, bypass_governance: bool) -> None:
    """Raises ObjectLocked while a legal hold or a retention keeps the version. The bypass overcomes GOVERNANCE only."""
    if attributes.legal_hold:
        raise ObjectLocked(reason="legal hold")
    kept = attributes.retention
    if kept is None or kept.until_ns <= now_ns:
        return
    if kept.mode is RetentionMode.COMPLIANCE or not bypass_governance:
        raise ObjectLocked(reason=f"{kept.mode} retention")


def check_retention_change(
    old: Retention | None, new: Retention | None, now_ns: int, *, bypass_governance: bool
) -> None:
    """Raises ObjectLocked for a change that loosens a retention in force; one of the same mode may always grow."""
    if old is None or old.until_ns <= now_ns:
        return
    if new is not None and new.mode is old.mode and new.until_ns >= old.until_ns:
        return
    if old.mode is RetentionMode.COMPLIANCE or not bypass_governance:
        raise ObjectLocked(reason=f"{old.mode} retention")


def default_retention(lock: ObjectLock | None, now_ns: int) -> Retention | None:
    """What a version written now gets from its bucket, if it asks for nothing itself."""
    if lock is None or lock.default is None:
        return None
    default = lock.default
    if default.days:
        return Retention(default.mode, now_ns + default.days * _NS_PER_DAY)
    return Retention(default.mode, _years_later(now_ns, default.years))


def _years_later(now_ns: int, years: int) -> int:
    now_s, fraction_ns = divmod(now_ns, _NS_PER_S)
    now = datetime.fromtimestamp(now_s, UTC)
    try:
        later = now.replace(year=now.year + years)
    except ValueError:
        # The 29th of February of a year that has none.
        later = now.replace(year=now.year + years, month=3, day=1)
    return int(later.timestamp()) * _NS_PER_S + fraction_ns
