"""Owns `weir download`: what is on the web becomes objects, by a job that is followed to its end."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.control import EmbeddedControlStore
from core.errors import InvalidArgument
from core.job_table import BUCKET, SEALED, ref_text
from core.jobs import JobRecord, JobStore
from core.names import parse_object_key
from core.sealing import seal_text
from core.templates import parse_template
from core.types import Bucket
from gateway.cli.bucket_names import bucket_named
from gateway.cli.bulk import size_of
from gateway.cli.job_progress import JobProgressLine
from gateway.cli.jobs import hold_unserved, opened_records, outcome, run_here
from gateway.cli.options import UsageError, keep_files_private, load
from gateway.config import Config
from gateway.keys import open_key_service
from jobs.downloads.hub import parse_hub_name
from jobs.downloads.job import binding_of
from jobs.downloads.report import errors_in
from jobs.downloads.request import DOWNLOAD, HUB, DownloadRequest, base_name, check_link

_POLL_S = 0.2


def download(arguments: argparse.Namespace) -> int:
    """weir download"""
    config = load(arguments).config
    with opened_records(config) as (control, records):
        request = _request(arguments, bucket_named(control, arguments.to))
        job_id = f"dnl-{secrets.token_hex(6)}"
        sealed = _sealed(config, control, request, job_id)
        named = {BUCKET: ref_text(request.bucket), "description": "", SEALED: sealed}
        held = hold_unserved(config)
        try:
            records.add_sync(DOWNLOAD, named, time.time_ns(), job_id=job_id)
            if held is None and arguments.no_wait:
                print(job_id)
                return 0
            print(job_id, file=sys.stderr, flush=True)
            with JobProgressLine() as progress:
                if held is None:
                    _follow(records, job_id, progress)
                else:
                    keep_files_private()
                    asyncio.run(_run(config, control, records, job_id, progress))
            return _told(records.get_sync(job_id))
        finally:
            for fd in held or ():
                os.close(fd)


def _request(arguments: argparse.Namespace, bucket: Bucket) -> DownloadRequest:
    subdir = f"{arguments.prefix.strip('/')}/" if arguments.prefix.strip("/") else ""
    request = DownloadRequest(
        bucket.ref,
        bucket.bucket_id,
        bucket.owner.user_id,
        subdir=subdir,
        headers=_headers(arguments.header_file),
        connections=max(0, min(arguments.connections, 64)),
        bytes_per_hour=size_of(arguments.bytes_per_hour, "--bytes-per-hour"),
    )
    links: list[str] = arguments.link
    try:
        if len(links) == 1 and links[0].startswith(HUB):
            parse_hub_name(links[0])
            return replace(request, hub=links[0])
        if len(links) == 1 and not parse_template(links[0]).is_prefix:
            template = parse_template(links[0])
            check_link(template.name(0))
            return replace(request, template=links[0])
        full = [check_link(link) for link in links]
    except InvalidArgument as error:
        raise UsageError(
            f"{error.reason}; weir download --help shows which links there are"
        ) from None
    nameless = [link for link in full if not base_name(link)]
    if nameless:
        raise UsageError("a link's path must end in the name of a file")
    pairs = tuple((parse_object_key(f"{subdir}{base_name(link)}".encode()), link) for link in full)
    return replace(request, links=pairs)


def _headers(path: Path | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in () if path is None else path.read_text().splitlines():
        name, mark, value = line.partition(":")
        if line.strip():
            if not mark or not name.strip() or not (name + value).isprintable():
                raise UsageError(f"{path}: a line is a header, as in Authorization: Bearer TOKEN")
            found[name.strip()] = value.strip()
    return found


def _sealed(
    config: Config, control: EmbeddedControlStore, request: DownloadRequest, job_id: str
) -> str:
    with closing(open_key_service(config, control)) as keys:
        return asyncio.run(seal_text(keys, binding_of(job_id), request.text()))


def _follow(records: JobStore, job_id: str, progress: JobProgressLine) -> None:
    while True:
        record = records.get_sync(job_id)
        if record.state.has_ended or record.idle_ns:
            return
        progress.show(record)
        time.sleep(_POLL_S)


async def _run(
    config: Config,
    control: EmbeddedControlStore,
    records: Any,
    job_id: str,
    progress: JobProgressLine,
) -> None:
    """In this process, which has the store for itself."""

    async def show() -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            progress.show(await asyncio.to_thread(records.get_sync, job_id))

    showing = asyncio.create_task(show())
    try:
        await run_here(config, control, records, job_id)
    finally:
        showing.cancel()


def _told(record: JobRecord) -> int:
    """What became of it. Exit status 1 if not all came."""
    counters = record.progress.counters
    errors = errors_in(record.progress.report)
    for each in errors:
        print(f"weir: {each['name']}: {each['error']}", file=sys.stderr)
    done, skipped = counters.get("objects", 0), counters.get("skipped_objects", 0)
    failed = counters.get("failed_objects", 0)
    print(f"{done} downloaded, {skipped} there already, {failed} failed")
    return outcome(record) or int(failed > 0)
