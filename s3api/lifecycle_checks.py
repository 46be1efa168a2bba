"""Owns what a lifecycle rule may combine: which actions and filters exclude each other, and in which order they come.

Source: AWS, PutBucketLifecycleConfiguration; Lifecycle configuration elements; and the messages that S3 sends.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.configs.lifecycle import FilterForm, LifecycleRule
from core.errors import InvalidArgument
from core.lifecycle import filters_by_size
from s3api.protocol_errors import InvalidRequest, InvalidStorageClass


def check_rule(rule: LifecycleRule, storage_classes: Sequence[str]) -> None:
    """Raises InvalidRequest, InvalidArgument, InvalidStorageClass."""
    _check_actions(rule)
    _check_filter(rule)
    _check_orders(rule)
    _check_classes(rule, storage_classes)


def _check_actions(rule: LifecycleRule) -> None:
    expiration, moves = rule.expiration, rule.transitions
    noncurrent, noncurrent_moves = rule.noncurrent_expiration, rule.noncurrent_transitions
    if not (expiration or moves or noncurrent or noncurrent_moves or rule.abort_days):
        raise InvalidRequest(reason="At least one action needs to be specified in a rule")
    kept = [noncurrent, *noncurrent_moves]
    has_kept = any(each is not None and each.kept_versions is not None for each in kept)
    if has_kept and rule.filter.form is FilterForm.PREFIX:
        reason = "NewerNoncurrentVersions can only be specified in rules with a Filter"
        raise InvalidRequest(reason=reason)
    by_date = {each.date_ns is not None for each in moves}
    if expiration is not None and expiration.removes_markers is None:
        by_date.add(expiration.date_ns is not None)
    if len(by_date) > 1:
        reason = (
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle "
            f"rule for prefix '{rule.filter.prefix or ''}'"
        )
        raise InvalidRequest(reason=reason)


def _check_orders(rule: LifecycleRule) -> None:
    expiration, moves = rule.expiration, rule.transitions
    noncurrent, noncurrent_moves = rule.noncurrent_expiration, rule.noncurrent_transitions
    _check_order(
        "Days",
        None if expiration is None else expiration.days,
        [each.days for each in moves],
    )
    _check_order(
        "Date",
        None if expiration is None else expiration.date_ns,
        [each.date_ns for each in moves],
    )
    _check_order(
        "NoncurrentDays",
        None if noncurrent is None else noncurrent.days,
        [each.days for each in noncurrent_moves],
    )


def _check_filter(rule: LifecycleRule) -> None:
    """Uploads have no tags and no size, and delete markers no tags."""
    expiration = rule.expiration
    if rule.filter.tags and expiration is not None and expiration.removes_markers is not None:
        raise InvalidRequest(reason="ExpiredObjectDeleteMarker cannot be specified with Tags.")
    if rule.abort_days is None:
        return
    if rule.filter.tags:
        raise InvalidRequest(reason="AbortIncompleteMultipartUpload cannot be specified with Tags.")
    if filters_by_size(rule.filter):
        reason = "AbortIncompleteMultipartUpload cannot be specified with Object Size."
        raise InvalidRequest(reason=reason)


def _check_order(what: str, expires: int | None, moves: Sequence[int | None]) -> None:
    """What expires does so after its last transition."""
    last = max((each for each in moves if each is not None), default=None)
    if expires is not None and last is not None and expires <= last:
        reason = (
            f"'{what}' in the Expiration action must be greater than '{what}' in the Transition "
            "action"
        )
        raise InvalidArgument(name=what, value=str(expires), reason=reason)


def _check_classes(rule: LifecycleRule, storage_classes: Sequence[str]) -> None:
    for what, moves in (
        ("Transition", [each.storage_class for each in rule.transitions]),
        (
            "NoncurrentVersionTransition",
            [each.storage_class for each in rule.noncurrent_transitions],
        ),
    ):
        for name in moves:
            if name not in storage_classes:
                raise InvalidStorageClass(storage_class=name)
        if len(set(moves)) < len(moves):
            reason = f"'StorageClass' must be different for '{what}' actions in same 'Rule'"
            raise InvalidRequest(reason=reason)
