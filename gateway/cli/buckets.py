"""Owns `weir bucket`: making buckets that live elsewhere known here, without a client."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import time

from backends.registry import OpenBackends
from cluster.accounts import AccountRecords
from core.backends import RemoteBucket
from core.configs.backend import BackendBinding
from core.errors import BucketExists, BucketOwnedByYou, Invalid, StoreError
from core.names import BucketName, BucketRef
from core.types import Bucket, BucketProps
from gateway.cli.accounts import advice, opened
from gateway.cli.bucket_names import parse_url, url_of
from gateway.cli.options import UsageError, load
from gateway.native.bucket_names import check_new_bucket
from gateway.native.props import in_region


def add(arguments: argparse.Namespace) -> int:
    """weir bucket add"""
    there = _ref(arguments.url)
    here = _checked(BucketRef(BucketName(arguments.as_name))) if arguments.as_name else there
    props = BucketProps(backend=BackendBinding(there, arguments.account))
    config = load(arguments).config
    with opened(arguments) as store:
        root = next(user for user in store.control.users() if user.is_root)
        wanted = Bucket(here, 0, root, 0, "", props)
        if not arguments.unasked:
            props = in_region(props, asyncio.run(_asked(store.accounts, wanted)).region)
        try:
            store.control.create_bucket_sync(here, root, config.region, props, time.time_ns())
        except (BucketExists, BucketOwnedByYou):
            raise UsageError(f"{url_of(here)} is known here already") from None
        named_alike = [
            each.ref
            for each in store.control.buckets()
            if each.name == here.name and each.ref != here
        ]
    if here.is_plain or not named_alike:
        print(f"{url_of(here)} is root's; S3 clients find it as s3://{here.name}")
    else:
        print(
            f"{url_of(here)} is root's; S3 clients cannot tell it from {url_of(named_alike[0])};"
            f" to give it a name of its own: weir bucket add {shlex.quote(url_of(here))} --as NAME"
        )
    return 0


async def _asked(accounts: AccountRecords, bucket: Bucket) -> RemoteBucket:
    binding = bucket.props.backend
    assert binding is not None
    backends = OpenBackends(accounts)
    try:
        return await backends.of(bucket).head_bucket(binding.bucket.name)
    except StoreError as error:
        wrong, then = advice(error, binding.bucket.name)
        raise UsageError(f"{url_of(binding.bucket)}: {wrong}; {then}".rstrip("; ")) from None
    finally:
        await backends.close()


def _ref(url: str) -> BucketRef:
    ref = parse_url(url)
    if not ref.is_remote:
        raise UsageError(f"{url} is no bucket that lives elsewhere")
    return _checked(ref)


def _checked(ref: BucketRef) -> BucketRef:
    try:
        check_new_bucket(ref)
    except Invalid as error:
        reason = error.fields.get("reason") or "no bucket can be called so"
        raise UsageError(f"{url_of(ref)}: {reason}") from None
    return ref
