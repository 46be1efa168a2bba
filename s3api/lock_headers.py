"""Owns the headers of Object Lock: what a writer asks for, and the proof that S3 demands of its bytes.

Source: AWS, PutObject (x-amz-object-lock-*); Locking objects with Object Lock.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.configs.versioning import Retention, RetentionMode
from core.types import Bucket, ObjectAttributes
from s3api.call import Call
from s3api.protocol_errors import InvalidRequest, invalid_argument
from s3api.timestamps import parse_iso_moment

MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"
HOLD = "x-amz-object-lock-legal-hold"
NAMES = frozenset({MODE, UNTIL, HOLD})

_LAST_NS = 2**63
"""Times are kept as 64-bit numbers; they end in the year 2262."""


def read_lock(call: Call, fields: Mapping[str, str]) -> tuple[Retention | None, bool | None]:
    """The retention and the legal hold that a new version is to have. Raises InvalidRequest, InvalidArgument."""
    mode, until, hold = (fields.get(name) for name in (MODE, UNTIL, HOLD))
    if not mode and not until and not hold:
        return None, None
    check_has_lock(call.target_bucket)
    if hold and hold not in ("ON", "OFF"):
        raise invalid_argument(HOLD, hold, "Legal Hold must be either of 'ON' or 'OFF'")
    is_held = hold == "ON" if hold else None
    if not mode and not until:
        return None, is_held
    if not mode or not until:
        missing = UNTIL if mode else MODE
        raise invalid_argument(missing, "", f"{UNTIL} and {MODE} must both be supplied")
    if mode not in RetentionMode.__members__:
        raise invalid_argument(MODE, mode, "Unknown wormMode directive.")
    until_ns = parse_iso_moment(until)
    if until_ns is None:
        reason = "The retain until date must be provided in ISO 8601 format"
        raise invalid_argument(UNTIL, until, reason)
    check_future(call, UNTIL, until, until_ns)
    return Retention(RetentionMode(mode), until_ns), is_held


def check_has_lock(bucket: Bucket) -> None:
    """Raises InvalidRequest for a bucket whose versions cannot be locked."""
    if bucket.props.object_lock is None:
        raise InvalidRequest(reason="Bucket is missing Object Lock Configuration")


def check_future(call: Call, name: str, value: str, until_ns: int) -> None:
    """Raises InvalidArgument for a retention that would be over, or end later than time can be told."""
    if until_ns <= call.clock.now_ns():
        raise invalid_argument(name, value, "The retain until date must be in the future!")
    if until_ns >= _LAST_NS:
        raise invalid_argument(name, value, "The retain until date is too far in the future")


def check_proven(call: Call, attributes: ObjectAttributes) -> None:
    """What is to be locked must not arrive damaged: it could not be removed. Raises InvalidRequest."""
    lock = call.target_bucket.props.object_lock
    has_default = lock is not None and lock.default is not None
    if not has_default and attributes.retention is None and not attributes.legal_hold:
        return
    if not has_digest(call.request.headers):
        reason = (
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with "
            "Object Lock parameters"
        )
        raise InvalidRequest(reason=reason)


def has_digest(headers: Mapping[str, str]) -> bool:
    """Whether a body comes with a digest of it, in a header or behind the body."""
    if "content-md5" in headers or "x-amz-trailer" in headers:
        return True
    return any(name.startswith("x-amz-checksum-") for name in headers)


def check_has_digest(headers: Mapping[str, str]) -> None:
    """What locks, and a list of what to delete, must not arrive damaged: S3 demands a digest. Raises InvalidRequest."""
    if not has_digest(headers):
        raise InvalidRequest(reason="Missing required header for this request: Content-MD5")
