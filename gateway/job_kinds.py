"""Owns which kinds of jobs a node runs on demand and by schedule, and what they work with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from cluster.control import EmbeddedControlStore
from core.lifecycle import Terms
from core.protocols import Clock
from gateway.config import Config
from gateway.storage_classes import storage_classes
from jobs.bucket_summary import BucketSummaryJob
from jobs.group_archive import ArchiveJob
from jobs.group_copy import CopyObjectsJob
from jobs.group_delete import DeleteObjectsJob
from jobs.lifecycle import LifecycleJob
from jobs.promote import PromoteJob
from jobs.queue import JobKind
from storage.node import LocalNode
from storage.shards.service import LocalShards

_NS_PER_S = 10**9


def job_kinds(
    config: Config, control: EmbeddedControlStore, node: LocalNode, clock: Clock
) -> Sequence[JobKind]:
    settings = config.lifecycle
    terms = Terms(
        day_ns=int(settings.day_s * _NS_PER_S),
        classes=[each.name for each in storage_classes(config)],
        minimum_bytes=settings.min_transition_bytes,
    )
    return [
        LifecycleJob(
            node, node, control, clock, terms, settings.interval_s, settings.actions_per_s
        ),
        DeleteObjectsJob(node, control),
        CopyObjectsJob(node, control),
        ArchiveJob(node, LocalShards(node), control),
        BucketSummaryJob(node, control),
        PromoteJob(node, control, config.native.promote_from),
    ]


def owner_name() -> str:
    """A name for this process as a worker; no two processes ever have the same."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"
