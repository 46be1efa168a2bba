"""Owns the operation that brings objects of a remote bucket here, by list, prefix or template."""

from __future__ import annotations

from dataclasses import asdict, replace

from core.claims import Permission
from core.configs.sections import parse_size
from core.errors import InvalidArgument
from core.types import NOBODY, Bucket
from gateway.native.call import NativeCall, NativeResponse, Row
from gateway.native.fields import Fields, fields_of, flag_of, text_of
from gateway.native.object_groups import admitted, selection_of
from gateway.native.operations.eviction import check_remote
from gateway.native.operations.jobs import ask_for
from jobs.object_group import GroupRequest
from jobs.parallel import MAX_WORKERS
from jobs.prefetch import PREFETCH, PrefetchOptions
from jobs.selection import Selection

_GET = ("s3:GetObject", Permission.GET)
_MAX_BLOB_WORKERS = 128


async def prefetch_objects(call: NativeCall) -> NativeResponse:
    """Refused while memory is short: what would be brought here would not stay."""
    fields = fields_of((await call.request.message()).value)
    selection = selection_of(fields, text_of(fields, "prefix"))
    options = prefetch_options(fields)
    bucket = call.bucket()
    check_remote(bucket, "prefetch")
    selection = await admitted(call, selection, bucket, (_GET,))
    call.services.load.check()
    request = GroupRequest(
        source=bucket.ref,
        source_id=bucket.bucket_id,
        user_id=call.identity.user_id or NOBODY,
        selection=replace(selection, is_flat=flag_of(fields, "non-recurs")),
        goes_on=flag_of(fields, "coer"),
        options=asdict(options),
    )
    return await ask_for(call, PREFETCH, request.arguments())


def prefetch_options(fields: Fields) -> PrefetchOptions:
    """Raises InvalidArgument."""
    return PrefetchOptions(
        latest=flag_of(fields, "latest-ver"),
        workers=_workers(fields, "num-workers", MAX_WORKERS),
        blob_threshold=_size(fields, "blob-threshold"),
        blob_chunk_bytes=_size(fields, "blob-chunk-size"),
        blob_workers=_workers(fields, "blob-num-workers", _MAX_BLOB_WORKERS, keeps_sign=True),
    )


def _workers(fields: Fields, name: str, maximum: int, *, keeps_sign: bool = False) -> int:
    """0 leaves it open, -1 says one after the other."""
    value = fields.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int) or value < -1:
        raise InvalidArgument(name=name, value=str(value)[:64], reason="it is a number from -1 on")
    if value == -1:
        return -1 if keeps_sign else 1
    return min(value, maximum)


def _size(fields: Fields, name: str) -> int:
    """A size, as a number or with its unit."""
    value = fields.get(name) or 0
    found = -1
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str):
        found = parse_size(value[:32], -1)
    if not 0 <= found < 2**63:
        raise InvalidArgument(name=name, value=str(value)[:64], reason="it is a size, such as 4MiB")
    return found


async def refresh(
    call: NativeCall, bucket: Bucket, selection: Selection, *, synchronizes: bool, goes_on: bool
) -> NativeResponse:
    """Bring what is selected in a remote bucket up to date: what copying it onto itself means."""
    call.services.load.check()
    request = GroupRequest(
        source=bucket.ref,
        source_id=bucket.bucket_id,
        user_id=call.identity.user_id or NOBODY,
        selection=selection,
        goes_on=goes_on,
        options=asdict(PrefetchOptions(latest=True, synchronizes=synchronizes)),
    )
    return await ask_for(call, PREFETCH, request.arguments())


ROWS = (Row("POST", "buckets", 1, prefetch_objects, "prefetch-listrange"),)
