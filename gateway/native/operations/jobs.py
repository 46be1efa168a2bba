"""Owns the operations of native clients on jobs: starting, stopping, and asking after them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.claims import Permission
from core.errors import InvalidArgument
from core.job_table import BUCKET, JobDescription, Scope, describe, ref_text
from core.jobs import JobRecord, NoSuchJob
from core.names import BucketRef
from core.types import NOBODY
from gateway.native.call import NativeCall, NativeResponse, Row, json_response, text_response
from gateway.native.faults import NoSuchKind, NoSuchNode, NotServed
from gateway.native.fields import text_of
from gateway.native.job_views import (
    BUCKETS,
    refs_of,
    running_text,
    snapshot_json,
    status_json,
    touches,
)
from gateway.native.operations.buckets import known_to
from gateway.native.request import bucket_ref
from jobs.object_group import GroupRequest
from jobs.prefetch import PREFETCH
from jobs.selection import Selection

_SERVED = frozenset(
    {"lifecycle", "lru", "cleanup-store", "rebalance", "rechunk", "resilver", "load-lom-cache"}
)
_MAX_BUCKETS = 1000


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which jobs a request is about: all where a field is empty."""

    job_id: str = ""
    kind: str = ""
    node: str = ""
    refs: Sequence[BucketRef] = ()
    only_running: bool = False

    def fits(self, record: JobRecord, node_id: str) -> bool:
        return (
            self.job_id in ("", record.job_id)
            and self.kind in ("", record.kind)
            and self.node in ("", node_id)
            and all(touches(record, ref) for ref in self.refs)
            and not (self.only_running and record.state.has_ended)
        )


# --- starting and stopping -----------------------------------------------------------------------------------------


async def start(call: NativeCall) -> NativeResponse:
    """Start a job by its kind; answers its id."""
    await call.require("weir:StartJob", Permission.ADMIN)
    message = await call.request.message()
    asked = _asked(message.value if message.value is not None else {"kind": message.name})
    if not asked.kind:
        raise InvalidArgument(name="kind", value="", reason="no kind of job is named")
    found = describe(asked.kind)
    if found is None:
        raise NoSuchKind(kind=asked.kind[:64])
    _check_start(call, found, asked)
    for ref in asked.refs:
        call.bucket(ref)
    if found.kind == PREFETCH:
        return await ask_for(call, PREFETCH, _whole_bucket(call, asked.refs[0]))
    arguments: dict[str, str] = {}
    if len(asked.refs) == 1:
        arguments[BUCKET] = ref_text(asked.refs[0])
    elif asked.refs:
        arguments[BUCKETS] = json.dumps([ref_text(ref) for ref in asked.refs])
    return await ask_for(call, found.kind, arguments)


def _check_start(call: NativeCall, found: JobDescription, asked: _Asked) -> None:
    kind = found.kind
    if not found.is_startable:
        reason = f"jobs of kind {kind!r} are started by the operations that need them, not by hand"
        raise InvalidArgument(name="kind", value=kind, reason=reason)
    if found.scope is Scope.BUCKET and not asked.refs:
        raise InvalidArgument(name="bck", value="", reason=f"a job of kind {kind!r} needs a bucket")
    if asked.node not in ("", call.services.node.node_id):
        raise NoSuchNode(node_id=asked.node[:64])
    if found.scope is Scope.NODE and not asked.node:
        raise NotServed(reason=f"a job of kind {kind!r} needs the id of the node to run on")
    if kind == PREFETCH:
        return
    if kind not in _SERVED:
        raise NotServed(reason=f"this server has no jobs of kind {kind!r}")


def _whole_bucket(call: NativeCall, ref: BucketRef) -> Mapping[str, str]:
    """All objects of a remote bucket, as a job's arguments. Raises InvalidArgument, Overloaded."""
    bucket = call.bucket(ref)
    if bucket.props.backend is None:
        reason = "there is nothing to fetch: the bucket is the only place of its objects"
        raise InvalidArgument(name="bck", value=ref.name, reason=reason)
    call.services.load.check()
    user_id = call.identity.user_id or NOBODY
    return GroupRequest(ref, bucket.bucket_id, user_id, Selection()).arguments()


async def ask_for(call: NativeCall, kind: str, arguments: Mapping[str, str]) -> NativeResponse:
    """Have a job of a kind done; answers its id."""
    return text_response((await call.add_job(kind, arguments)).job_id)


async def stop(call: NativeCall) -> NativeResponse:
    """Stop a job, or all of a kind. What is unknown or has ended is no error."""
    message = await call.request.message()
    asked = _asked(message.value if message.value is not None else {"id": message.name})
    await call.require("weir:StopJob", Permission.ADMIN)
    if not asked.job_id and not asked.kind:
        raise InvalidArgument(name="id", value="", reason="neither an id nor a kind is named")
    await asyncio.to_thread(_stop_sync, call, asked)
    return NativeResponse()


