"""Owns the operations on downloads: starting, looking after, stopping and forgetting them (AIStore: downloader).

Links and headers are secrets, as they hold tokens and signatures: they are sealed as soon as they are read, and no
answer has them.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from core.claims import Permission
from core.configs.sections import parse_duration
from core.errors import BadToken, InvalidArgument, NoSuchBucket
from core.job_access import check_conditions
from core.job_table import BUCKET, SEALED, parse_ref, ref_text
from core.jobs import OBJECTS, JobRecord, JobState, NoSuchJob
from core.names import ObjectKey
from core.patterns import compile_pattern
from core.sealing import seal_text
from core.templates import parse_template
from core.types import Bucket, User
from gateway.native.call import NativeCall, NativeResponse, Row, json_response, parse_native_key
from gateway.native.fields import Fields, fields_of, flag_of, text_of
from gateway.native.object_groups import bucket_of
from gateway.native.operations.eviction import check_remote
from gateway.native.operations.jobs import seen_sync
from gateway.native.routes import NoSuchRoute
from gateway.native.times import rfc3339
from gateway.native.writing import written_bucket
from jobs.downloads.hub import parse_hub_name
from jobs.downloads.job import binding_of
from jobs.downloads.request import (
    DOWNLOAD,
    HUB,
    MAX_LINKS,
    DownloadRequest,
    base_name,
    check_link,
)
from jobs.object_group import GroupRequest
from jobs.prefetch import PREFETCH, PrefetchOptions
from jobs.selection import Selection

_PREFIX = "dnl-"
DESCRIPTION = "description"
"""The argument that says what a download is, in its asker's words."""

_ID_BYTES = 6
_ENDED_S, _LOOK_S = 5.0, 0.05
_MAX_HEADERS = 32
_MAX_CONNECTIONS = 64
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_REFUSED_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "range", "if-range", "upgrade"}
)


# --- starting --------------------------------------------------------------------------------------------------------


async def start_download(call: NativeCall) -> NativeResponse:
    """Answers the id of the job."""
    fields = fields_of(await call.request.read_json())
    user = call.identity.user
    if user is None:
        raise BadToken(reason="token required")  # a job works for somebody
    ref = bucket_of(call, fields, "bucket")
    bucket = written_bucket(call, ref)
    if text_of(fields, "type", 16) == "backend":
        return await _start_backend(call, fields, bucket, user)
    request = replace(_what(fields, bucket, user), **_how(fields))
    some = ObjectKey(request.links[0][0] if request.links else f"{request.subdir}any")
    await call.require("s3:PutObject", Permission.PUT, bucket, some)
    check_conditions(call.identity, bucket)
    services = call.services
    if services.keys is None:
        raise InvalidArgument(name="type", value="", reason="this server keeps no secrets")
    job_id = f"{_PREFIX}{secrets.token_hex(_ID_BYTES)}"
    arguments = {
        BUCKET: ref_text(bucket.ref),
        DESCRIPTION: text_of(fields, "description", max_chars=1024),
        SEALED: await seal_text(services.keys, binding_of(job_id), request.text()),
    }
    return await _started(call, DOWNLOAD, arguments, job_id)


async def _started(
    call: NativeCall, kind: str, arguments: Mapping[str, str], job_id: str
) -> NativeResponse:
    return json_response({"id": (await call.add_job(kind, arguments, job_id)).job_id})


async def _start_backend(
    call: NativeCall, fields: Fields, bucket: Bucket, user: User
) -> NativeResponse:
    """What a remote bucket has is not downloaded but prefetched."""
    await call.require("s3:GetObject", Permission.GET, bucket, ObjectKey("any"))
    check_conditions(call.identity, bucket)
    check_remote(bucket, "download from")
    call.services.load.check()
    synchronizes = flag_of(fields, "synchronize") or flag_of(fields, "sync")
    options = PrefetchOptions(
        latest=True, synchronizes=synchronizes, suffix=text_of(fields, "suffix", max_chars=1024)
    )
    request = GroupRequest(
        source=bucket.ref,
        source_id=bucket.bucket_id,
        user_id=user.user_id,
        selection=Selection(prefix=text_of(fields, "prefix")),
        goes_on=True,
        options=asdict(options),
    )
    arguments = {**request.arguments(), DESCRIPTION: text_of(fields, "description", max_chars=1024)}
    return await _started(call, PREFETCH, arguments, f"{_PREFIX}{secrets.token_hex(_ID_BYTES)}")


