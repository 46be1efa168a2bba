"""Owns which kinds of jobs a node runs on demand and by schedule, and what they work with."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Sequence

from cluster.control import EmbeddedControlStore
from core.lifecycle import Terms
from core.shards import Shards
from gateway.config import Config
from gateway.service import SingleNodeService
from gateway.storage_classes import storage_classes
from jobs.blob_download import BlobDownloadJob
from jobs.bucket_summary import BucketSummaryJob
from jobs.buckets import CopyBucketJob, MoveBucketJob
from jobs.eviction import EvictBucketJob, EvictObjectsJob
from jobs.group_archive import ArchiveJob
from jobs.group_copy import CopyObjectsJob
from jobs.group_delete import DeleteObjectsJob
from jobs.inventory import CreateInventoryJob
from jobs.lifecycle import LifecycleJob
from jobs.lookup import AtBackend
from jobs.lru import LruJob, Watermarks
from jobs.periodic import ShouldStop
from jobs.prefetch import PrefetchJob
from jobs.promote import PromoteJob
from jobs.queue import JobKind
from jobs.rechunk import RechunkJob
from jobs.shard_index import IndexShardJob, ShardSummaryJob
from jobs.upkeep import CleanupJob, NothingToDo, Removed, WarmUpJob
from storage.layout import MountpathSpec
from storage.node import LocalNode
from storage.space import clean_sync

_NS_PER_S = 10**9


def job_kinds(
    config: Config,
    control: EmbeddedControlStore,
    node: LocalNode,
    service: SingleNodeService,
    shards: Shards,
    cleaning: Cleaning | None = None,
) -> Sequence[JobKind]:
    clock = node.mountpaths.clock
    clean = cleaning or Cleaning(config, [each.spec for each in node.mountpaths.all])
    settings = config.lifecycle
    terms = Terms(
        day_ns=int(settings.day_s * _NS_PER_S),
        classes=[each.name for each in storage_classes(config)],
        minimum_bytes=settings.min_transition_bytes,
    )
    return [
        LifecycleJob(
            service, node, control, clock, terms, settings.interval_s, settings.actions_per_s
        ),
        DeleteObjectsJob(service, control),
        CopyObjectsJob(service, control, node),
        ArchiveJob(service, shards, control),
        EvictObjectsJob(node, control),
        *_prefetching(control, node, service),
        EvictBucketJob(service),
        CreateInventoryJob(service, service.inventories, control, clock),
        BucketSummaryJob(node, _at_backends(service), control),
        PromoteJob(service, control, config.native.promote_from),
        RechunkJob(node, node, control, service.resend),
        CopyBucketJob(service),
        MoveBucketJob(service),
        CleanupJob(clean),
        WarmUpJob(control, node),
        *_evicting(config, control, node, service),
        NothingToDo("rebalance", "nothing to move: there is one node"),
        NothingToDo("resilver", "nothing to move: objects stay on the mountpath they were put on"),
        IndexShardJob(node, shards, control),
        ShardSummaryJob(node, shards, control),
    ]


def watermarks(config: Config) -> Watermarks:
    """Between which copies are evicted."""
    space = config.space
    return Watermarks(min(space.low_percent, space.high_percent), space.high_percent)


def _evicting(
    config: Config, control: EmbeddedControlStore, node: LocalNode, service: SingleNodeService
) -> Sequence[JobKind]:
    if service.usage is None:
        return ()
    return (LruJob(node, node, service.usage, control, watermarks(config)),)


def _prefetching(
    control: EmbeddedControlStore, node: LocalNode, service: SingleNodeService
) -> Sequence[JobKind]:
    """Where there is anything to fetch from."""
    if service.backends is None or service.bring is None:
        return ()
    kinds: list[JobKind] = [PrefetchJob(service, node, service.backends, control, service.bring)]
    if service.blobs is not None:
        kinds.append(BlobDownloadJob(service.blobs, control))
    return kinds


def _at_backends(service: SingleNodeService) -> AtBackend | None:
    return None if service.backends is None else AtBackend(service.backends)


class Cleaning:
    """The space cleanup of a node's mountpaths, one at a time, whoever asks for it. Blocking."""

    def __init__(self, config: Config, specs: Sequence[MountpathSpec]) -> None:
        self._min_age_s = config.jobs.space_cleanup_age_s
        self._specs = specs
        self._turn = threading.Lock()

    def __call__(self, should_stop: ShouldStop) -> Removed:
        with self._turn:
            report = clean_sync(self._specs, min_age_s=self._min_age_s, should_stop=should_stop)
        return Removed(report.blobs, report.blob_bytes, str(report))


def owner_name() -> str:
    """A name for this process as a worker; no two processes ever have the same."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"
