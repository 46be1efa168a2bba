"""Owns what lifecycle rules come to for one object, version or upload at a given time. Pure: it decides, others act.

Where several rules apply, the earliest expiration counts; a removal for good goes before a change of class, and that
before a delete marker; of several classes the coldest. What is locked is never chosen for removal.

Source: AWS, Lifecycle configuration elements; Conflicts in lifecycle configurations; Expiring objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from core.configs.lifecycle import (
    Lifecycle,
    LifecycleFilter,
    LifecycleRule,
    MinimumTransition,
)
from core.configs.versioning import Versioning
from core.errors import ObjectLocked
from core.listing import ObjectVersion
from core.locks import check_removable
from core.types import ObjectInfo

_NS_PER_S = 10**9
REAL_DAY_NS = 86_400 * _NS_PER_S

MINIMUM_TRANSITION_BYTES = 128 * 1024
_ANY_SIZE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Those that take objects of any size with MinimumTransition.BY_CLASS."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the rules are read with, beside the time.

    `day_ns`: a shorter day than the real one is for tests, and ends the rounding to midnight. `classes`: the storage
    classes from the warmest to the coldest; objects move towards the end only. `minimum_bytes`: smaller objects keep
    their class, unless their rule filters by size.
    """

    day_ns: int = REAL_DAY_NS
    classes: Sequence[str] = ("STANDARD",)
    minimum_bytes: int = MINIMUM_TRANSITION_BYTES


class ActionKind(Enum):
    """MARK: put a delete marker on a versioned bucket's object. REMOVE: take a version, marker or the object of an
    unversioned bucket away for good. TRANSITION: to `Action.storage_class`."""

    MARK = "mark"
    REMOVE = "remove"
    TRANSITION = "transition"


@dataclass(frozen=True, slots=True)
class Action:
    """What a rule wants of one version now."""

    kind: ActionKind
    version: ObjectVersion
    rule_id: str
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class Expiry:
    """When an object will expire or an upload be aborted, and by which rule."""

    at_ns: int
    rule_id: str


# --- when --------------------------------------------------------------------------------------------------------


