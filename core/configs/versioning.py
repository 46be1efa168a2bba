"""Owns whether a bucket keeps versions, and for how long they may not be removed (Object Lock)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.light import light


class Versioning(StrEnum):
    """The state of a bucket; once it left OFF, it never returns there (AWS: Using versioning in S3 buckets)."""

    OFF = ""
    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


class RetentionMode(StrEnum):
    """Who may shorten a retention: those with s3:BypassGovernanceRetention, or nobody."""

    GOVERNANCE = "GOVERNANCE"
    COMPLIANCE = "COMPLIANCE"


@light
@dataclass(frozen=True, slots=True)
class Retention:
    """A version that may not be removed before `until_ns`."""

    mode: RetentionMode
    until_ns: int


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """What a new version gets that asks for nothing itself. Exactly one of `days` and `years` is set."""

    mode: RetentionMode
    days: int = 0
    years: int = 0


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """That versions of a bucket may be locked, and how new ones are by default."""

    default: DefaultRetention | None = None
