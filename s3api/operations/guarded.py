"""Owns what needs a permission of its own beside the operation's: tags and locks, when they are written with an object
and when they are shown with it, and the bypass of a governance retention.

Source: AWS, Service Authorization Reference, Actions for Amazon S3; PutObject, GetObject, DeleteObject (permissions).
"""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Denied
from core.names import ObjectKey
from core.tags import HEADER as TAGGING
from core.types import ObjectAttributes, ObjectInfo
from s3api.call import Call
from s3api.lock_headers import NAMES as LOCK_HEADERS
from s3api.response_headers import HeaderList
from s3api.timestamps import iso_moment

_SAID_BY_DOCUMENTS = LOCK_HEADERS | {TAGGING}
_BYPASS = "x-amz-bypass-governance-retention"


def has_extras(attributes: ObjectAttributes) -> bool:
    """Whether there is anything here to ask permission for. Most objects have nothing."""
    return (
        bool(attributes.tags)
        or attributes.retention is not None
        or attributes.legal_hold is not None
    )


async def authorize_extras(
    call: Call, attributes: ObjectAttributes, fields: Mapping[str, str] | None = None
) -> None:
    """Raises Denied for tags or locks that the caller may not give to what it writes. `fields` stand for the headers
    of a form."""
    assert call.authorize is not None
    wanted = {
        "s3:PutObjectTagging": bool(attributes.tags),
        "s3:PutObjectRetention": attributes.retention is not None,
        "s3:PutObjectLegalHold": attributes.legal_hold is not None,
    }
    for action, is_wanted in wanted.items():
        if is_wanted:
            await call.authorize(call, action, call.target_key, fields=fields)


async def authorize_document(call: Call, action: str, said: Mapping[str, str]) -> None:
    """For operations whose document says what headers say with an object, in the words of those headers: policies
    have conditions on it. Raises Denied, and what Call.authorize does."""
    assert call.authorize is not None
    headers = call.request.headers
    fields = {name: value for name, value in headers.items() if name not in _SAID_BY_DOCUMENTS}
    await call.authorize(
        call,
        action,
        call.target_key,
        version_id=call.request.query.get("versionId"),
        fields={**fields, **said},
    )


async def guarded_headers(call: Call, info: ObjectInfo) -> HeaderList:
    """The count of tags and the locks of an object, as far as the caller may read them."""
    attributes = info.attributes
    wanted = call.request.query.get("versionId")
    headers: HeaderList = []
    if attributes.tags and await _may(call, "s3:GetObjectTagging", call.target_key, wanted):
        headers.append((b"x-amz-tagging-count", b"%d" % len(attributes.tags)))
    kept = attributes.retention
    if kept is not None and await _may(call, "s3:GetObjectRetention", call.target_key, wanted):
        headers.append((b"x-amz-object-lock-mode", kept.mode.value.encode()))
        until = iso_moment(kept.until_ns).encode()
        headers.append((b"x-amz-object-lock-retain-until-date", until))
    held = attributes.legal_hold
    if held is not None and await _may(call, "s3:GetObjectLegalHold", call.target_key, wanted):
        headers.append((b"x-amz-object-lock-legal-hold", b"ON" if held else b"OFF"))
    return headers


def asks_bypass(call: Call) -> bool:
    """Whether the caller wants a governance retention not to hold it back."""
    return call.request.headers.get(_BYPASS, "").strip().lower() == "true"


async def may_bypass(call: Call, key: ObjectKey) -> bool:
    """Whether a governance retention holds the caller back not: it asks for that, and may. Who may not is treated as
    one who did not ask, as what it does may need no bypass."""
    return asks_bypass(call) and await _may(call, "s3:BypassGovernanceRetention", key)


async def _may(call: Call, action: str, key: ObjectKey, version_id: str | None = None) -> bool:
    try:
        await _authorize(call, action, key, version_id)
    except Denied:
        return False
    return True


async def _authorize(
    call: Call, action: str, key: ObjectKey, version_id: str | None = None
) -> None:
    assert call.authorize is not None
    await call.authorize(call, action, key, version_id=version_id)
