"""Owns the document of a bucket's server access logging, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from core.configs.logging import Logging, LogGrant, PartitionDateSource
from s3api.acls import GRANTEE_TYPES, XSI, XSI_TYPE
from s3api.protocol_errors import MalformedXML
from s3api.xml import children, document, element, first_child, local_name, texts

_PERMISSIONS = frozenset({"FULL_CONTROL", "READ", "WRITE"})
_MAX_GRANTS = 100


def read_logging(root: Element) -> tuple[Logging, Sequence[tuple[str, str, str]]] | None:
    """What a BucketLoggingStatus asks for, with its grants as (permission, kind of grantee, name); None for no logging.

    Raises MalformedXML."""
    nodes = list(root)
    if not nodes:
        return None
    (node, *more) = nodes
    if more or local_name(node) != "LoggingEnabled":
        raise MalformedXML(reason="one LoggingEnabled is wanted")
    fields = texts(node)
    if "TargetBucket" not in fields or "TargetPrefix" not in fields:
        raise MalformedXML(reason="no TargetBucket or no TargetPrefix")
    grants = [
        _grant(each)
        for holder in children(node, "TargetGrants")
        for each in children(holder, "Grant")
    ]
    if len(grants) > _MAX_GRANTS:
        raise MalformedXML(reason=f"{len(grants)} grants")
    return Logging(fields["TargetBucket"], fields["TargetPrefix"], _partition(node)), grants


def _grant(node: Element) -> tuple[str, str, str]:
    permission = texts(node).get("Permission", "").strip()
    grantee = first_child(node, "Grantee")
    if grantee is None or permission not in _PERMISSIONS:
        raise MalformedXML(reason="a grant without grantee, or of no permission there is")
    kind, name = GRANTEE_TYPES.get(grantee.get(XSI_TYPE, ""), ("", ""))
    value = texts(grantee).get(name)
    if value is None:
        raise MalformedXML(reason="a grantee of no type there is, or without name")
    return permission, kind, value.strip()


def _partition(node: Element) -> PartitionDateSource | None:
    forms = [form for each in children(node, "TargetObjectKeyFormat") for form in each]
    if len(forms) > 1:
        raise MalformedXML(reason="two formats of keys")
    if not forms or local_name(forms[0]) == "SimplePrefix":
        return None
    if local_name(forms[0]) != "PartitionedPrefix":
        raise MalformedXML(reason=f"a format of keys {local_name(forms[0])}")
    asked = texts(forms[0]).get("PartitionDateSource", PartitionDateSource.EVENT_TIME.value)
    try:
        return PartitionDateSource(asked.strip())
    except ValueError:
        raise MalformedXML(reason=f"a date source {asked!r}") from None


def write_logging(logging: Logging | None) -> bytes:
    """The document of what is in force."""
    if logging is None:
        return document("BucketLoggingStatus")
    form = "<SimplePrefix/>"
    if logging.partition is not None:
        source = element("PartitionDateSource", logging.partition.value)
        form = f"<PartitionedPrefix>{source}</PartitionedPrefix>"
    content = [
        element("TargetBucket", logging.target_bucket),
        element("TargetPrefix", logging.prefix),
        f"<TargetObjectKeyFormat>{form}</TargetObjectKeyFormat>",
    ]
    if logging.grants:
        content.append(f"<TargetGrants>{''.join(map(_shown, logging.grants))}</TargetGrants>")
    return document("BucketLoggingStatus", f"<LoggingEnabled>{''.join(content)}</LoggingEnabled>")


def _shown(grant: LogGrant) -> str:
    if grant.user_id:
        kind, grantee = "CanonicalUser", element("ID", grant.user_id)
    else:
        kind, grantee = "Group", element("URI", grant.group)
    return (
        f'<Grant><Grantee xmlns:xsi="{XSI}" xsi:type="{kind}">{grantee}</Grantee>'
        f"{element('Permission', grant.permission)}</Grant>"
    )
