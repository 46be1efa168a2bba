"""Owns what a bucket says of server access logging: into which bucket its records go, and under which names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PartitionDateSource(StrEnum):
    """Which day stands in the name of a log object: that of the requests in it, or that of its delivery."""

    EVENT_TIME = "EventTime"
    DELIVERY_TIME = "DeliveryTime"


@dataclass(frozen=True, slots=True)
class LogGrant:
    """Who may do what with the log objects: a user by id or, if that is empty, a group by URI."""

    permission: str
    user_id: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Logging:
    """AWS: Enabling Amazon S3 server access logging. `partition` None: names are simple, the prefix and a time."""

    target_bucket: str
    prefix: str
    partition: PartitionDateSource | None = None
    grants: tuple[LogGrant, ...] = ()
