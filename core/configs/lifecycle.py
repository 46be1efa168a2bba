"""Owns the lifecycle rules of a bucket: which objects each rule names, and what shall become of them, when.

A rule keeps the form in which it was put, so that it is shown in the same. What the rules come to for an object is
core.lifecycle's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FilterForm(StrEnum):
    """How a rule said which objects it names: a prefix of its own (the older form), or a Filter with one condition or
    several under And."""

    PREFIX = "Prefix"
    FILTER = "Filter"
    AND = "And"


class MinimumTransition(StrEnum):
    """How small an object may be to change its class, where a rule does not filter by size
    (x-amz-transition-default-minimum-object-size)."""

    ALL_CLASSES = "all_storage_classes_128K"
    BY_CLASS = "varies_by_storage_class"


@dataclass(frozen=True, slots=True)
class LifecycleFilter:
    """The objects that a rule names: those that meet every condition that is set. `prefix` None: none was given."""

    form: FilterForm = FilterForm.FILTER
    prefix: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    larger_than_bytes: int | None = None
    smaller_than_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Expiration:
    """Of the current version. Exactly one is set: the `days` since it was made, a date, or whether a delete marker
    with nothing under it goes (`removes_markers`)."""

    days: int | None = None
    date_ns: int | None = None
    removes_markers: bool | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """Of the current version, to another storage class. Either `days` or `date_ns` is set; 0 days are allowed."""

    storage_class: str
    days: int | None = None
    date_ns: int | None = None


@dataclass(frozen=True, slots=True)
class NoncurrentExpiration:
    """Of the other versions, `days` after they were superseded; the newest `kept_versions` of them stay."""

    days: int | None = None
    kept_versions: int | None = None


@dataclass(frozen=True, slots=True)
class NoncurrentTransition:
    """As NoncurrentExpiration, to another storage class."""

    storage_class: str
    days: int | None = None
    kept_versions: int | None = None


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """What shall become of the objects that a filter names. `abort_days`: of uploads that are not completed."""

    rule_id: str
    is_enabled: bool
    filter: LifecycleFilter
    expiration: Expiration | None = None
    transitions: tuple[Transition, ...] = ()
    noncurrent_expiration: NoncurrentExpiration | None = None
    noncurrent_transitions: tuple[NoncurrentTransition, ...] = ()
    abort_days: int | None = None


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The rules of a bucket, in the order in which they were put."""

    rules: tuple[LifecycleRule, ...]
    minimum_transition: MinimumTransition = MinimumTransition.ALL_CLASSES
