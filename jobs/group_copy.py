"""Owns the job that copies objects by list, template or prefix, to another bucket or under other names."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import Denied, NotFound, StoreError
from core.events import with_origin
from core.names import ObjectKey
from core.origin import Origin
from core.protocols import ObjectStore
from jobs.copying import Copier, CopyRules, NameMap
from jobs.eviction import evict
from jobs.object_group import Control, GroupRun, Wanted
from jobs.parallel import work_through
from jobs.queue import JobContext, OnDemand

COPY_OBJECTS = "copy-listrange"

_COPY, _PRUNE = "copy:", "prune:"


@dataclass(frozen=True, slots=True)
class CopyObjectsJob(OnDemand):
    """A JobKind. Options: `prepend` and `extensions` name the copies; `is_dry_run` only counts; `synchronizes` deletes
    from the target what is selected and not in the source; `latest` and `only_newer` as in CopyRules. `present` is
    what is here."""

    store: ObjectStore
    control: Control
    present: ObjectStore | None = None

    name = COPY_OBJECTS

    async def run(self, context: JobContext) -> None:
        run = _CopyRun(GroupRun(self.store, self.control, context), self.present)
        if not context.cursor.startswith(_PRUNE):
            await run.copy_all()
        if run.synchronizes:
            await run.prune()


class _CopyRun:
    def __init__(self, run: GroupRun, present: ObjectStore | None) -> None:
        options = run.request.options
        self._present = present
        self._run = run
        self._names = NameMap(options.get("prepend", ""), options.get("extensions", {}))
        self._is_dry = bool(options.get("is_dry_run"))
        self._is_within = run.source.bucket_id == run.target.bucket_id
        self.synchronizes = bool(options.get("synchronizes")) and not self._is_dry
        self._is_latest = bool(options.get("latest")) or self.synchronizes
        rules = CopyRules(self._is_latest, bool(options.get("only_newer")))
        self._copier = Copier(run.store, run.source, run.target, run.user, rules)
        what = "dry run, " if self._is_dry else ""
        run.context.say(
            f"{what}bucket {run.source.name} to {run.target.name}: {run.request.selection}"
        )

    async def copy_all(self) -> None:
        run = self._run
        await work_through(
            run.context, run.each(run.source, _COPY), self._copy, workers=run.request.workers
        )

    async def _copy(self, wanted: Wanted) -> None:
        run = self._run
        try:
            to = self._names.name(wanted.key)
            info = await self._copier.look(wanted.key)
            if self._is_within and info.modified_ns > run.context.created_ns:
                # In one bucket, the copies come by as further sources.
                return
            if run.request.only_owners and info.attributes.owner_id != run.source.owner.user_id:
                raise Denied(reason=f"{wanted.key} is somebody else's")
            copied = info if self._is_dry else await self._copier.copy(wanted.key, to, info)
        except NotFound as error:
            # Whoever asks for the latest version of what is gone at its backend has it: there is none.
            is_gone = self._is_latest and run.source.props.backend is not None
            if not is_gone and not self.synchronizes:
                run.missing(wanted, error)
        except StoreError as error:
            run.failed(wanted.key, error)
        else:
            if copied is None:
                run.context.count(skipped_objects=1)
            else:
                run.context.count(objects=1, size_bytes=info.size_bytes)

    async def prune(self) -> None:
        """Delete from the target what the source has not."""
        run = self._run
        origin = Origin("DeleteObject", requester=run.user.user_id, region=run.target.region)
        target = with_origin(run.target, origin)

        async def look(wanted: Wanted) -> None:
            if await self._is_there(wanted.key):
                return
            if self._present is not None and run.source.props.backend is not None:
                await evict(self._present, run.source, [wanted.key])
            try:
                await run.store.head(target, wanted.key)
                await run.store.delete(target, wanted.key)
                run.context.count(removed_objects=1)
            except NotFound:
                return
            except StoreError as error:
                run.failed(wanted.key, error)

        await work_through(run.context, run.each(target, _PRUNE), look, workers=run.request.workers)

    async def _is_there(self, key: ObjectKey) -> bool:
        try:
            await self._copier.look(key)
        except NotFound:
            return False
        return True
