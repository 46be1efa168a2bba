"""Owns `weir job`: asking for jobs, looking at them, waiting for and stopping them, whether the server runs or not.

Without a server, `weir job start` runs the job itself; all else works on the records.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from cluster.control import EmbeddedControlStore
from cluster.jobs import JobRecords
from core.job_table import BUCKET, SEALED, TO_BUCKET
from core.jobs import BYTES, OBJECTS, JobRecord, JobState
from gateway.backends import open_service
from gateway.cli.job_progress import JobProgressLine, state_text
from gateway.cli.job_start import job_arguments
from gateway.cli.options import UsageError, keep_files_private, load
from gateway.cli.progress import size_text
from gateway.cli.table import print_rows, time_text
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.downloads import download_job
from gateway.job_kinds import job_kinds, owner_name
from gateway.keys import open_key_service
from gateway.node import open_node
from gateway.shards import open_shards
from gateway.startup import StoreInUse, hold_store, open_control
from jobs.queue import JobQueue

_POLL_S = 0.2


def start(arguments: argparse.Namespace) -> int:
    """weir job start"""
    config = load(arguments).config
    with opened_records(config) as (control, records):
        kind, wanted = job_arguments(arguments, config, control)
        held = hold_unserved(config)
        try:
            record = records.add_sync(kind, wanted, time.time_ns())
            print(record.job_id, flush=True)
            if held is None:
                return 0
            keep_files_private()
            asyncio.run(run_here(config, control, records, record.job_id))
            return outcome(records.get_sync(record.job_id))
        finally:
            for fd in held or ():
                os.close(fd)


async def run_here(
    config: Config, control: EmbeddedControlStore, records: JobRecords, job_id: str
) -> None:
    """Run the job in this process, which has the store for itself. Ctrl-C leaves the job for another to go on with."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock = SystemClock()
    with closing(open_key_service(config, control)) as keys:
        node = await open_node(config, clock, keys)
        try:
            async with open_service(config, control, node, clock) as service:
                with closing(open_shards(config.shards, service, node)) as shards:
                    kinds = [
                        *job_kinds(config, control, node, service, shards),
                        download_job(config, service, control, keys),
                    ]
                    queue = JobQueue(records, kinds, clock, owner_name())
                    await queue.recover()
                    await queue.run_one(job_id, stop)
        finally:
            await node.close()


def hold_unserved(config: Config) -> tuple[int, ...] | None:
    """The store for this process alone; None if a server has it, which then runs the jobs."""
    try:
        return hold_store(config, wait_s=0)
    except StoreInUse:
        return None


def list_jobs(arguments: argparse.Namespace) -> int:
    """weir job ls"""
    with opened_records(load(arguments).config) as (_, records):
        found = records.list_sync(only_pending=not arguments.all)
        rows = [_row(record) for record in found]
    columns = ["id", "kind", "buckets", "state", "objects", "bytes", "started", "ended"]
    print_rows(rows, columns, arguments.json)
    return 0


def status(arguments: argparse.Namespace) -> int:
    """weir job status"""
    with opened_records(load(arguments).config) as (_, records):
        row = _row(records.get_sync(arguments.job_id))
    if arguments.json:
        print(json.dumps(row, indent=2))
        return 0
    for name, value in row.items():
        if name == "counters":
            print(f"{name:10} {', '.join(f'{key}={n}' for key, n in value.items())}")
        elif value != "" and not (name == "arguments" and row["buckets"]):
            print(f"{name:10} {value}")
    return 0


def wait(arguments: argparse.Namespace) -> int:
    """weir job wait"""
    config = load(arguments).config
    deadline = None if arguments.timeout is None else time.monotonic() + arguments.timeout
    with (
        opened_records(config) as (_, records),
        JobProgressLine(is_wanted=arguments.progress) as progress,
    ):
        while True:
            record = records.get_sync(arguments.job_id)
            if record.state.has_ended or record.idle_ns:
                break
            progress.show(record)
            if deadline is not None and time.monotonic() > deadline:
                raise UsageError(
                    f"job {record.job_id} has not ended: {record.state}; wait again, or see weir job status"
                )
            _check_served(config, record)
            time.sleep(_POLL_S)
    print(_line(record))
    return outcome(record)


def _check_served(config: Config, record: JobRecord) -> None:
    """Raises UsageError where nobody will ever run the job."""
    held = hold_unserved(config)
    if held is None:
        return
    for fd in held:
        os.close(fd)
    raise UsageError(
        f"job {record.job_id} is {record.state}, and no server runs that could go on with it;"
        " start one with weir serve"
    )


def stop(arguments: argparse.Namespace) -> int:
    """weir job stop"""
    config = load(arguments).config
    with opened_records(config) as (_, records):
        held = hold_unserved(config)
        try:
            if held is not None:
                # Nobody runs it any more, whatever its record says.
                records.recover_sync(time.time_ns())
            record = records.stop_sync(arguments.job_id, time.time_ns())
        finally:
            for fd in held or ():
                os.close(fd)
    print(f"{record.job_id} {'is asked to stop' if not record.state.has_ended else record.state}")
    return 0


def outcome(record: JobRecord) -> int:
    """The exit status of a job that has ended; what it failed with is said."""
    if record.error:
        print(f"weir: job {record.job_id}: {record.error}", file=sys.stderr)
    return 1 if record.state in (JobState.STOPPED, JobState.FAILED) else 0


@contextmanager
def opened_records(config: Config) -> Iterator[tuple[EmbeddedControlStore, JobRecords]]:
    """The control store, and its records of jobs."""
    with closing(open_control(config)) as control, closing(JobRecords(control.database)) as records:
        yield control, records


def _row(record: JobRecord) -> dict[str, Any]:
    progress = record.progress
    return {
        "id": record.job_id,
        "kind": record.kind,
        "buckets": " -> ".join(
            record.arguments[name] for name in (BUCKET, TO_BUCKET) if name in record.arguments
        ),
        "arguments": " ".join(
            f"{name}={value}" for name, value in record.arguments.items() if name != SEALED
        ),
        "state": state_text(record),
        "objects": progress.counters.get(OBJECTS, 0),
        "bytes": progress.counters.get(BYTES, 0),
        "created": time_text(record.created_ns),
        "started": time_text(record.started_ns),
        "ended": time_text(record.ended_ns),
        "message": progress.message,
        "error": record.error,
        "counters": dict(progress.counters),
    }


def _line(record: JobRecord) -> str:
    counters = record.progress.counters
    parts: Sequence[str] = [
        f"{record.kind} {record.job_id} {state_text(record)}",
        f"{counters.get(OBJECTS, 0)} objects",
        size_text(counters.get(BYTES, 0)),
    ]
    more = [f"{n} {name}" for name, n in counters.items() if n and name not in (OBJECTS, BYTES)]
    message = f" ({record.progress.message})" if record.progress.message else ""
    return ", ".join([*parts, *more]) + message