def _what(fields: Fields, bucket: Bucket, user: User) -> DownloadRequest:
    """The links. Raises InvalidArgument, InvalidKey."""
    request = DownloadRequest(bucket.ref, bucket.bucket_id, user.user_id)
    match text_of(fields, "type", 16) or _guessed(fields):
        case "single":
            link, name = fields.get("link"), text_of(fields, "object_name")
            if isinstance(link, str) and link.startswith(HUB):
                parse_hub_name(link)
                return replace(request, hub=link, subdir=_subdir(name))
            full = check_link(link)
            return replace(request, links=((_name(name or base_name(full)), full),))
        case "multi":
            return replace(request, links=_links(fields.get("objects")))
        case "range":
            template = text_of(fields, "template", max_chars=4096)
            names = parse_template(template)
            check_link(template if names.is_prefix else names.name(0))
            subdir = _subdir(text_of(fields, "subdir"))
            return replace(request, template=template, subdir=subdir)
    reason = "the type of a download is single, multi, range or backend"
    raise InvalidArgument(name="type", value=text_of(fields, "type")[:16], reason=reason)


def _guessed(fields: Fields) -> str:
    """The type of a message that does not say it."""
    for name, kind in (("objects", "multi"), ("template", "range"), ("link", "single")):
        if fields.get(name):
            return kind
    return ""


def _links(objects: object) -> tuple[tuple[str, str], ...]:
    if isinstance(objects, dict):
        pairs = list(objects.items())
    elif isinstance(objects, list):
        pairs = [(None, link) for link in objects]
    else:
        pairs = []
    if not 0 < len(pairs) <= MAX_LINKS:
        reason = f"it is a list of links, or a map of names to links, of 1 to {MAX_LINKS}"
        raise InvalidArgument(name="objects", value="", reason=reason)
    found = []
    for name, link in pairs:
        full = check_link(link)
        found.append((_name(base_name(full) if name is None else str(name)), full))
    return tuple(found)


def _name(text: str) -> str:
    if not text:
        reason = "the link's path has no last part; name the object"
        raise InvalidArgument(name="object_name", value="", reason=reason)
    return parse_native_key(text.encode("utf-8", "surrogatepass"))


def _subdir(text: str) -> str:
    """A directory that names begin with, with its slash."""
    return f"{_name(text.rstrip('/'))}/" if text.rstrip("/") else ""


def _how(fields: Fields) -> dict[str, Any]:
    limits = fields_of(fields.get("limits") or {})
    timeout = fields.get("timeout") or "0"
    seconds = parse_duration(timeout, -1.0) if isinstance(timeout, str) else -1.0
    if not 0 <= seconds <= 30 * 86400:
        reason = "it is a time such as 10m, of at most 30 days"
        raise InvalidArgument(name="timeout", value=str(timeout)[:32], reason=reason)
    return {
        "timeout_s": seconds,
        "connections": min(_count(limits, "connections"), _MAX_CONNECTIONS),
        "bytes_per_hour": _count(limits, "bytes_per_hour"),
        "headers": _headers(fields.get("headers")),
    }


def _count(fields: Fields, name: str) -> int:
    value = fields.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**60:
        raise InvalidArgument(name=name, value=str(value)[:32], reason="it is a number from 0 on")
    return value


