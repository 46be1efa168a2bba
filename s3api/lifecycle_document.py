"""Owns the LifecycleConfiguration document: read with all of S3's rules about it, and written as it was put.

Left out on purpose are the rules that stand for AWS's prices: 30 days before STANDARD_IA, and the like.

Source: AWS, PutBucketLifecycleConfiguration; Lifecycle configuration elements.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from core.configs.lifecycle import (
    Expiration,
    FilterForm,
    Lifecycle,
    LifecycleFilter,
    LifecycleRule,
    NoncurrentExpiration,
    NoncurrentTransition,
    Transition,
)
from core.lifecycle import REAL_DAY_NS
from s3api.lifecycle_checks import check_rule
from s3api.protocol_errors import InvalidRequest, MalformedXML, invalid_argument
from s3api.timestamps import iso_date
from s3api.xml import children, document, echo, element, first_child, flag, local_name, texts

_MAX_RULES = 1000
_MAX_ID_CHARACTERS = 255
_MAX_PREFIX_CHARACTERS = 1024
_MAX_NEWER_VERSIONS = 100
_LAST_NS = 2**63
"""Times are kept as 64-bit numbers."""

_MAX_DAYS = 2**31 - 1
_MAX_SIZE = 2**63 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}\Z")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?\Z")
_NS_PER_S = 10**9

_CONDITIONS = ("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
_RULE_ELEMENTS = frozenset(
    {
        "ID",
        "Prefix",
        "Filter",
        "Status",
        "Expiration",
        "Transition",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "AbortIncompleteMultipartUpload",
    }
)


# --- reading -----------------------------------------------------------------------------------------------------


def read_rules(root: Element, storage_classes: Sequence[str]) -> tuple[LifecycleRule, ...]:
    """Raises MalformedXML, InvalidRequest, InvalidArgument, InvalidStorageClass."""
    nodes = list(children(root, "Rule"))
    if not nodes or len(nodes) != len(root):
        raise MalformedXML(reason="no rules, or something that is no rule")
    if len(nodes) > _MAX_RULES:
        reason = "The number of lifecycle rules must not exceed the allowed limit of 1000 rules"
        raise InvalidRequest(reason=reason)
    rules = tuple(_rule(node) for node in nodes)
    ids = [rule.rule_id for rule in rules]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise invalid_argument(
            "ID", twice, "Rule ID must be unique. Found same ID for more than one rule"
        )
    if len({rule.filter.form is FilterForm.PREFIX for rule in rules}) > 1:
        reason = (
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the "
            "Filter."
        )
        raise InvalidRequest(reason=reason)
    for rule in rules:
        check_rule(rule, storage_classes)
    return rules


def _rule(node: Element) -> LifecycleRule:
    fields = texts(node)
    for child in node:
        name = local_name(child)
        repeats = name in ("Transition", "NoncurrentVersionTransition")
        if name not in _RULE_ELEMENTS or (not repeats and len(list(children(node, name))) > 1):
            raise MalformedXML(reason=f"{name} in a rule")
    status = fields.get("Status")
    if status not in ("Enabled", "Disabled"):
        raise MalformedXML(reason=f"status {status}")
    abort = first_child(node, "AbortIncompleteMultipartUpload")
    return LifecycleRule(
        _rule_id(fields.get("ID", "")),
        status == "Enabled",
        _filter(node),
        _expiration(first_child(node, "Expiration")),
        tuple(_transition(each) for each in children(node, "Transition")),
        _noncurrent_expiration(first_child(node, "NoncurrentVersionExpiration")),
        tuple(
            _noncurrent_transition(each) for each in children(node, "NoncurrentVersionTransition")
        ),
        None if abort is None else _positive(abort, "DaysAfterInitiation"),
    )


def _rule_id(given: str) -> str:
    if len(given) > _MAX_ID_CHARACTERS:
        raise invalid_argument("ID", given, "ID length should not exceed allowed limit of 255")
    return given or str(uuid.uuid4())


def _filter(node: Element) -> LifecycleFilter:
    prefix, wanted = first_child(node, "Prefix"), first_child(node, "Filter")
    if (prefix is None) == (wanted is None):
        raise MalformedXML(reason="a rule has either a Filter or a Prefix")
    if prefix is not None:
        return LifecycleFilter(FilterForm.PREFIX, _prefix(prefix))
    assert wanted is not None
    if len(wanted) > 1:
        raise MalformedXML(reason="several conditions in a Filter without And")
    both = first_child(wanted, "And")
    if both is None:
        return _conditions(wanted, FilterForm.FILTER)
    if len(both) < 2:
        raise MalformedXML(reason="And has two conditions at least")
    return _conditions(both, FilterForm.AND)


def _conditions(node: Element, form: FilterForm) -> LifecycleFilter:
    names = [local_name(child) for child in node]
    if any(name not in _CONDITIONS or (name != "Tag" and names.count(name) > 1) for name in names):
        raise MalformedXML(reason=f"conditions of a filter: {names}")
    prefix = first_child(node, "Prefix")
    tags: dict[str, str] = {}
    for child in children(node, "Tag"):
        fields = texts(child)
        name = fields.get("Key", "")
        if not 1 <= len(name) <= 128 or "Value" not in fields or len(fields["Value"]) > 256:
            raise MalformedXML(reason="a tag without key or value, or too long")
        if name in tags:
            raise InvalidRequest(reason="Duplicate Tag Keys are not allowed.")
        tags[name] = fields["Value"]
    above, below = _size(node, "ObjectSizeGreaterThan"), _size(node, "ObjectSizeLessThan")
    if above is not None and below is not None and above >= below:
        reason = "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'."
        raise InvalidRequest(reason=reason)
    return LifecycleFilter(form, None if prefix is None else _prefix(prefix), tags, above, below)


def _prefix(node: Element) -> str:
    prefix = node.text or ""
    if len(prefix) > _MAX_PREFIX_CHARACTERS:
        raise InvalidRequest(reason="The maximum size of a prefix is 1024.")
    return prefix


def _size(node: Element, name: str) -> int | None:
    size = _integer(node, name)
    if size is not None and not 0 <= size <= _MAX_SIZE:
        raise invalid_argument(name, str(size), f"'{name}' must be a nonnegative size")
    return size


def _expiration(node: Element | None) -> Expiration | None:
    if node is None:
        return None
    _require_one(node, "Days", "Date", "ExpiredObjectDeleteMarker")
    marker = texts(node).get("ExpiredObjectDeleteMarker")
    if marker is not None:
        if marker not in ("true", "false"):
            raise MalformedXML(reason=f"ExpiredObjectDeleteMarker {marker}")
        return Expiration(removes_markers=marker == "true")
    date_ns = _date(node)
    if date_ns is not None:
        return Expiration(date_ns=date_ns)
    return Expiration(days=_positive(node, "Days"))


def _transition(node: Element) -> Transition:
    _require_one(node, "Days", "Date", also="StorageClass")
    date_ns, days = _date(node), _integer(node, "Days")
    if days is not None and not 0 <= days <= _MAX_DAYS:
        reason = "'Days' for Transition action must be nonnegative"
        raise invalid_argument("Days", str(days), reason)
    return Transition(_storage_class(node), days, date_ns)


def _noncurrent_expiration(node: Element | None) -> NoncurrentExpiration | None:
    if node is None:
        return None
    _require_one(node, "NoncurrentDays", also="NewerNoncurrentVersions")
    return NoncurrentExpiration(_positive(node, "NoncurrentDays"), _newer_versions(node))


def _noncurrent_transition(node: Element) -> NoncurrentTransition:
    known = {"NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"}
    days = _integer(node, "NoncurrentDays")
    if days is None or any(local_name(child) not in known for child in node):
        raise MalformedXML(reason="elements of NoncurrentVersionTransition")
    if not 0 <= days <= _MAX_DAYS:
        reason = "'NoncurrentDays' for NoncurrentVersionTransition action must be nonnegative"
        raise invalid_argument("NoncurrentDays", str(days), reason)
    return NoncurrentTransition(_storage_class(node), days, _newer_versions(node))


def _newer_versions(node: Element) -> int | None:
    count = _integer(node, "NewerNoncurrentVersions")
    if count is not None and not 1 <= count <= _MAX_NEWER_VERSIONS:
        reason = "'NewerNoncurrentVersions' must be between 1 and 100"
        raise invalid_argument("NewerNoncurrentVersions", str(count), reason)
    return count


def _storage_class(node: Element) -> str:
    name = texts(node).get("StorageClass")
    if not name:
        raise MalformedXML(reason="a transition without storage class")
    return name


def _require_one(node: Element, *names: str, also: str = "") -> None:
    """Exactly one of `names`, once, and nothing else but `also`."""
    found = [local_name(child) for child in node]
    chosen = [name for name in found if name in names]
    if len(chosen) != 1 or any(name not in (*names, also) for name in found):
        raise MalformedXML(reason=f"{local_name(node)} has {found}")


def _integer(node: Element, name: str) -> int | None:
    text = texts(node).get(name)
    if text is None:
        return None
    if not _INTEGER.match(text.strip()):
        raise MalformedXML(reason=f"{name} is no integer")
    return int(text)


def _positive(node: Element, name: str) -> int:
    number = _integer(node, name)
    if number is None:
        raise MalformedXML(reason=f"{local_name(node)} without {name}")
    if not 1 <= number <= _MAX_DAYS:
        reason = f"'{name}' for {local_name(node)} action must be a positive integer"
        raise invalid_argument(name, str(number), reason)
    return number


def _date(node: Element) -> int | None:
    text = texts(node).get("Date")
    if text is None:
        return None
    try:
        if not _ISO_DATE.match(text.strip()):
            raise ValueError(text)
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise MalformedXML(reason=f"date {text}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    at_ns = int(moment.timestamp()) * _NS_PER_S
    if at_ns % REAL_DAY_NS or moment.microsecond:
        raise invalid_argument("Date", text, "'Date' must be at midnight GMT")
    if abs(at_ns) >= _LAST_NS:
        raise invalid_argument("Date", text, "'Date' is too far away")
    return at_ns


# --- writing -----------------------------------------------------------------------------------------------------


def write_rules(lifecycle: Lifecycle) -> bytes:
    """The document of a bucket's rules."""
    return document("LifecycleConfiguration", *map(_rule_element, lifecycle.rules))


