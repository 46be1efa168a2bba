"""Owns `weir doctor`: what is checked, what the user sees meanwhile, and how the outcome reads."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import closing

from gateway.cli.options import keep_files_private, load
from gateway.cli.progress import Progress, size_text
from gateway.config import Config
from gateway.startup import hold_store, open_control
from storage.doctor import CheckReport, Finding, check_sync
from storage.layout import MountpathSpec, open_set_sync
from storage.rebuild import RebuildReport, rebuild_index_sync
from storage.space import clean_sync


def doctor(arguments: argparse.Namespace) -> int:
    """weir doctor"""
    config = load(arguments).config
    with closing(open_control(config)) as control:
        damage = control.database.check()
        names = {bucket.bucket_id: bucket.name for bucket in control.buckets()}
    specs = open_set_sync(config.data)
    if arguments.rebuild_index:
        return _rebuild(config, specs, names)
    if arguments.clean:
        removed = str(clean_sync(specs, min_age_s=0))
        print(f"cleaned    {removed or 'nothing to remove'}")
    with Progress() as progress:
        report = check_sync(specs, progress=lambda so_far: progress.show(_counts(so_far)))
    print(f"checked    {_counts(report)}")
    print(f"leftovers  {_leftovers(report)}")
    if damage:
        print(f"damage     control store: {damage}")
    _print_findings(report.findings, names)
    if not damage and report.is_sound:
        print("damage     none")
        return 0
    _print_advice(report.findings)
    return 1


def _rebuild(config: Config, specs: Sequence[MountpathSpec], names: Mapping[int, str]) -> int:
    held = hold_store(config)
    keep_files_private()
    try:
        with Progress() as progress:
            report = rebuild_index_sync(
                specs,
                bucket_ids=names.keys(),
                progress=lambda so_far: progress.show(_rebuilt(so_far)),
            )
    finally:
        for fd in held:
            os.close(fd)
    print(f"rebuilt    {_rebuilt(report)}")
    _print_findings(report.findings, names)
    print("Run weir doctor to check the result.")
    return 1 if report.findings else 0


def _print_findings(findings: Sequence[Finding], names: Mapping[int, str]) -> None:
    for finding in findings:
        bucket = names.get(finding.bucket_id, f"(deleted bucket {finding.bucket_id})")
        # Keys may hold control characters, which a terminal would obey.
        whose = f"s3://{bucket}/{repr(finding.key)[1:-1]}: " if finding.key else ""
        print(f"damage     {whose}{finding.what}, in {finding.mountpath}")


def _print_advice(findings: Sequence[Finding]) -> None:
    """What to do about it: objects and whole mountpaths are mended differently."""
    print()
    if any(finding.key for finding in findings):
        print(
            "Damaged objects are refused, never served wrong. Put them again from where they came"
        )
        print("from, or delete them.")
    if any(not finding.key for finding in findings):
        print(
            "A directory of the store that was not given or has no store in it: name all of them with"
        )
        print(
            "--data, and check that their disks are mounted. A lost or damaged index.db: stop the"
        )
        print("server and make it anew with weir doctor --rebuild-index.")


def _counts(report: CheckReport) -> str:
    return (
        f"{report.objects} objects, {report.other_versions} other versions, {report.parts} parts of uploads in"
        f" progress, {report.blobs} blobs, {report.small_rows} small rows; {size_text(report.bytes_verified)} verified"
    )


def _leftovers(report: CheckReport) -> str:
    if not (report.unnamed_blobs or report.unnamed_rows or report.garbage_rows):
        return "none"
    return (
        f"{report.unnamed_blobs} unnamed blobs, {report.unnamed_rows} unnamed small rows,"
        f" {report.garbage_rows} removals to finish; the space cleanup does it, or weir doctor --clean"
    )


def _rebuilt(report: RebuildReport) -> str:
    return (
        f"{report.objects} objects from {report.small_rows} small rows and {report.blobs} blobs"
        f" ({report.unfinished_blobs} unfinished)"
    )