def due_ns(since_ns: int, days: int, day_ns: int = REAL_DAY_NS) -> int:
    """`days` after a time, and then the next midnight UTC, as S3 counts. A day that is shortened has no midnight."""
    moment_ns = since_ns + days * day_ns
    if day_ns != REAL_DAY_NS:
        return moment_ns
    return (moment_ns // REAL_DAY_NS + 1) * REAL_DAY_NS


def expiry(lifecycle: Lifecycle, info: ObjectInfo, day_ns: int = REAL_DAY_NS) -> Expiry | None:
    """When a current object will expire, as x-amz-expiration tells; None if no rule says so."""
    found: Expiry | None = None
    for rule in lifecycle.rules:
        wanted = rule.expiration
        if wanted is None or not rule.is_enabled or not names(rule.filter, info):
            continue
        if wanted.days is not None:
            at_ns = due_ns(info.modified_ns, wanted.days, day_ns)
        elif wanted.date_ns is not None:
            at_ns = wanted.date_ns
        else:
            continue
        if found is None or at_ns < found.at_ns:
            found = Expiry(at_ns, rule.rule_id)
    return found


def abort_expiry(
    lifecycle: Lifecycle, key: str, created_ns: int, day_ns: int = REAL_DAY_NS
) -> Expiry | None:
    """When an upload will be aborted if it is not completed; None if no rule says so."""
    found: Expiry | None = None
    for rule in lifecycle.rules:
        if rule.abort_days is None or not rule.is_enabled or not names_uploads(rule.filter, key):
            continue
        at_ns = due_ns(created_ns, rule.abort_days, day_ns)
        if found is None or at_ns < found.at_ns:
            found = Expiry(at_ns, rule.rule_id)
    return found


# --- which -------------------------------------------------------------------------------------------------------


def names(wanted: LifecycleFilter, info: ObjectInfo) -> bool:
    """Whether a filter names a version or delete marker. A marker has no tags and no size that could be compared, so
    a filter by those never names one."""
    if wanted.prefix and not info.key.startswith(wanted.prefix):
        return False
    if info.is_delete_marker:
        return not wanted.tags and not filters_by_size(wanted)
    if wanted.tags and not _has_tags(info.attributes.tags, wanted.tags):
        return False
    above, below = wanted.larger_than_bytes, wanted.smaller_than_bytes
    if above is not None and info.size_bytes <= above:
        return False
    return below is None or info.size_bytes < below


def names_uploads(wanted: LifecycleFilter, key: str) -> bool:
    """Whether a filter names the uploads of a key; they are filtered by prefix alone."""
    if wanted.tags or filters_by_size(wanted):
        return False
    return key.startswith(wanted.prefix or "")


def filters_by_size(wanted: LifecycleFilter) -> bool:
    return wanted.larger_than_bytes is not None or wanted.smaller_than_bytes is not None


def _has_tags(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(tags.get(name) == value for name, value in wanted.items())


def prefixes(rules: Iterable[LifecycleRule]) -> list[str]:
    """The fewest prefixes under which every object lies that an enabled rule could name, in order."""
    found: list[str] = []
    for prefix in sorted({rule.filter.prefix or "" for rule in rules if rule.is_enabled}):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return found


def aborts_uploads(lifecycle: Lifecycle) -> bool:
    return any(rule.is_enabled and rule.abort_days is not None for rule in lifecycle.rules)


def is_active(lifecycle: Lifecycle | None) -> bool:
    """Whether a bucket's rules can ask for anything."""
    return lifecycle is not None and any(rule.is_enabled for rule in lifecycle.rules)


# --- what --------------------------------------------------------------------------------------------------------


class KeyJudge:
    """Judges the versions of a bucket, told one by one in the order of a listing: by key, of a key newest first.

    It keeps what it must know of the newer versions of the same key, so that a key of any number of versions costs no
    memory. A marker can only be judged alone once the next version is known; `judge` returns what is decided so far,
    and `finish` the rest.
    """

    def __init__(
        self, lifecycle: Lifecycle, versioning: Versioning, now_ns: int, terms: Terms
    ) -> None:
        self._rules = [rule for rule in lifecycle.rules if rule.is_enabled]
        self._minimum = lifecycle.minimum_transition
        self._is_versioned = versioning is not Versioning.OFF
        self._now_ns = now_ns
        self._terms = terms
        self._rank = {name: rank for rank, name in enumerate(terms.classes)}
        self._key = ""
        self._newer_noncurrent = 0
        self._newer_modified_ns = 0
        self._lone_marker: ObjectVersion | None = None

    def judge(self, version: ObjectVersion) -> list[Action]:
        """What is to be done, now that this version is known."""
        decided: list[Action] = []
        if version.info.key != self._key:
            decided += self.finish()
            self._key = version.info.key
            self._newer_noncurrent = 0
        # What a marker hides makes it useful.
        self._lone_marker = None
        if version.is_latest:
            if version.info.is_delete_marker:
                self._lone_marker = version
            else:
                decided += self._judge_current(version)
        else:
            decided += self._judge_noncurrent(version)
            self._newer_noncurrent += 1
        self._newer_modified_ns = version.info.modified_ns
        return decided

    def finish(self) -> list[Action]:
        """What is to be done with the last key, which has no further version."""
        marker, self._lone_marker = self._lone_marker, None
        if marker is None:
            return []
        return list(self._judge_lone_marker(marker))

    def _named(self, version: ObjectVersion) -> Iterator[LifecycleRule]:
        return (rule for rule in self._rules if names(rule.filter, version.info))

    def _judge_current(self, version: ObjectVersion) -> list[Action]:
        due = [
            (at_ns, rule.rule_id)
            for rule in self._named(version)
            if (at_ns := self._expires_ns(rule, version)) is not None and self._due(at_ns)
        ]
        expired = min(due, key=lambda item: item[0])[1] if due else None
        if expired is not None and not self._is_versioned:
            return self._remove(version, expired)
        moved = self._transition(version, self._current_transitions(version))
        if moved or expired is None:
            return moved
        return [Action(ActionKind.MARK, version, expired)]

    def _expires_ns(self, rule: LifecycleRule, version: ObjectVersion) -> int | None:
        wanted = rule.expiration
        if wanted is None:
            return None
        if wanted.days is not None:
            return due_ns(version.info.modified_ns, wanted.days, self._terms.day_ns)
        return wanted.date_ns

    def _judge_noncurrent(self, version: ObjectVersion) -> list[Action]:
        """A version is noncurrent since the next newer one, or marker, was made."""
        since_ns = self._newer_modified_ns
        for rule in self._named(version):
            wanted = rule.noncurrent_expiration
            if wanted is not None and self._is_superseded(
                since_ns, wanted.days, wanted.kept_versions
            ):
                return self._remove(version, rule.rule_id)
        if version.info.is_delete_marker:
            return []
        return self._transition(version, self._noncurrent_transitions(version, since_ns))

    def _judge_lone_marker(self, marker: ObjectVersion) -> Iterator[Action]:
        """A rule that expires by days or date takes markers that are as old, too (AWS: Removing expired object delete
        markers)."""
        for rule in self._named(marker):
            wanted = rule.expiration
            if wanted is None:
                continue
            at_ns = self._expires_ns(rule, marker)
            if wanted.removes_markers or (at_ns is not None and self._due(at_ns)):
                yield Action(ActionKind.REMOVE, marker, rule.rule_id)
                return

    def _is_superseded(self, since_ns: int, days: int | None, kept_versions: int | None) -> bool:
        if self._newer_noncurrent < (kept_versions or 0):
            return False
        return self._due(due_ns(since_ns, days or 0, self._terms.day_ns))

    def _due(self, at_ns: int) -> bool:
        return at_ns <= self._now_ns

    def _remove(self, version: ObjectVersion, rule_id: str) -> list[Action]:
        try:
            check_removable(version.info.attributes, self._now_ns, bypass_governance=False)
        except ObjectLocked:
            return []
        return [Action(ActionKind.REMOVE, version, rule_id)]

    # --- transitions ---

    def _current_transitions(self, version: ObjectVersion) -> Iterator[tuple[str, LifecycleRule]]:
        for rule in self._named(version):
            for each in rule.transitions:
                at_ns = each.date_ns
                if at_ns is None:
                    at_ns = due_ns(version.info.modified_ns, each.days or 0, self._terms.day_ns)
                if self._due(at_ns):
                    yield each.storage_class, rule

    def _noncurrent_transitions(
        self, version: ObjectVersion, since_ns: int
    ) -> Iterator[tuple[str, LifecycleRule]]:
        for rule in self._named(version):
            for each in rule.noncurrent_transitions:
                if self._is_superseded(since_ns, each.days, each.kept_versions):
                    yield each.storage_class, rule

    def _transition(
        self, version: ObjectVersion, due: Iterator[tuple[str, LifecycleRule]]
    ) -> list[Action]:
        """To the coldest class of those due that is colder than the present one."""
        chosen: Action | None = None
        rank = self._rank.get(version.info.attributes.storage_class, 0)
        for storage_class, rule in due:
            wanted = self._rank.get(storage_class, -1)
            if wanted > rank and self._is_large_enough(version, storage_class, rule):
                chosen = Action(ActionKind.TRANSITION, version, rule.rule_id, storage_class)
                rank = wanted
        return [] if chosen is None else [chosen]

    def _is_large_enough(
        self, version: ObjectVersion, storage_class: str, rule: LifecycleRule
    ) -> bool:
        if filters_by_size(rule.filter):
            return True
        if self._minimum is MinimumTransition.BY_CLASS and storage_class in _ANY_SIZE_CLASSES:
            return True
        return version.info.size_bytes >= self._terms.minimum_bytes


def judge(
    lifecycle: Lifecycle,
    versions: Iterable[ObjectVersion],
    versioning: Versioning,
    now_ns: int,
    terms: Terms,
) -> list[Action]:
    """All that is to be done with the versions of a listing, whole."""
    judge_ = KeyJudge(lifecycle, versioning, now_ns, terms)
    return [action for version in versions for action in judge_.judge(version)] + judge_.finish()
