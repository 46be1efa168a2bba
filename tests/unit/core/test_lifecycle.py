"""What lifecycle rules come to: times, filters, and which action wins."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.configs.lifecycle import (
    Expiration,
    FilterForm,
    Lifecycle,
    LifecycleFilter,
    LifecycleRule,
    MinimumTransition,
    NoncurrentExpiration,
    NoncurrentTransition,
    Transition,
)
from core.configs.versioning import Retention, RetentionMode, Versioning
from core.lifecycle import (
    REAL_DAY_NS,
    Action,
    ActionKind,
    Terms,
    abort_expiry,
    due_ns,
    expiry,
    judge,
    names,
    prefixes,
)
from core.listing import ObjectVersion
from core.names import ObjectKey
from core.types import ObjectAttributes, ObjectInfo

DAY = REAL_DAY_NS
NOW = 20_000 * DAY
"""A midnight."""
CLASSES = ("STANDARD", "STANDARD_IA", "GLACIER", "DEEP_ARCHIVE")
TERMS = Terms(classes=CLASSES, minimum_bytes=0)
PLAIN = ObjectAttributes()
ENABLED, OFF = Versioning.ENABLED, Versioning.OFF


def rule(
    name: str = "r", prefix: str = "", *, enabled: bool = True, **actions: object
) -> LifecycleRule:
    wanted = actions.pop("filter", LifecycleFilter(FilterForm.FILTER, prefix))
    return LifecycleRule(name, enabled, wanted, **actions)  # type: ignore[arg-type]


def version(
    key: str = "k",
    age_days: float = 10,
    *,
    latest: bool = True,
    marker: bool = False,
    size: int = 1,
    attributes: ObjectAttributes = PLAIN,
    version_id: str = "v",
) -> ObjectVersion:
    info = ObjectInfo(
        ObjectKey(key),
        0 if marker else size,
        "",
        NOW - int(age_days * DAY),
        attributes,
        version_id=version_id,
        is_delete_marker=marker,
    )
    return ObjectVersion(info, latest)


def tagged(tags: Mapping[str, str]) -> ObjectAttributes:
    return ObjectAttributes(tags=tags)


def acts(actions: list[Action]) -> list[tuple[str, str, str]]:
    return [
        (a.kind.value, a.version.info.version_id, a.storage_class or a.rule_id) for a in actions
    ]


def decide(
    rules: list[LifecycleRule],
    versions: list[ObjectVersion],
    versioning: Versioning = ENABLED,
    terms: Terms = TERMS,
    minimum: MinimumTransition = MinimumTransition.ALL_CLASSES,
) -> list[tuple[str, str, str]]:
    return acts(judge(Lifecycle(tuple(rules), minimum), versions, versioning, NOW, terms))


# --- times


def test_due_is_the_midnight_after() -> None:
    assert due_ns(10 * DAY + 1, 3) == 14 * DAY
    assert due_ns(10 * DAY, 3) == 14 * DAY
    assert due_ns(11 * DAY - 1, 0) == 11 * DAY


def test_due_with_a_shortened_day_is_not_rounded() -> None:
    assert due_ns(1_234, 3, 10**9) == 1_234 + 3 * 10**9


def test_expiry_is_the_earliest_of_all_rules() -> None:
    lifecycle = Lifecycle(
        (
            rule("late", expiration=Expiration(days=30)),
            rule("early", "k", expiration=Expiration(days=3)),
            rule("other", "x", expiration=Expiration(days=1)),
            rule("off", enabled=False, expiration=Expiration(days=1)),
        )
    )
    found = expiry(lifecycle, version(age_days=0).info)
    assert found is not None
    assert (found.rule_id, found.at_ns) == ("early", NOW + 4 * DAY)
    assert expiry(Lifecycle((rule(abort_days=1),)), version().info) is None


def test_expiry_by_date() -> None:
    found = expiry(Lifecycle((rule(expiration=Expiration(date_ns=7 * DAY)),)), version().info)
    assert found is not None
    assert found.at_ns == 7 * DAY


def test_abort_expiry() -> None:
    lifecycle = Lifecycle((rule("a", "up/", abort_days=2), rule("b", "up/x", abort_days=1)))
    found = abort_expiry(lifecycle, "up/xy", NOW)
    assert found is not None
    assert (found.rule_id, found.at_ns) == ("b", NOW + 2 * DAY)
    assert abort_expiry(lifecycle, "down", NOW) is None


# --- filters


@pytest.mark.parametrize(
    ("wanted", "is_named"),
    [
        (LifecycleFilter(), True),
        (LifecycleFilter(prefix="lo"), True),
        (LifecycleFilter(prefix="x"), False),
        (LifecycleFilter(tags={"a": "1"}), True),
        (LifecycleFilter(tags={"a": "2"}), False),
        (LifecycleFilter(tags={"a": "1", "b": "2"}), False),
        (LifecycleFilter(larger_than_bytes=99), True),
        (LifecycleFilter(larger_than_bytes=100), False),
        (LifecycleFilter(smaller_than_bytes=101), True),
        (LifecycleFilter(smaller_than_bytes=100), False),
        (LifecycleFilter(FilterForm.AND, "lo", {"a": "1"}, 99, 101), True),
        (LifecycleFilter(FilterForm.AND, "lo", {"a": "1"}, 99, 100), False),
    ],
)
def test_filters(wanted: LifecycleFilter, is_named: bool) -> None:
    info = version("log", size=100, attributes=tagged({"a": "1", "c": "3"})).info
    assert names(wanted, info) is is_named


def test_prefixes_are_the_fewest() -> None:
    rules = [rule(prefix=p) for p in ("b/", "a/x", "a/", "a/y", "c")]
    assert prefixes(rules) == ["a/", "b/", "c"]
    assert prefixes([rule(prefix="b"), rule()]) == [""]
    assert prefixes([rule(enabled=False)]) == []


# --- current versions


def test_expiration_marks_a_versioned_object_and_removes_another() -> None:
    rules = [rule(expiration=Expiration(days=5))]
    assert decide(rules, [version()]) == [("mark", "v", "r")]
    assert decide(rules, [version()], Versioning.SUSPENDED) == [("mark", "v", "r")]
    assert decide(rules, [version()], OFF) == [("remove", "v", "r")]
    assert decide(rules, [version(age_days=4)]) == []
    assert decide([rule(enabled=False, expiration=Expiration(days=5))], [version()]) == []


def test_expiration_waits_for_midnight() -> None:
    rules = [rule(expiration=Expiration(days=5))]
    assert decide(rules, [version(age_days=5)]) == []
    assert decide(rules, [version(age_days=5.1)]) == [("mark", "v", "r")]


def test_expiration_by_date() -> None:
    assert decide([rule(expiration=Expiration(date_ns=NOW))], [version(age_days=0)]) != []
    assert decide([rule(expiration=Expiration(date_ns=NOW + 1))], [version()]) == []


def test_transition_goes_before_a_marker_but_not_before_a_removal() -> None:
    rules = [rule(expiration=Expiration(days=5), transitions=(Transition("GLACIER", 1),))]
    assert decide(rules, [version()]) == [("transition", "v", "GLACIER")]
    assert decide(rules, [version()], OFF) == [("remove", "v", "r")]
    moved = version(attributes=ObjectAttributes(storage_class="GLACIER"))
    assert decide(rules, [moved]) == [("mark", "v", "r")]


def test_transition_to_the_coldest_that_is_due() -> None:
    moves = (Transition("STANDARD_IA", 1), Transition("GLACIER", 3), Transition("DEEP_ARCHIVE", 20))
    rules = [rule("a", transitions=moves)]
    assert decide(rules, [version()]) == [("transition", "v", "GLACIER")]
    frozen = version(attributes=ObjectAttributes(storage_class="DEEP_ARCHIVE"))
    assert decide(rules, [frozen]) == []
    unknown = [rule(transitions=(Transition("NO_SUCH", 1),))]
    assert decide(unknown, [version()]) == []


def test_small_objects_keep_their_class() -> None:
    terms = Terms(classes=CLASSES)
    rules = [rule(transitions=(Transition("STANDARD_IA", 1),))]
    cold = [rule(transitions=(Transition("GLACIER", 1),))]
    assert decide(rules, [version(size=128 * 1024 - 1)], terms=terms) == []
    assert decide(rules, [version(size=128 * 1024)], terms=terms) != []
    by_class = MinimumTransition.BY_CLASS
    assert decide(rules, [version()], terms=terms, minimum=by_class) == []
    assert decide(cold, [version()], terms=terms, minimum=by_class) != []
    wanted = LifecycleFilter(larger_than_bytes=0)
    sized = [rule(filter=wanted, transitions=(Transition("STANDARD_IA", 1),))]
    assert decide(sized, [version()], terms=terms) != []


# --- other versions


def history(*ages: float, first_is_marker: bool = False) -> list[ObjectVersion]:
    return [
        version(age_days=age, latest=n == 0, version_id=f"v{n}", marker=first_is_marker and n == 0)
        for n, age in enumerate(ages)
    ]


def test_noncurrent_versions_age_from_what_superseded_them() -> None:
    rules = [rule(noncurrent_expiration=NoncurrentExpiration(5))]
    found = decide(rules, history(1, 7, 8, 100))
    assert found == [("remove", "v2", "r"), ("remove", "v3", "r")]


def test_the_newest_noncurrent_versions_are_kept() -> None:
    rules = [rule(noncurrent_expiration=NoncurrentExpiration(1, kept_versions=2))]
    found = decide(rules, history(50, 51, 52, 53, 54))
    assert found == [("remove", "v3", "r"), ("remove", "v4", "r")]


def test_noncurrent_markers_go_too() -> None:
    rules = [rule(noncurrent_expiration=NoncurrentExpiration(1))]
    found = decide(rules, [version(age_days=5), version(latest=False, marker=True, version_id="m")])
    assert found == [("remove", "m", "r")]


def test_noncurrent_transition() -> None:
    rules = [rule(noncurrent_transitions=(NoncurrentTransition("GLACIER", 2, 1),))]
    assert decide(rules, history(10, 11, 12)) == [("transition", "v2", "GLACIER")]


def test_a_marker_goes_when_nothing_is_under_it() -> None:
    rules = [rule(expiration=Expiration(removes_markers=True))]
    lone = version("a", 0.1, marker=True, version_id="m")
    assert decide(rules, [lone]) == [("remove", "m", "r")]
    assert decide(rules, [lone, version("a", latest=False)]) == []
    assert decide(rules, [lone, version("b")]) == [("remove", "m", "r")]
    assert decide([rule(expiration=Expiration(removes_markers=False))], [lone]) == []


def test_expiration_by_days_takes_old_lone_markers() -> None:
    rules = [rule(expiration=Expiration(days=5))]
    assert decide(rules, [version(marker=True)]) == [("remove", "v", "r")]
    assert decide(rules, [version(marker=True, age_days=2)]) == []
    by_tag = [rule(filter=LifecycleFilter(tags={"a": "1"}), expiration=Expiration(days=5))]
    assert decide(by_tag, [version(marker=True)]) == []


@pytest.mark.parametrize(
    "attributes",
    [
        ObjectAttributes(legal_hold=True),
        ObjectAttributes(retention=Retention(RetentionMode.GOVERNANCE, NOW + 1)),
        ObjectAttributes(retention=Retention(RetentionMode.COMPLIANCE, NOW + 1)),
    ],
)
def test_locked_versions_stay(attributes: ObjectAttributes) -> None:
    rules = [
        rule(expiration=Expiration(days=1), noncurrent_expiration=NoncurrentExpiration(1)),
    ]
    locked = version(latest=False, attributes=attributes)
    assert decide(rules, [version(age_days=5, version_id="c"), locked]) == [("mark", "c", "r")]
    assert decide(rules, [version(attributes=attributes)], OFF) == []


# --- properties

_KEYS = st.sampled_from(["a", "ab", "b", "b/c", "c"])
_TAGS = st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2)
_DAYS = st.integers(0, 12)
_SIZES = st.one_of(st.none(), st.integers(0, 4))
_FILTERS = st.builds(
    LifecycleFilter,
    st.just(FilterForm.AND),
    st.one_of(st.none(), _KEYS),
    _TAGS,
    _SIZES,
    _SIZES,
)
_EXPIRATIONS = st.one_of(
    st.none(),
    st.builds(Expiration, days=_DAYS),
    st.builds(Expiration, date_ns=st.integers(NOW - DAY, NOW + DAY)),
    st.just(Expiration(removes_markers=True)),
)
_RULES = st.builds(
    LifecycleRule,
    st.text("ab", max_size=1),
    st.booleans(),
    _FILTERS,
    _EXPIRATIONS,
    st.lists(st.builds(Transition, st.sampled_from(CLASSES), _DAYS), max_size=2).map(tuple),
    st.one_of(st.none(), st.builds(NoncurrentExpiration, _DAYS, st.integers(0, 2))),
    st.lists(
        st.builds(NoncurrentTransition, st.sampled_from(CLASSES), _DAYS, st.integers(0, 2)),
        max_size=1,
    ).map(tuple),
)
_RETENTIONS = st.one_of(
    st.none(),
    st.builds(Retention, st.sampled_from(RetentionMode), st.integers(NOW - DAY, NOW + DAY)),
)


@st.composite
def _listings(draw: st.DrawFn) -> list[ObjectVersion]:
    listing: list[ObjectVersion] = []
    for key in sorted(draw(st.sets(_KEYS))):
        ages = sorted(draw(st.lists(st.floats(0, 20), min_size=1, max_size=4)))
        for number, age in enumerate(ages):
            is_marker = draw(st.booleans())
            attributes = ObjectAttributes(
                storage_class=draw(st.sampled_from(CLASSES)),
                tags=draw(_TAGS),
                # A delete marker cannot be locked.
                retention=None if is_marker else draw(_RETENTIONS),
                legal_hold=not is_marker and draw(st.booleans()),
            )
            listing.append(
                version(
                    key,
                    age,
                    latest=number == 0,
                    marker=is_marker,
                    size=draw(st.integers(0, 5)),
                    attributes=attributes,
                    version_id=f"{key}{number}",
                )
            )
    return listing


@settings(max_examples=300, deadline=None)
@given(
    st.lists(_RULES, max_size=4),
    _listings(),
    st.sampled_from(Versioning),
    st.sampled_from([TERMS, Terms(10**9, CLASSES, 3)]),
)
def test_nothing_is_done_that_no_enabled_rule_names(
    rules: list[LifecycleRule],
    listing: list[ObjectVersion],
    versioning: Versioning,
    terms: Terms,
) -> None:
    lifecycle = Lifecycle(tuple(rules))
    actions = judge(lifecycle, listing, versioning, NOW, terms)
    for action in actions:
        info = action.version.info
        assert any(
            each.is_enabled and each.rule_id == action.rule_id and names(each.filter, info)
            for each in rules
        )
        if action.kind is ActionKind.REMOVE:
            attributes = info.attributes
            assert not attributes.legal_hold
            assert attributes.retention is None or attributes.retention.until_ns <= NOW
        elif action.kind is ActionKind.MARK:
            assert action.version.is_latest
            assert versioning is not OFF
        else:
            present = CLASSES.index(info.attributes.storage_class)
            assert CLASSES.index(action.storage_class) > present
    chosen = [action.version.info.version_id for action in actions]
    assert len(set(chosen)) == len(chosen)
