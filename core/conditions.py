"""Owns the evaluation of the caller's preconditions against an object's present state. Pure.

ETags are compared as bare text (weak comparison: fronts strip quotes and `W/`). Times are compared at whole seconds,
as the headers that carry them can say no more.
"""

from __future__ import annotations

from core.errors import NoSuchKey, NotModified, PreconditionFailed
from core.listing import ObjectVersion
from core.names import ObjectKey
from core.types import NO_CONDITIONS, Conditions, ObjectInfo

_NS_PER_S = 1_000_000_000


def check_read(info: ObjectInfo, conditions: Conditions) -> None:
    """Decide a GET or HEAD of an existing object, in the order of RFC 9110 §13.2.2 as S3 does it.

    Raises PreconditionFailed, NotModified.
    """
    if conditions is NO_CONDITIONS:
        return
    _check_still_wanted(info, conditions)
    if _changed_condition(info, conditions) is not None:
        raise NotModified(info=info)


def check_copy_source(info: ObjectInfo, conditions: Conditions) -> None:
    """Decide a copy by its source. CopyObject has no 304: what a GET would not send, it refuses.

    Raises PreconditionFailed.
    """
    if conditions is NO_CONDITIONS:
        return
    _check_still_wanted(info, conditions)
    failed = _changed_condition(info, conditions)
    if failed is not None:
        raise PreconditionFailed(condition=failed)


def check_write(current: ObjectInfo | None, key: ObjectKey, conditions: Conditions) -> None:
    """Decide a put, copy or completion onto `key`, whose present object is `current`.

    Raises PreconditionFailed; NoSuchKey where if_match meets an absent key (PutObject answers 404, not 412).
    """
    if conditions is NO_CONDITIONS:
        return
    if conditions.if_match:
        if current is None:
            raise NoSuchKey(key=key)
        if not _names(conditions.if_match, current.etag):
            raise PreconditionFailed(condition="If-Match")
    if current is None:
        return
    if _names(conditions.if_none_match, current.etag):
        raise PreconditionFailed(condition="If-None-Match")
    if _modified_after(current, conditions.if_unmodified_since_ns):
        raise PreconditionFailed(condition="If-Unmodified-Since")


def check_delete(current: ObjectInfo | None, key: ObjectKey, conditions: Conditions) -> None:
    """Decide a delete of `key`, whose present object is `current`.

    Raises PreconditionFailed; NoSuchKey where any condition meets an absent key.
    """
    if conditions == NO_CONDITIONS:
        return
    if current is None:
        raise NoSuchKey(key=key)
    check_write(current, key, conditions)
    if conditions.if_size is not None and conditions.if_size != current.size_bytes:
        raise PreconditionFailed(condition="x-amz-if-match-size")
    wanted_ns = conditions.if_modified_at_ns
    if wanted_ns is not None and wanted_ns // _NS_PER_S != current.modified_ns // _NS_PER_S:
        raise PreconditionFailed(condition="x-amz-if-match-last-modified-time")


def check_unchanged(found: ObjectInfo | None, seen: ObjectVersion, *, is_latest: bool) -> None:
    """Decide what was judged by a version as it was `seen`, which is `found` now and the latest or not.

    Raises PreconditionFailed."""
    before = seen.info
    if (
        found is None
        or is_latest is not seen.is_latest
        or found.version_id != before.version_id
        or found.modified_ns != before.modified_ns
        or found.etag != before.etag
        or found.is_delete_marker is not before.is_delete_marker
        or found.attributes.tags != before.attributes.tags
    ):
        raise PreconditionFailed(condition="unchanged")


def _check_still_wanted(info: ObjectInfo, conditions: Conditions) -> None:
    if conditions.if_match:
        # A true If-Match overrules a false If-Unmodified-Since.
        if not _names(conditions.if_match, info.etag):
            raise PreconditionFailed(condition="If-Match")
    elif _modified_after(info, conditions.if_unmodified_since_ns):
        raise PreconditionFailed(condition="If-Unmodified-Since")


def _changed_condition(info: ObjectInfo, conditions: Conditions) -> str | None:
    """The name of the condition by which the reader has this object already, None if it should be sent."""
    if conditions.if_none_match:
        return "If-None-Match" if _names(conditions.if_none_match, info.etag) else None
    since_ns = conditions.if_modified_since_ns
    if since_ns is not None and not _modified_after(info, since_ns):
        return "If-Modified-Since"
    return None


def _names(etags: tuple[str, ...], etag: str) -> bool:
    return "*" in etags or etag in etags


def _modified_after(info: ObjectInfo, time_ns: int | None) -> bool:
    return time_ns is not None and info.modified_ns // _NS_PER_S > time_ns // _NS_PER_S
