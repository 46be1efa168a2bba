"""Owns what `weir job start` asks for in bulk work on objects: prefetching, evicting, copying them."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from core.configs.sections import parse_size
from core.errors import InvalidArgument
from core.job_table import BUCKET, ref_text
from core.names import MAX_KEY_BYTES, ObjectKey
from core.templates import parse_template
from core.types import Bucket
from gateway.cli.options import UsageError
from jobs.copying import NameMap
from jobs.eviction import BUCKET_ID, EVICT_BUCKET, KEEPS_BUCKET
from jobs.group_copy import COPY_OBJECTS
from jobs.object_group import DEFAULT_WORKERS, GroupRequest
from jobs.prefetch import PREFETCH, PrefetchOptions
from jobs.selection import Selection


def bulk_arguments(
    kind: str, options: argparse.Namespace, source: Bucket, target: Bucket | None
) -> dict[str, str]:
    """The arguments of a job of these kinds. Raises UsageError."""
    if kind != COPY_OBJECTS and source.props.backend is None:
        raise UsageError(
            f"{kind} is for remote buckets: {source.name!r} is the only place of its objects"
        )
    if kind == EVICT_BUCKET:
        return {
            BUCKET: ref_text(source.ref),
            BUCKET_ID: str(source.bucket_id),
            KEEPS_BUCKET: "yes" if options.keep_bucket else "no",
        }
    made: dict[str, object] = {}
    if kind == PREFETCH:
        made = asdict(
            PrefetchOptions(
                latest=options.latest,
                synchronizes=options.sync,
                workers=options.parallel,
                blob_threshold=size_of(options.blob_threshold, "--blob-threshold"),
            )
        )
    elif kind == COPY_OBJECTS:
        made = _copy_options(options, source, target)
    request = GroupRequest(
        source=source.ref,
        source_id=source.bucket_id,
        user_id=source.owner.user_id,
        selection=_selection(options),
        target=None if target is None else target.ref,
        target_id=0 if target is None else target.bucket_id,
        goes_on=options.keep_going,
        workers=max(1, options.parallel or DEFAULT_WORKERS),
        options=made,
    )
    return dict(request.arguments())


def _copy_options(
    options: argparse.Namespace, source: Bucket, target: Bucket | None
) -> dict[str, object]:
    names = NameMap(options.prepend)
    if target is None or (source.bucket_id == target.bucket_id and names.keeps_names):
        raise UsageError(f"{COPY_OBJECTS} needs another bucket in --to, or --prepend")
    return {
        "prepend": options.prepend,
        "is_dry_run": options.dry_run,
        "synchronizes": options.sync,
        "latest": options.latest,
    }


def _selection(options: argparse.Namespace) -> Selection:
    if options.object and (options.template or options.prefix):
        raise UsageError("objects are named by --object, or found by --template and --prefix")
    if options.object:
        for name in options.object:
            if not 0 < len(name.encode()) <= MAX_KEY_BYTES:
                raise UsageError(f"no object can be called {name[:64]!r}")
        return Selection([ObjectKey(name) for name in options.object])
    try:
        parse_template(options.template)
    except InvalidArgument as error:
        raise UsageError(f"--template: {error.reason}") from None
    return Selection(template=options.template, prefix=options.prefix, is_flat=options.flat)


def size_of(text: str, option: str) -> int:
    """A size as people write it, 0 for none. Raises UsageError."""
    size_bytes = parse_size(text, -1) if text else 0
    if size_bytes < 0:
        raise UsageError(f"{option} {text!r} is no size, as 64MiB is")
    return size_bytes
