"""Owns blob downloads as native clients ask for them: by a job, or by a GET that streams what is fetched."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from core.blob_jobs import BLOB_DOWNLOAD, BlobRequest
from core.blobs import MAX_ASKED_WORKERS, BlobPlan
from core.claims import Permission
from core.configs.sections import parse_duration, parse_size
from core.errors import BackendDown, InvalidArgument
from core.job_table import BUCKET, ref_text
from core.jobs import StandingJob
from core.names import ObjectKey
from core.protocols import ObjectReader, Slice
from core.types import NOBODY, Bucket
from gateway.native.call import NativeCall, NativeResponse, Row, parse_native_key, text_response
from gateway.native.operations.jobs import ask_for
from gateway.native.presence import conditions_of

ASKS_FOR_BLOB = "ais-blob-download"
_NUMBER = re.compile(r"-?\d{1,9}\Z", re.ASCII)
_MAX_TIMEOUT_S = 24 * 3600.0


async def blob_download(call: NativeCall) -> NativeResponse:
    """Have one object fetched by reads side by side; answers the job's id. One is enough for an object: who asks while
    there is one gets that one's."""
    bucket = call.bucket()
    message = await call.request.message()
    key = None
    if message.name:
        key = parse_native_key(message.name.encode("utf-8", "surrogatepass"))
    await call.require("s3:GetObject", Permission.GET, bucket, key)
    if key is None:
        raise InvalidArgument(name="name", value="", reason="no object is named")
    _check_remote(bucket, "action", BLOB_DOWNLOAD)
    plan = _plan(message.fields(), "")
    call.services.load.check()
    await call.store.head(bucket, key)
    under_way = await asyncio.to_thread(_find_sync, call, bucket, key)
    if under_way:
        return text_response(under_way)
    request = BlobRequest(
        bucket.ref,
        bucket.bucket_id,
        key,
        call.identity.user_id or NOBODY,
        chunk_bytes=plan.chunk_bytes,
        workers=plan.workers,
        read_timeout_s=plan.read_timeout_s,
        latest=plan.latest,
        origin="api-blobdl",
    )
    return await ask_for(call, BLOB_DOWNLOAD, request.arguments())


def _find_sync(call: NativeCall, bucket: Bucket, key: ObjectKey) -> str:
    """The id of the job that fetches the object, "" if there is none."""
    for record in call.services.jobs.list_sync(only_pending=True):
        arguments = record.arguments
        if record.kind != BLOB_DOWNLOAD or arguments.get(BUCKET) != ref_text(bucket.ref):
            continue
        try:
            request = BlobRequest.of_arguments(arguments)
        except (KeyError, ValueError):
            continue  # no job of one object, or its arguments are too long to be told whole
        if (request.bucket_id, request.key) == (bucket.bucket_id, key):
            return record.job_id
    return ""


def asks_for_blob(call: NativeCall) -> bool:
    """Whether a GET is to fetch what it reads by reads side by side."""
    return call.request.headers.get(ASKS_FOR_BLOB, "").lower() == "true"


async def open_blob(call: NativeCall, bucket: Bucket, key: ObjectKey) -> ObjectReader:
    """A reader of the whole object, which streams while it is fetched."""
    headers, services = call.request.headers, call.services
    _check_remote(bucket, "Ais-Blob-Download", "true")
    if "range" in headers:
        reason = "a blob download is of the whole object"
        raise InvalidArgument(name="Range", value=headers["range"][:64], reason=reason)
    conditions = conditions_of(call)
    fields = {
        "chunk-size": headers.get("ais-blob-chunk"),
        "num-workers": headers.get("ais-blob-workers"),
        "chunk-read-timeout": headers.get("ais-blob-read-timeout"),
        "blob-threshold": headers.get("ais-blob-threshold"),
        "latest-ver": conditions.latest,
    }
    plan = _plan(fields, "Ais-Blob: ").under(services.load.current)
    services.load.check()
    assert services.blobs is not None, "there are no remote buckets where there are none"
    work = await services.standing.begin(BLOB_DOWNLOAD, ref_text(bucket.ref))
    try:
        return _CountedReader(await services.blobs.open(bucket, key, plan, conditions), work)
    except BaseException:
        work.end()
        raise


