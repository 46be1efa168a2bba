"""Owns the operations of Object Lock: a bucket's configuration, and the retention and legal hold of a version.

Source: AWS, PutObjectLockConfiguration, PutObjectRetention, PutObjectLegalHold. The rules that keep a version are
core.locks'; headers are s3api.lock_headers'.
"""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import Element

from core.configs.versioning import (
    DefaultRetention,
    ObjectLock,
    Retention,
    RetentionMode,
    Versioning,
)
from core.errors import InvalidBucketState
from core.types import BucketProps, ObjectChanges
from s3api.call import Call, Response
from s3api.lock_headers import HOLD, MODE, UNTIL, check_future, check_has_digest, check_has_lock
from s3api.operations.guarded import authorize_document, may_bypass
from s3api.parameters import version_id
from s3api.protocol_errors import (
    InvalidRetentionPeriod,
    MalformedXML,
    NoSuchObjectLockConfiguration,
    ObjectLockConfigurationNotFound,
)
from s3api.timestamps import iso_moment, parse_iso_moment
from s3api.xml import XML_TYPE, children, document, element, parse, texts

MAX_DAYS = 36_500
MAX_YEARS = 100

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}\Z")


# --- buckets -----------------------------------------------------------------------------------------------------


async def get_object_lock_configuration(call: Call) -> Response:
    lock = call.target_bucket.props.object_lock
    if lock is None:
        raise ObjectLockConfigurationNotFound(bucket=call.target_bucket.name)
    rule = "" if lock.default is None else _rule(lock.default)
    body = document("ObjectLockConfiguration", element("ObjectLockEnabled", "Enabled"), rule)
    return Response(200, [XML_TYPE], body)


def _rule(default: DefaultRetention) -> str:
    period = element("Days", default.days) if default.days else element("Years", default.years)
    retention = f"{element('Mode', default.mode.value)}{period}"
    return f"<Rule><DefaultRetention>{retention}</DefaultRetention></Rule>"


async def put_object_lock_configuration(call: Call) -> Response:
    """Once a bucket has Object Lock, it keeps it; only the default retention may change."""
    check_has_digest(call.request.headers)
    lock = await parse(call.document, "ObjectLockConfiguration", _lock)
    name = call.target_bucket.name

    def change(props: BucketProps) -> BucketProps:
        if props.versioning is not Versioning.ENABLED:
            reason = (
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            )
            raise InvalidBucketState(bucket=name, reason=reason)
        return replace(props, object_lock=lock)

    await call.store.update_bucket_props(call.target_bucket, change)
    return Response(200)


def _lock(root: Element) -> ObjectLock:
    """Raises MalformedXML, InvalidRetentionPeriod."""
    if texts(root).get("ObjectLockEnabled") != "Enabled":
        raise MalformedXML(reason="ObjectLockEnabled is not Enabled")
    rules = list(children(root, "Rule"))
    if not rules:
        return ObjectLock()
    defaults = list(children(rules[0], "DefaultRetention"))
    if len(rules) > 1 or len(defaults) != 1:
        raise MalformedXML(reason="not one default retention")
    fields = texts(defaults[0])
    days, years = _period(fields, "Days", MAX_DAYS), _period(fields, "Years", MAX_YEARS)
    if (days is None) == (years is None):
        raise MalformedXML(reason="not one of days and years")
    return ObjectLock(DefaultRetention(_mode(fields), days or 0, years or 0))


def _period(fields: dict[str, str], name: str, most: int) -> int | None:
    text = fields.get(name)
    if text is None:
        return None
    if not _NUMBER.match(text.strip()):
        raise MalformedXML(reason=f"{name} is no number")
    if int(text) <= 0:
        raise InvalidRetentionPeriod
    if int(text) > most:
        raise InvalidRetentionPeriod(reason="Default retention period too large")
    return int(text)


def _mode(fields: dict[str, str]) -> RetentionMode:
    mode = fields.get("Mode", "")
    if mode not in RetentionMode.__members__:
        raise MalformedXML(reason=f"retention mode {mode}")
    return RetentionMode(mode)


# --- versions ----------------------------------------------------------------------------------------------------


async def get_object_retention(call: Call) -> Response:
    check_has_lock(call.target_bucket)
    info = await call.store.head(
        call.target_bucket, call.target_key, version_id=version_id(call.request.query)
    )
    kept = info.attributes.retention
    if kept is None:
        raise NoSuchObjectLockConfiguration
    body = document(
        "Retention",
        element("Mode", kept.mode.value),
        element("RetainUntilDate", iso_moment(kept.until_ns)),
    )
    return Response(200, [XML_TYPE], body)


async def put_object_retention(call: Call) -> Response:
    """An empty document takes the retention away, where the caller may bypass it."""
    check_has_digest(call.request.headers)
    fields = await parse(call.document, "Retention", texts)
    retention = _retention(call, fields)
    said = {} if retention is None else _as_headers(retention)
    await authorize_document(call, "s3:PutObjectRetention", said)
    check_has_lock(call.target_bucket)
    await call.store.update_object(
        call.target_bucket,
        call.target_key,
        ObjectChanges(retention=retention, removes_retention=retention is None),
        version_id=version_id(call.request.query),
        bypass_governance=await may_bypass(call, call.target_key),
    )
    return Response(200)


def _as_headers(retention: Retention) -> dict[str, str]:
    return {MODE: retention.mode.value, UNTIL: iso_moment(retention.until_ns)}


def _retention(call: Call, fields: dict[str, str]) -> Retention | None:
    """Raises MalformedXML, InvalidArgument."""
    if not fields:
        return None
    mode, until = _mode(fields), fields.get("RetainUntilDate", "")
    until_ns = parse_iso_moment(until)
    if until_ns is None:
        raise MalformedXML(reason=f"retain until {until}")
    check_future(call, "RetainUntilDate", until, until_ns)
    return Retention(mode, until_ns)


async def get_object_legal_hold(call: Call) -> Response:
    check_has_lock(call.target_bucket)
    info = await call.store.head(
        call.target_bucket, call.target_key, version_id=version_id(call.request.query)
    )
    if info.attributes.legal_hold is None:
        raise NoSuchObjectLockConfiguration
    status = "ON" if info.attributes.legal_hold else "OFF"
    return Response(200, [XML_TYPE], document("LegalHold", element("Status", status)))


async def put_object_legal_hold(call: Call) -> Response:
    check_has_digest(call.request.headers)
    status = (await parse(call.document, "LegalHold", texts)).get("Status")
    if status not in ("ON", "OFF"):
        raise MalformedXML(reason=f"legal hold {status}")
    await authorize_document(call, "s3:PutObjectLegalHold", {HOLD: status})
    check_has_lock(call.target_bucket)
    await call.store.update_object(
        call.target_bucket,
        call.target_key,
        ObjectChanges(legal_hold=status == "ON"),
        version_id=version_id(call.request.query),
    )
    return Response(200)
