"""Owns the rules of server access logs that the configuring and the delivery share: who lets them in, and how the log
objects are called. Pure.

Source: AWS, Logging requests with server access logging; Log object key format; Permissions for log delivery.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from core import access, acl
from core.access import Resource
from core.configs.logging import Logging, PartitionDateSource
from core.names import BucketName, BucketRef, UserId
from core.types import NOBODY, Bucket, Grant, Group, Permission

SERVICE = "logging.s3.amazonaws.com"

_PUT = "s3:PutObject"


@dataclass(frozen=True, slots=True)
class Source:
    """The bucket that records are about, as much of it as outlives it."""

    name: str
    owner_id: str
    region: str


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it waits: where from, where to, when it happened, and its line."""

    source: Source
    target: Logging
    time_ns: int
    line: str


def source_of(bucket: Bucket) -> Source:
    """A bucket as the source of records."""
    return Source(bucket.name, bucket.owner.user_id, bucket.region)


def may_deliver(source: Source, target: Bucket, prefix: str) -> bool:
    """Whether the target bucket lets records of the source in: by its policy, for the logging service; or by its ACL,
    for the log delivery group, if both have one owner."""
    facts = _SourceFacts(source)
    if access.authorize_service(SERVICE, _PUT, Resource(target, prefix), facts):
        return True
    if source.owner_id != target.owner.user_id or not acl.acls_count(target.props):
        return False
    owner_id = target.owner.user_id
    granted = {
        grant.permission
        for grant in acl.grants_of(target.props.acl, owner_id, owner_id)
        if grant.group is Group.LOG_DELIVERY
    }
    return not granted.isdisjoint({Permission.WRITE, Permission.FULL_CONTROL})


class _SourceFacts:
    """What a policy's conditions may ask of a delivery."""

    def __init__(self, source: Source) -> None:
        self._values = {
            "aws:sourcearn": (f"arn:aws:s3:::{source.name}",),
            "aws:sourceaccount": (source.owner_id,),
            "aws:principalisawsservice": ("true",),
            "aws:principalservicename": (SERVICE,),
        }

    def values(self, key: str) -> Sequence[str] | None:
        return self._values.get(key)


def object_acl(target: Logging, owner_id: UserId) -> tuple[Grant, ...]:
    """The ACL of a log object: all for the target's owner, and what else was asked for."""
    owners = Grant(Permission.FULL_CONTROL, owner_id)
    asked = (
        Grant(
            Permission(each.permission),
            UserId(each.user_id) if each.user_id else NOBODY,
            Group(each.group) if each.group else None,
        )
        for each in target.grants
    )
    return tuple(dict.fromkeys((owners, *asked)))


def day_of(row: Row) -> str:
    """The day that a log object's name takes from its records; "" if from none."""
    if row.target.partition is not PartitionDateSource.EVENT_TIME:
        return ""
    return _date(row.time_ns, "%Y-%m-%d")


def object_key(source: Source, target: Logging, day: str, delivered_ns: int, seed: str) -> str:
    """How a log object is called. The same seed gives the same name: what is delivered again replaces itself."""
    text = f"{seed}\n{source.name}\n{target.prefix}\n{day}"
    unique = hashlib.sha256(text.encode()).hexdigest()[:16].upper()
    stamp = f"{day}-00-00-00" if day else _date(delivered_ns, "%Y-%m-%d-%H-%M-%S")
    if target.partition is None:
        return f"{target.prefix}{stamp}-{unique}"
    path = stamp[:10].replace("-", "/")
    place = f"{source.owner_id}/{source.region}/{source.name}/{path}"
    return f"{target.prefix}{place}/{stamp}-{unique}"


def target_ref(target: Logging) -> BucketRef:
    """The bucket that log objects go to."""
    return BucketRef(BucketName(target.target_bucket))


def _date(time_ns: int, form: str) -> str:
    return time.strftime(form, time.gmtime(time_ns // 10**9))