def _stop_sync(call: NativeCall, asked: _Asked) -> None:
    services = call.services
    for record in services.jobs.list_sync(only_pending=True):
        if asked.fits(record, services.node.node_id):
            try:
                services.jobs.stop_sync(record.job_id, services.clock.now_ns())
            except NoSuchJob:
                pass


# --- asking --------------------------------------------------------------------------------------------------------


async def show_status(call: NativeCall) -> NativeResponse:
    """The status of a job, or of the newest of a kind."""
    asked = await _question(call)
    found = await _find(call, asked)
    if not found:
        raise NoSuchJob(job_id=asked.job_id or asked.kind)
    return json_response(status_json(found[0]))


async def list_statuses(call: NativeCall) -> NativeResponse:
    """The statuses of all jobs, newest first."""
    return json_response([status_json(each) for each in await _find(call, await _question(call))])


async def list_running(call: NativeCall) -> NativeResponse:
    """The names of the jobs that have not ended; idle ones have not."""
    asked = await _question(call)
    found = await _find(call, asked)
    return json_response([running_text(each) for each in found if not each.state.has_ended])


async def show_snapshots(call: NativeCall) -> NativeResponse:
    """The snapshots of jobs, by node. Only an id that is unknown is an error."""
    asked = await _question(call)
    found = await _find(call, asked)
    if asked.job_id and not found:
        raise NoSuchJob(job_id=asked.job_id)
    node_id = call.services.node.node_id
    return json_response({node_id: [snapshot_json(each) for each in found]})


async def _question(call: NativeCall) -> _Asked:
    await call.require("weir:ShowCluster", Permission.SHOW_CLUSTER)
    return _asked(await call.request.read_json())


async def _find(call: NativeCall, asked: _Asked) -> Sequence[JobRecord]:
    jobs, node_id = call.services.jobs, call.services.node.node_id

    def look() -> Sequence[JobRecord]:
        if asked.job_id:
            try:
                found: Sequence[JobRecord] = [jobs.get_sync(asked.job_id)]
            except NoSuchJob:
                return []
        else:
            found = seen_sync(call, jobs.list_sync(only_pending=asked.only_running))
        return [record for record in found if asked.fits(record, node_id)]

    return await asyncio.to_thread(look)


def seen_sync(call: NativeCall, records: Sequence[JobRecord]) -> Sequence[JobRecord]:
    """Those that the caller may come across: jobs on others' buckets are known only to who has their ids."""
    user, claims = call.identity.user, call.identity.claims
    if user is not None and user.is_root and (claims is None or claims.is_admin):
        return records
    known = {bucket.ref for bucket in known_to(call.identity, call.store.all_buckets())}
    return [record for record in records if refs_of(record) <= known]


def _asked(value: Any) -> _Asked:
    """What a message asks for; clients spell its fields in several ways. Raises InvalidArgument."""
    if value is None:
        return _Asked()
    if not isinstance(value, dict):
        raise InvalidArgument(name="value", value="", reason="it does not say which job is meant")
    fields = {str(name).lower(): field for name, field in value.items()}
    kind = text_of(fields, "kind")
    found = describe(kind)
    return _Asked(
        job_id=text_of(fields, "id") or text_of(fields, "uuid"),
        kind=kind if found is None else found.kind,
        node=text_of(fields, "daemonid") or text_of(fields, "node"),
        refs=_refs(fields),
        only_running=fields.get("show_active") is True,
    )


def _refs(fields: Mapping[str, Any]) -> Sequence[BucketRef]:
    several = fields.get("buckets") or []
    if not isinstance(several, list) or len(several) > _MAX_BUCKETS:
        reason = f"it is no list of up to {_MAX_BUCKETS} buckets"
        raise InvalidArgument(name="buckets", value="", reason=reason)
    found = [parse_bucket(each) for each in (fields.get("bck"), *several) if each]
    return [ref for ref in found if ref.name]


def parse_bucket(value: Any) -> BucketRef:
    """A bucket as messages name it: {"name", "provider", "namespace": {"uuid", "name"}}. Raises InvalidArgument."""
    if not isinstance(value, dict):
        raise InvalidArgument(name="bck", value=str(value)[:64], reason="it is no bucket")
    fields = {str(name).lower(): field for name, field in value.items()}
    space = fields.get("namespace") or {}
    if not isinstance(space, dict):
        raise InvalidArgument(name="namespace", value=str(space)[:64], reason="it is no namespace")
    parts = {str(name).lower(): field for name, field in space.items()}
    uuid, name = text_of(parts, "uuid"), text_of(parts, "name")
    namespace = f"@{uuid}#{name}" if uuid or name else ""
    return bucket_ref(text_of(fields, "name"), text_of(fields, "provider"), namespace)


_QUESTIONS: Sequence[tuple[str, Callable[[NativeCall], Any]]] = (
    ("status", show_status),
    ("status_all", list_statuses),
    ("running_all", list_running),
    ("qryxstats", show_snapshots),
)

ROWS = (
    Row("PUT", "cluster", 0, start, "start"),
    Row("PUT", "cluster", 0, stop, "stop"),
    *(Row("GET", "cluster", 0, handler, what=what) for what, handler in _QUESTIONS),
)