class _CountedReader:
    """A reader that is a request's part in a job."""

    def __init__(self, reader: ObjectReader, work: StandingJob) -> None:
        self.info = reader.info
        self.first = reader.first
        self.length = reader.length
        self.data = reader.data
        self.has_slices = reader.has_slices
        self._reader = reader
        self._work = work
        self._has_ended = False

    async def next_slice(self) -> Slice | None:
        """See ObjectReader. Raises BackendDown if the job was stopped."""
        self._check()
        return await self._reader.next_slice()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._reader:
            self._check()
            yield chunk

    async def close(self) -> None:
        """See ObjectReader."""
        if not self._has_ended:
            self._has_ended = True
            self._work.count(objects=1, size_bytes=self.length)
            self._work.end()
        await self._reader.close()

    def _check(self) -> None:
        if self._work.is_aborted:
            raise BackendDown(reason="the blob download was stopped", retry_after_s=1)


def _check_remote(bucket: Bucket, name: str, value: str) -> None:
    """Raises InvalidArgument."""
    if bucket.props.backend is None:
        reason = (
            "a blob download is for objects of remote buckets, and this bucket is in the cluster"
        )
        raise InvalidArgument(name=name, value=value, reason=reason)


def _plan(fields: Mapping[str, Any], where: str) -> BlobPlan:
    """What was asked for. Raises InvalidArgument."""
    return BlobPlan(
        chunk_bytes=_size(fields, "chunk-size", where),
        workers=_workers(fields.get("num-workers"), where),
        read_timeout_s=_timeout_s(fields.get("chunk-read-timeout"), where),
        latest=_flag(fields.get("latest-ver"), where),
        threshold_bytes=_size(fields, "blob-threshold", where),
    )


def _bad(where: str, name: str, value: Any, wanted: str) -> InvalidArgument:
    shown = str(value)[:64]
    return InvalidArgument(
        name=name, value=shown, reason=f"{where}{name}: {shown!r} is not {wanted}"
    )


def _size(fields: Mapping[str, Any], name: str, where: str) -> int:
    value = fields.get(name)
    if value is None or value == "":
        return 0
    found = -1
    if isinstance(value, int | str) and not isinstance(value, bool):
        found = parse_size(str(value)[:32], -1)
    if not 0 <= found < 2**63:
        raise _bad(where, name, value, "a size such as 4MiB")
    return found


def _workers(value: Any, where: str) -> int:
    if value is None or value == "":
        return 0
    text = str(value)
    is_number = isinstance(value, int | str) and not isinstance(value, bool)
    if not is_number or not _NUMBER.match(text) or not -1 <= int(text) <= MAX_ASKED_WORKERS:
        raise _bad(where, "num-workers", value, f"a number from -1 to {MAX_ASKED_WORKERS}")
    return int(text)


def _timeout_s(value: Any, where: str) -> float:
    """As Go writes a time, in text, or as a number of nanoseconds."""
    if value is None or value in ("", 0):
        return 0.0
    seconds = -1.0
    if isinstance(value, str):
        seconds = parse_duration(value[:32], -1.0)
    elif isinstance(value, int) and not isinstance(value, bool):
        seconds = value / 10**9
    if not 0 < seconds <= _MAX_TIMEOUT_S:
        raise _bad(where, "chunk-read-timeout", value, "a time such as 1m")
    return seconds


def _flag(value: Any, where: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _bad(where, "latest-ver", value, "true or false")


ROWS = (Row("POST", "objects", 1, blob_download, BLOB_DOWNLOAD),)
