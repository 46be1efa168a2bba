"""Owns the document of a bucket's event notifications, in both directions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from core.configs.notification import KNOWN_EVENTS, NotificationRule, RuleKind, find_overlap
from s3api.protocol_errors import EventBridgeNotImplemented, MalformedXML, invalid_argument
from s3api.xml import children, document, element, local_name, texts

_MAX_RULES = 100
_MAX_ID_LENGTH = 255
_MAX_FILTER_BYTES = 1024
_ELEMENTS: Mapping[RuleKind, tuple[str, str]] = {
    RuleKind.QUEUE: ("QueueConfiguration", "Queue"),
    RuleKind.TOPIC: ("TopicConfiguration", "Topic"),
    RuleKind.FUNCTION: ("CloudFunctionConfiguration", "CloudFunction"),
}
"""Kind → the rule's element, and the one in it that holds the ARN."""

_KINDS = {name: kind for kind, (name, _) in _ELEMENTS.items()}
_ARN = re.compile(r"arn:weir:(sqs|sns|lambda):([a-z0-9-]*):([A-Za-z0-9_-]{1,64}):([a-z]+)\Z")


def read_rules(
    root: Element, destinations: Mapping[str, str], region: str
) -> tuple[NotificationRule, ...]:
    """The rules of a NotificationConfiguration. `destinations`: the kind of each that is configured, by name.

    Raises MalformedXML, InvalidArgument, EventBridgeNotImplemented."""
    rules = []
    for node in root:
        name = local_name(node)
        if name == "EventBridgeConfiguration":
            raise EventBridgeNotImplemented
        if name not in _KINDS:
            raise MalformedXML(reason=f"unknown element {name}")
        rules.append(_rule(node, _KINDS[name], destinations, region))
    if len(rules) > _MAX_RULES:
        raise invalid_argument(
            "NotificationConfiguration", "", f"More than {_MAX_RULES} configurations"
        )
    ids = [rule.rule_id for rule in rules]
    if len(set(ids)) != len(ids):
        raise invalid_argument(
            "Id", "", "Same ID used for multiple configurations. IDs must be unique"
        )
    if event := find_overlap(rules):
        reason = (
            "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules "
            "if the prefixes are overlapping for the same event type."
        )
        raise invalid_argument("Event", event, reason)
    return tuple(rules)


def _rule(
    node: Element, kind: RuleKind, destinations: Mapping[str, str], region: str
) -> NotificationRule:
    fields = texts(node)
    rule_id = fields.get("Id", "").strip() or secrets.token_urlsafe(24)
    if len(rule_id) > _MAX_ID_LENGTH:
        raise invalid_argument("Id", rule_id, f"ID exceeds {_MAX_ID_LENGTH} characters")
    _, arn_name = _ELEMENTS[kind]
    arn = fields.get(arn_name, "").strip()
    if not arn:
        raise MalformedXML(reason=f"no {arn_name}")
    prefix, suffix = _filter(node)
    return NotificationRule(
        rule_id,
        kind,
        arn,
        _destination(arn, kind, destinations, region),
        _events(node),
        prefix,
        suffix,
    )


def _destination(arn: str, kind: RuleKind, destinations: Mapping[str, str], region: str) -> str:
    """The name of the configured destination that an ARN is of. Raises InvalidArgument."""
    found = _ARN.match(arn)
    if found is None:
        raise invalid_argument(arn, "", "The ARN could not be parsed")
    service, arn_region, name, destination_kind = found.groups()
    if (
        service != kind.value
        or arn_region not in ("", region)
        or destinations.get(name) != destination_kind
    ):
        raise invalid_argument(
            arn,
            "The destination does not exist",
            "Unable to validate the following destination configurations",
        )
    return name


def _events(node: Element) -> tuple[str, ...]:
    events = [(child.text or "").strip() for child in children(node, "Event")]
    if not events:
        raise MalformedXML(reason="no Event")
    for event in events:
        if event not in KNOWN_EVENTS:
            reason = "A specified event is not supported for notifications."
            raise invalid_argument("Event", event, reason)
    return tuple(dict.fromkeys(events))


def _filter(node: Element) -> tuple[str | None, str | None]:
    """Prefix and suffix; None where there is no such rule."""
    found: dict[str, str] = {}
    for holder in children(node, "Filter"):
        for key in children(holder, "S3Key"):
            for rule in children(key, "FilterRule"):
                fields = texts(rule)
                name, value = fields.get("Name", "").strip().lower(), fields.get("Value", "")
                _check_filter_rule(name, value, found)
                found[name] = value
    return found.get("prefix"), found.get("suffix")


def _check_filter_rule(name: str, value: str, found: Mapping[str, str]) -> None:
    if name not in ("prefix", "suffix"):
        raise invalid_argument(
            "FilterRule.Name", name, "filter rule name must be either prefix or suffix"
        )
    if name in found:
        reason = f"Cannot specify more than one {name} rule in a filter."
        raise invalid_argument("FilterRule.Name", name, reason)
    if len(value.encode()) > _MAX_FILTER_BYTES:
        reason = (
            f"Size of filter rule value cannot exceed {_MAX_FILTER_BYTES} bytes in UTF-8 "
            "representation"
        )
        raise invalid_argument("FilterRule.Value", value, reason)


def write_rules(rules: Sequence[NotificationRule]) -> bytes:
    """The document of the rules in force."""
    return document("NotificationConfiguration", *map(_written, rules))


def _written(rule: NotificationRule) -> str:
    name, arn_name = _ELEMENTS[rule.kind]
    content = [element("Id", rule.rule_id), element(arn_name, rule.arn)]
    content += [element("Event", event) for event in rule.events]
    filters = [
        f"<FilterRule>{element('Name', which)}{element('Value', value)}</FilterRule>"
        for which, value in (("Prefix", rule.prefix), ("Suffix", rule.suffix))
        if value is not None
    ]
    if filters:
        content.append(f"<Filter><S3Key>{''.join(filters)}</S3Key></Filter>")
    return f"<{name}>{''.join(content)}</{name}>"