def _rule_element(rule: LifecycleRule) -> str:
    noncurrent = rule.noncurrent_expiration
    return "".join(
        (
            "<Rule>",
            echo("ID", rule.rule_id),
            _filter_element(rule.filter),
            element("Status", "Enabled" if rule.is_enabled else "Disabled"),
            *(_transition_element(each) for each in rule.transitions),
            "" if rule.expiration is None else _expiration_element(rule.expiration),
            *(
                f"<NoncurrentVersionTransition>{_noncurrent_elements(each)}"
                f"{element('StorageClass', each.storage_class)}</NoncurrentVersionTransition>"
                for each in rule.noncurrent_transitions
            ),
            ""
            if noncurrent is None
            else f"<NoncurrentVersionExpiration>{_noncurrent_elements(noncurrent)}"
            "</NoncurrentVersionExpiration>",
            ""
            if rule.abort_days is None
            else "<AbortIncompleteMultipartUpload>"
            f"{element('DaysAfterInitiation', rule.abort_days)}</AbortIncompleteMultipartUpload>",
            "</Rule>",
        )
    )


def _filter_element(wanted: LifecycleFilter) -> str:
    prefix = "" if wanted.prefix is None else echo("Prefix", wanted.prefix)
    if wanted.form is FilterForm.PREFIX:
        return prefix
    tags = (
        f"<Tag>{echo('Key', name)}{echo('Value', value)}</Tag>"
        for name, value in wanted.tags.items()
    )
    above, below = wanted.larger_than_bytes, wanted.smaller_than_bytes
    inner = "".join(
        (
            prefix,
            *tags,
            "" if above is None else element("ObjectSizeGreaterThan", above),
            "" if below is None else element("ObjectSizeLessThan", below),
        )
    )
    return (
        f"<Filter><And>{inner}</And></Filter>"
        if wanted.form is FilterForm.AND
        else f"<Filter>{inner}</Filter>"
    )


def _expiration_element(expiration: Expiration) -> str:
    if expiration.removes_markers is not None:
        inner = flag("ExpiredObjectDeleteMarker", expiration.removes_markers)
    else:
        inner = _when(expiration.days, expiration.date_ns)
    return f"<Expiration>{inner}</Expiration>"


def _transition_element(transition: Transition) -> str:
    when = _when(transition.days, transition.date_ns)
    return f"<Transition>{when}{element('StorageClass', transition.storage_class)}</Transition>"


def _when(days: int | None, date_ns: int | None) -> str:
    return element("Date", iso_date(date_ns)) if date_ns is not None else element("Days", days or 0)


def _noncurrent_elements(each: NoncurrentExpiration | NoncurrentTransition) -> str:
    kept = each.kept_versions
    return element("NoncurrentDays", each.days or 0) + (
        "" if kept is None else element("NewerNoncurrentVersions", kept)
    )
