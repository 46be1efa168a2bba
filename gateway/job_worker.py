"""Owns the job worker: the process of a node in which background jobs run, away from requests."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

from cluster.control import EmbeddedControlStore
from cluster.jobs import JobRecords
from cluster.replicas import ControlReplicas
from cluster.standing_jobs import StandingRecords
from core.protocols import Clock
from gateway.backends import open_service
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.downloads import download_job
from gateway.event_destinations import open_destinations
from gateway.job_kinds import Cleaning, job_kinds, owner_name, watermarks
from gateway.keys import open_key_service
from gateway.node import open_node
from gateway.shards import open_shards
from gateway.startup import open_control, server_log_directory
from jobs.bucket_repair import BucketRepairJob
from jobs.event_delivery import EventDelivery, Pace
from jobs.inventory_upkeep import InventoryUpkeep
from jobs.load import LoadMonitor, SystemProbe
from jobs.lru import SpaceWatch
from jobs.periodic import ShouldStop, ThreadJob
from jobs.queue import JobQueue
from jobs.runner import Job, JobRunner
from jobs.server_logs import ServerLogJob
from jobs.shard_upkeep import ChangedShards, OrphanedIndexes
from storage.layout import IDENTITY_FILE
from storage.node import LocalNode

_REPAIR_INTERVAL_S = 15.0
_REPLICAS_INTERVAL_S = 2.0
_INVENTORIES_INTERVAL_S = 15.0


def run_job_worker(config: Config, parent_alive_fd: int, *, started_ns: int) -> None:
    """Run the jobs until SIGTERM or the parent's death; a job that is at work then is told to stop.

    `started_ns` is when the node started, before any of its workers did."""
    asyncio.run(_run(config, parent_alive_fd, started_ns))


async def _run(config: Config, parent_alive_fd: int, started_ns: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(parent_alive_fd, stop.set)
    with (
        closing(open_control(config)) as control,
        closing(open_key_service(config, control)) as keys,
        closing(
            ControlReplicas(control.database, lambda: _other_disks(config, control.home))
        ) as copies,
    ):
        # Found once, right after the control store: a set that has vanished meanwhile must not be taken for a new one.
        clock = SystemClock()
        node = await open_node(config, clock, keys)
        stack = AsyncExitStack()
        service = await stack.enter_async_context(open_service(config, control, node, clock))
        shards = open_shards(config.shards, service, node)
        cleaning = Cleaning(config, [mountpath.spec for mountpath in node.mountpaths.all])
        housekeeping: list[Job] = [
            BucketRepairJob(_REPAIR_INTERVAL_S, control, node, clock, started_ns),
            ThreadJob("control store copies", _REPLICAS_INTERVAL_S, _copying(copies)),
            *_housekeeping(config, control, node, clock, cleaning),
        ]
        try:
            with (
                closing(JobRecords(control.database)) as records,
                closing(StandingRecords(control.database)) as standing,
            ):
                load = LoadMonitor(SystemProbe(config.data))
                queue = JobQueue(
                    records,
                    [
                        *job_kinds(config, control, node, service, shards, cleaning),
                        download_job(config, service, control, keys),
                    ],
                    clock,
                    owner_name(),
                    load=load,
                    standing=standing,
                )
                housekeeping.append(_space_watch(config, control, node, records))
                async with asyncio.TaskGroup() as group:
                    measuring = group.create_task(load.run())
                    inventories = InventoryUpkeep(
                        *(_INVENTORIES_INTERVAL_S, node, service.inventories),
                        *(control, records, clock),
                    )
                    group.create_task(JobRunner([*housekeeping, inventories]).run(stop))
                    group.create_task(
                        _delivery(config, node, ChangedShards(node, shards, control)).run(stop)
                    )
                    await _run_queue(queue, records, stop)
                    measuring.cancel()
        finally:
            shards.close()
            await stack.aclose()
            await node.close()


def _housekeeping(
    config: Config,
    control: EmbeddedControlStore,
    node: LocalNode,
    clock: Clock,
    cleaning: Cleaning,
) -> Sequence[Job]:
    """What is repeated at the intervals of the settings."""
    cleanup_interval_s = config.jobs.space_cleanup_interval_s
    return [
        ServerLogJob(
            config.access_logging.interval_s, server_log_directory(control), control, node
        ),
        ThreadJob(
            "space cleanup",
            cleanup_interval_s,
            lambda should_stop: cleaning(should_stop).report,
        ),
        OrphanedIndexes(cleanup_interval_s, node, control, clock),
    ]


def _space_watch(
    config: Config, control: EmbeddedControlStore, node: LocalNode, records: JobRecords
) -> SpaceWatch:
    marks = watermarks(config)
    interval_s = config.space.check_interval_s
    return SpaceWatch(interval_s, node, control, records, marks, node.mountpaths.clock)


async def _run_queue(queue: JobQueue, records: JobRecords, stop: asyncio.Event) -> None:
    bell_fd = records.open_bell()
    try:
        await queue.run(stop, bell_fd)
    finally:
        if bell_fd is not None:
            records.close_bell(bell_fd)


def _delivery(config: Config, node: LocalNode, changed_shards: ChangedShards) -> EventDelivery:
    events = config.events
    pace = Pace(events.poll_interval_s, events.max_retry_interval_s)
    return EventDelivery(node.outbox, [changed_shards, *open_destinations(config)], pace)


def _other_disks(config: Config, home: Path) -> Sequence[Path]:
    """The data directories beside the control store's own whose disks are there."""
    return [d for d in config.data if d != home and (d / IDENTITY_FILE).exists()]


def _copying(copies: ControlReplicas) -> Callable[[ShouldStop], str]:
    def work(_: ShouldStop) -> str:
        renewed = copies.refresh_sync()
        return f"renewed {renewed}" if renewed else ""

    return work
