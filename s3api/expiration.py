"""Owns the headers that foretell what lifecycle rules will do to objects (x-amz-expiration) and uploads (x-amz-abort).

Callers ask only where the bucket has rules, so that others pay for one look at a field.
"""

from __future__ import annotations

from urllib.parse import quote

from core.lifecycle import abort_expiry, expiry
from core.types import ObjectInfo
from core.uploads import Upload
from s3api.call import Call
from s3api.response_headers import HeaderList
from s3api.timestamps import http_date

_NS_PER_S = 10**9


def expiration_headers(call: Call, info: ObjectInfo) -> HeaderList:
    """When the bucket's current object will expire, and by which rule (AWS: PutObject, x-amz-expiration)."""
    lifecycle = call.target_bucket.props.lifecycle
    found = None if lifecycle is None else expiry(lifecycle, info, _day_ns(call))
    if found is None:
        return []
    rule_id = quote(found.rule_id, safe="").encode()
    value = b'expiry-date="%s", rule-id="%s"' % (http_date(found.at_ns), rule_id)
    return [(b"x-amz-expiration", value)]


def abort_headers(call: Call, upload: Upload) -> HeaderList:
    """When the upload will be aborted, and by which rule (AWS: CreateMultipartUpload, x-amz-abort-date)."""
    lifecycle = call.target_bucket.props.lifecycle
    if lifecycle is None:
        return []
    found = abort_expiry(lifecycle, upload.key, upload.created_ns, _day_ns(call))
    if found is None:
        return []
    rule_id = quote(found.rule_id, safe="").encode()
    return [(b"x-amz-abort-date", http_date(found.at_ns)), (b"x-amz-abort-rule-id", rule_id)]


def _day_ns(call: Call) -> int:
    return int(call.settings.lifecycle_day_s * _NS_PER_S)