def _headers(value: object) -> dict[str, str]:
    """Headers as Go writes them: a name and a text, or a list of texts."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > _MAX_HEADERS:
        reason = f"it maps up to {_MAX_HEADERS} names to texts"
        raise InvalidArgument(name="headers", value="", reason=reason)
    found = {}
    for name, texts in value.items():
        text = ", ".join(texts) if _are_texts(texts) else texts
        if (
            not _HEADER_NAME.match(str(name))
            or str(name).lower() in _REFUSED_HEADERS
            or not isinstance(text, str)
            or len(text) > 8192
            or not (text.isprintable() and text.isascii())
        ):
            raise InvalidArgument(name="headers", value="", reason="such a header is not sent")
        found[str(name)] = text
    return found


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


# --- looking, stopping, forgetting -----------------------------------------------------------------------------------


async def show_downloads(call: NativeCall) -> NativeResponse:
    """One download in full, or all that the caller may know of; `regex` looks at descriptions."""
    await call.require("weir:ShowCluster", Permission.SHOW_CLUSTER)
    fields = fields_of(await call.request.read_json() or {})
    query = call.request.query
    job_id = text_of(fields, "id", 64) or query.get("jobid", "") or query.get("uuid", "")
    if job_id:
        record = await asyncio.to_thread(_find_sync, call, job_id)
        return json_response({**_job_json(record), **_tasks_json(record)})
    regex = text_of(fields, "regex", max_chars=1024) or query.get("regex", "")
    only_active = flag_of(fields, "only_active_tasks") or call.request.flag("only_active")
    found = await asyncio.to_thread(_list_sync, call, regex, only_active)
    return json_response([_job_json(record) for record in found])


async def end_download(call: NativeCall) -> NativeResponse:
    """Stop one, or take one from the list: the path says which."""
    what = call.request.bucket_name
    if what == "abort":
        return await _abort(call)
    if what == "remove":
        return await _remove(call)
    raise NoSuchRoute(path=f"/v1/download/{what}")


async def _abort(call: NativeCall) -> NativeResponse:
    """What has ended stays as it is."""
    services = call.services
    record = await _named(call)
    if not record.state.has_ended:
        await asyncio.to_thread(services.jobs.stop_sync, record.job_id, services.clock.now_ns())
    return NativeResponse()


async def _remove(call: NativeCall) -> NativeResponse:
    """From the list, once it has ended; what is idle is ended for it."""
    record = await _named(call)
    services = call.services
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _ENDED_S
    if record.idle_ns:
        await asyncio.to_thread(services.jobs.stop_sync, record.job_id, services.clock.now_ns())
        while not record.state.has_ended and loop.time() < deadline_s:
            await asyncio.sleep(_LOOK_S)
            record = await asyncio.to_thread(services.jobs.get_sync, record.job_id)
    await asyncio.to_thread(services.jobs.remove_sync, record.job_id)
    return NativeResponse()


async def _named(call: NativeCall) -> JobRecord:
    """The download that is meant. Who may fill the bucket may leave off with it too."""
    fields = fields_of(await call.request.read_json() or {})
    record = await asyncio.to_thread(_find_sync, call, text_of(fields, "id", 64))
    try:
        bucket = call.bucket(parse_ref(record.arguments[BUCKET]))
    except NoSuchBucket:
        await call.require("weir:StopJob", Permission.ADMIN)
    else:
        await call.require("s3:PutObject", Permission.PUT, bucket, ObjectKey("any"))
    return record


def _find_sync(call: NativeCall, job_id: str) -> JobRecord:
    record = call.services.jobs.get_sync(job_id)
    if not _is_download(record) or not seen_sync(call, [record]):
        raise NoSuchJob(job_id=job_id)
    return record


def _list_sync(call: NativeCall, regex: str, only_active: bool) -> Sequence[JobRecord]:
    records = call.services.jobs.list_sync(only_pending=only_active)
    matches = compile_pattern(regex)
    return [
        record
        for record in seen_sync(call, [each for each in records if _is_download(each)])
        if matches(record.arguments.get(DESCRIPTION, ""))
    ]


def _is_download(record: JobRecord) -> bool:
    return record.job_id.startswith(_PREFIX)


def _job_json(record: JobRecord) -> dict[str, Any]:
    counters, progress = record.progress.counters, record.progress
    done, skipped = counters.get(OBJECTS, 0), counters.get("skipped_objects", 0)
    errors = counters.get("failed_objects", 0)
    is_over = record.state.has_ended or record.idle_ns > 0
    total = progress.total or done + skipped + errors
    return {
        "id": record.job_id,
        "xaction_id": record.job_id,
        "description": record.arguments.get(DESCRIPTION, ""),
        "started_time": rfc3339(record.started_ns or record.created_ns),
        "finished_time": rfc3339(record.ended_ns or record.idle_ns),
        "finished_cnt": done + skipped,
        "scheduled_cnt": done + skipped + errors,
        "skipped_cnt": skipped,
        "error_cnt": errors,
        "total": total,
        "all_dispatched": is_over,
        "aborted": record.state in (JobState.STOPPED, JobState.FAILED),
    }


def _tasks_json(record: JobRecord) -> dict[str, Any]:
    told = json.loads(record.progress.report or "{}")
    errors = list(told.get("errors", ()))
    if record.error:
        errors.append({"name": "", "error": record.error})
    is_over = record.state.has_ended
    current = [] if is_over else [_task_json(each, True) for each in told.get("current", ())]
    return {
        "current_tasks": current,
        "finished_tasks": [_task_json(each, False) for each in told.get("finished", ())],
        "download_errors": errors,
    }


def _task_json(task: Mapping[str, Any], is_running: bool) -> dict[str, Any]:
    return {
        "name": task["name"],
        "downloaded": str(task["downloaded"]),
        "total": str(task["total"]),
        "start_time": rfc3339(task["start_ns"]),
        "end_time": rfc3339(task["end_ns"]),
        "running": is_running,
    }


ROWS = (
    Row("POST", "download", 0, start_download),
    Row("GET", "download", 0, show_downloads),
    Row("DELETE", "download", 1, end_download),
)
