"""Owns what a bucket says of event notifications: which events of which keys are told to which destination.

What happens in an event, and what is written of it, is core.events's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

EVENTS: Sequence[str] = (
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:ObjectAcl:Put",
    "s3:ObjectRetention:Put",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
)
"""What happens here and can be told (AWS: Event notification types and destinations)."""

NEVER_HAPPENING = frozenset(
    {
        "s3:ReducedRedundancyLostObject",
        "s3:ObjectRestore:Post",
        "s3:ObjectRestore:Completed",
        "s3:ObjectRestore:Delete",
        "s3:Replication:OperationFailedReplication",
        "s3:Replication:OperationNotTracked",
        "s3:Replication:OperationMissedThreshold",
        "s3:Replication:OperationReplicatedAfterThreshold",
        "s3:IntelligentTiering",
        "s3:ObjectAnnotation:Put",
        "s3:ObjectAnnotation:Delete",
    }
)
"""S3's events of features that are not here: a rule may name them, as it may on a bucket that uses none of those."""

_FAMILIES = frozenset(
    f"{name.rpartition(':')[0]}:*" for name in (*EVENTS, *NEVER_HAPPENING) if name.count(":") == 2
)
KNOWN_EVENTS = frozenset(EVENTS) | NEVER_HAPPENING | _FAMILIES
"""Every event type that a rule may name."""


class RuleKind(StrEnum):
    """The element that a rule was written as, by the service in its destination's ARN."""

    QUEUE = "sqs"
    TOPIC = "sns"
    FUNCTION = "lambda"


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """Events of the keys with a prefix and a suffix go to a destination, which the administrator configured under a
    name. None: no such filter was written, which comes to an empty one."""

    rule_id: str
    kind: RuleKind
    arn: str
    destination: str
    events: tuple[str, ...]
    prefix: str | None = None
    suffix: str | None = None

    def wants(self, event: str, key: str) -> bool:
        """Whether the rule tells of an event ("s3:ObjectCreated:Put") of a key."""
        return (
            key.startswith(self.prefix or "")
            and key.endswith(self.suffix or "")
            and (event in self.events or f"{event.rpartition(':')[0]}:*" in self.events)
        )


def find_overlap(rules: Sequence[NotificationRule]) -> str:
    """An event that two of the rules would both tell of one key; "" if there is none.

    S3 refuses such rules (AWS: Examples of notification configurations with invalid prefix and suffix overlapping).
    """
    for number, rule in enumerate(rules):
        for other in rules[:number]:
            if _start_alike(rule.prefix or "", other.prefix or "") and _end_alike(
                rule.suffix or "", other.suffix or ""
            ):
                common = _expanded(rule.events) & _expanded(other.events)
                if common:
                    return min(common)
    return ""


def _start_alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _end_alike(one: str, other: str) -> bool:
    return one.endswith(other) or other.endswith(one)


def _expanded(events: Sequence[str]) -> set[str]:
    every = (*EVENTS, *NEVER_HAPPENING)
    return {
        name
        for event in events
        for name in every
        if name == event or (event.endswith(":*") and name.startswith(event[:-1]))
    }
