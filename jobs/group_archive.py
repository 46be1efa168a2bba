"""Owns the job that makes a shard of objects selected by list, template or prefix, or adds them to one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from core import acl
from core.errors import Denied, InvalidArgument, NotFound, StoreError
from core.events import with_origin
from core.names import ObjectKey
from core.origin import Origin
from core.protocols import ObjectStore
from core.shards import NewMember, NotAShard, ShardChanged, ShardFormat, Shards
from core.types import CannedAcl, ObjectAttributes
from jobs.object_group import Control, GroupRun, Wanted
from jobs.queue import JobContext, OnDemand

ARCHIVE = "archive"

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ArchiveJob(OnDemand):
    """A JobKind. Options: `key` is the shard's and `format` its ending; `with_bucket` puts the source bucket's name
    before members' paths, `base_names` leaves only the last component of objects' names; `appends` keeps what the shard
    has, if there is one.

    The shard appears whole, when all is in it.
    """

    store: ObjectStore
    shards: Shards
    control: Control

    name = ARCHIVE

    async def run(self, context: JobContext) -> None:
        run = GroupRun(self.store, self.control, context)
        options = run.request.options
        context.cursor = ""
        context.say(
            f"bucket {run.source.name}: {run.request.selection} into {options['key']}"
            f" in bucket {run.target.name}"
        )
        await _ArchiveRun(run, self.shards).write()


class _ArchiveRun:
    def __init__(self, run: GroupRun, shards: Shards) -> None:
        options = run.request.options
        self._run = run
        self._shards = shards
        self._key = ObjectKey(options["key"])
        self._format = ShardFormat(options["format"])
        self._with_bucket = bool(options.get("with_bucket"))
        self._base_names = bool(options.get("base_names"))
        self._appends = bool(options.get("appends"))
        origin = Origin("PutObject", requester=run.user.user_id, region=run.target.region)
        self._target = with_origin(run.target, origin)
        self._counted = (0, 0)

    async def write(self) -> None:
        present = await self._present()
        for attempt in range(_ATTEMPTS):
            async with aclosing(self._members(present)) as members:
                first = await anext(members, None)
                if first is None:
                    break
                try:
                    await self._write(_chained(first, members))
                except ShardChanged:
                    if attempt == _ATTEMPTS - 1:
                        raise
                else:
                    break
        objects, size_bytes = self._counted
        self._run.context.count(objects=objects, size_bytes=size_bytes)

    async def _write(self, members: AsyncIterator[NewMember]) -> None:
        owner_id = acl.owner_of_new(self._target, self._run.user.user_id, CannedAcl.PRIVATE)
        attributes = ObjectAttributes(
            {"content-type": "application/octet-stream"}, owner_id=owner_id
        )
        if self._appends:
            await self._shards.append(
                self._target, self._key, members, mime=self._format.value, creates=attributes
            )
            return
        await self._shards.create(
            self._target, self._key, members, shard_format=self._format, attributes=attributes
        )

    async def _present(self) -> dict[str, int]:
        """Paths and sizes of members that need not be added: who had this job before may have added them."""
        if not (self._appends and self._run.context.was_begun):
            return {}
        try:
            found = self._shards.members(self._target, self._key, mime=self._format.value)
            return {member.path: member.size_bytes async for member in found}
        except (NotFound, NotAShard):
            return {}

    async def _members(self, present: dict[str, int]) -> AsyncGenerator[NewMember, None]:
        run = self._run
        self._counted = (0, 0)
        async for _, wanted in run.each(run.source):
            await run.context.throttle()
            size_bytes = await self._size(wanted)
            if size_bytes is None:
                continue
            path = self._path(wanted.key)
            objects, total_bytes = self._counted
            self._counted = (objects + 1, total_bytes + size_bytes)
            if present.get(path) != size_bytes:
                yield NewMember(path, run.source, wanted.key)

    async def _size(self, wanted: Wanted) -> int | None:
        """None for what is not to become a member."""
        run = self._run
        if wanted.key == self._key and run.source.bucket_id == run.target.bucket_id:
            return None
        try:
            info = await run.store.head(run.source, wanted.key)
            if run.request.only_owners and info.attributes.owner_id != run.source.owner.user_id:
                raise Denied(reason=f"{wanted.key} is somebody else's")
            if wanted.key.endswith("/"):
                reason = f"{wanted.key} is a name of a directory"
                raise InvalidArgument(name="objnames", value=wanted.key, reason=reason)
        except NotFound as error:
            run.missing(wanted, error)
            return None
        except StoreError as error:
            run.failed(wanted.key, error)
            return None
        return info.size_bytes

    def _path(self, key: ObjectKey) -> str:
        path = key.rpartition("/")[2] if self._base_names else key
        return f"{self._run.source.name}/{path}" if self._with_bucket else path


async def _chained(first: NewMember, rest: AsyncIterator[NewMember]) -> AsyncIterator[NewMember]:
    yield first
    async for member in rest:
        yield member
