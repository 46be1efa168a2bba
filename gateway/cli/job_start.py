"""Owns what `weir job start` asks for: which kinds there are, and the arguments that each takes."""

from __future__ import annotations

import argparse
import time

from cluster.control import EmbeddedControlStore
from core.configs.encryption import DefaultEncryption
from core.errors import InvalidArgument, InvalidBucketName
from core.job_table import BUCKET, TO_BUCKET, Scope, describe, ref_text
from core.names import BucketRef, parse_native_bucket_name
from core.types import Bucket, BucketProps
from gateway.cli import bulk_words
from gateway.cli.bucket_names import bucket_named, parse_name
from gateway.cli.bulk import bulk_arguments
from gateway.cli.options import UsageError
from gateway.config import Config
from jobs.buckets import BUCKET_ID, OPTIONS, USER, CopyOptions
from jobs.inventory import CREATE_INVENTORY, InventoryOrder

_COPY, _MOVE = "copy-bck", "move-bck"
_COPY_ALONE = ("prefix", "prepend", "ext", "dry_run", "sync", "keep_going", "flat", "parallel")


def job_arguments(
    options: argparse.Namespace, config: Config, control: EmbeddedControlStore
) -> tuple[str, dict[str, str]]:
    """The kind of job that is asked for, by its canonical name, and its arguments. Raises UsageError."""
    found = describe(options.kind)
    kind = options.kind if found is None else found.kind
    _check_options(kind, options)
    if kind in bulk_words.KINDS:
        if not options.bucket:
            raise UsageError(f"{kind} needs --bucket")
        target = bucket_named(control, options.to) if options.to else None
        return kind, bulk_arguments(kind, options, bucket_named(control, options.bucket), target)
    if kind in (_COPY, _MOVE):
        return kind, _two_buckets(kind, options, config, control)
    if options.to:
        raise UsageError(f"--to is for {_COPY} and {_MOVE} alone")
    if found is not None and found.scope is Scope.BUCKET and not options.bucket:
        raise UsageError(f"{kind} needs --bucket")
    if not options.bucket:
        return kind, {}
    if kind == CREATE_INVENTORY:
        return kind, _inventory(bucket_named(control, options.bucket), options.prefix)
    return kind, {BUCKET: ref_text(bucket_named(control, options.bucket).ref)}


def _check_options(kind: str, options: argparse.Namespace) -> None:
    """That an option is not given in vain."""
    if kind not in bulk_words.KINDS:
        for name in bulk_words.OPTIONS:
            if getattr(options, name) and not (name == "latest" and kind == _COPY):
                raise UsageError(f"--{name.replace('_', '-')} is not for {kind}")
    if kind != _COPY and kind not in bulk_words.KINDS:
        for name in _COPY_ALONE:
            if getattr(options, name) and (kind, name) != (CREATE_INVENTORY, "prefix"):
                raise UsageError(f"--{name.replace('_', '-')} is for {_COPY} alone")


def _inventory(bucket: Bucket, prefix: str) -> dict[str, str]:
    if bucket.props.backend is None:
        raise UsageError(f"{bucket.name} lives here; inventories are of buckets that do not")
    return InventoryOrder(prefix=prefix, renew=True).arguments(bucket)


def _two_buckets(
    kind: str, options: argparse.Namespace, config: Config, control: EmbeddedControlStore
) -> dict[str, str]:
    if not options.bucket or not options.to:
        raise UsageError(f"{kind} needs --bucket, and --to for the other one")
    source, to = bucket_named(control, options.bucket), parse_name(options.to)
    arguments = {BUCKET: ref_text(source.ref), TO_BUCKET: ref_text(to)}
    present = control.bucket(to)
    if kind == _MOVE:
        if present is not None:
            raise UsageError(f"there is a bucket {options.to!r} already")
        _check_name(to)
        return {**arguments, BUCKET_ID: str(source.bucket_id)}
    copying = _copy_options(options)
    if source.ref == to and not copying.is_dry_run:
        raise UsageError("a bucket cannot be copied onto itself")
    if present is None and not copying.is_dry_run:
        _check_name(to)
        encryption = DefaultEncryption() if config.encryption.new_buckets == "AES256" else None
        props = BucketProps(encryption=encryption)
        control.create_bucket_sync(to, source.owner, config.region, props, time.time_ns())
    return {**arguments, USER: source.owner.user_id, OPTIONS: copying.text()}


def _copy_options(options: argparse.Namespace) -> CopyOptions:
    extensions = {}
    for text in options.ext or ():
        old, mark, new = text.partition("=")
        if not mark or not old:
            raise UsageError(f"--ext {text!r} is not of the form OLD=NEW, as in jpeg=jpg")
        extensions[old.lstrip(".")] = new.lstrip(".")
    if options.sync and (options.prepend or extensions):
        raise UsageError("--sync goes with neither --prepend nor --ext: the names would not match")
    return CopyOptions(
        prefix=options.prefix,
        prepend=options.prepend,
        extensions=extensions,
        is_dry_run=options.dry_run,
        removes_extra=options.sync,
        continues=options.keep_going,
        is_flat=options.flat,
        workers=options.parallel,
        latest=options.latest,
    )


def _check_name(ref: BucketRef) -> None:
    try:
        parse_native_bucket_name(ref.name)
    except (InvalidBucketName, InvalidArgument):
        raise UsageError(f"{ref.name!r} is no name that a bucket can have") from None
