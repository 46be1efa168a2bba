"""Owns the kinds of jobs that copy and rename whole buckets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

from core.errors import NoSuchBucket, NoSuchKey, StoreError, Unavailable
from core.events import with_origin
from core.job_access import JobAccess
from core.job_table import BUCKET, TO_BUCKET, parse_ref
from core.names import ObjectKey, UserId
from core.origin import Origin
from core.protocols import ObjectService
from core.types import Bucket, ObjectInfo, User
from jobs.copying import Copier, CopyRules, NameMap
from jobs.eviction import evict
from jobs.lookup import missing_from, objects_of
from jobs.parallel import work_through
from jobs.queue import JobContext, OnDemand

USER = "user"
"""The argument that says on whose behalf a job works, by the user's id."""
OPTIONS = "options"
BUCKET_ID = "bucket_id"

_PAGE = 1000
_DEFAULT_WORKERS = 8
_COPYING, _REMOVING = "c", "r"
"""What cursors begin with; the key follows."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How a bucket is copied. `extensions`: old to new, without dots. `removes_extra`: objects of the target whose
    source is gone go too. `continues`: one that fails is counted, and the others are copied. `workers` 0: as many as
    suit. `latest`, `only_newer`: as in CopyRules."""

    prefix: str = ""
    prepend: str = ""
    extensions: dict[str, str] = field(default_factory=dict)
    is_dry_run: bool = False
    removes_extra: bool = False
    continues: bool = False
    is_flat: bool = False
    workers: int = 0
    latest: bool = False
    only_newer: bool = False

    def text(self) -> str:
        """As a job's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> CopyOptions:
        """The inverse of `text`."""
        fields: dict[str, Any] = json.loads(text)
        return cls(**fields)

    @property
    def is_refresh(self) -> bool:
        """Whether copying a remote bucket onto itself so brings what is here of it up to date."""
        return (self.latest or self.removes_extra) and not (
            self.is_dry_run or self.prepend or self.extensions
        )

    def __str__(self) -> str:
        said = [f"{name}: {value}" for name, value in asdict(self).items() if value]
        return ", ".join(said)


class CopyBucketJob(OnDemand):
    """JobKind: copies the objects of a bucket into another, and may remove what is there beside them."""

    name = "copy-bck"

    def __init__(self, service: ObjectService) -> None:
        self._service = service

    async def run(self, context: JobContext) -> None:
        """As JobKind."""
        await _Copying(self._service, context).run()


class _Copying:
    """One run of a copy."""

    def __init__(self, service: ObjectService, context: JobContext) -> None:
        arguments = context.arguments
        user = service.user(UserId(arguments[USER]))
        if user is None:
            raise NoSuchBucket(bucket=arguments[BUCKET], reason="who asked for the copy is gone")
        self.user: User = user
        self.service = service
        self.context = context
        self.options = CopyOptions.parse(arguments[OPTIONS])
        self.source = service.get_bucket(parse_ref(arguments[BUCKET]))
        self.target = self.source
        try:
            self.target = service.get_bucket(parse_ref(arguments[TO_BUCKET]))
        except NoSuchBucket:
            if not self.options.is_dry_run:
                raise
        origin = Origin("DeleteObject", requester=user.user_id, region=self.target.region)
        self.announced = with_origin(self.target, origin)
        self.names = NameMap(self.options.prepend, self.options.extensions)
        self.may_read = JobAccess(user, self.source)
        self.may_write = JobAccess(user, self.target)
        latest = self.options.latest or self.options.removes_extra
        rules = CopyRules(latest, self.options.only_newer)
        self.copier = Copier(service, self.source, self.target, user, rules)

    async def run(self) -> None:
        options = self.options
        stage, after = self.context.cursor[:1] or _COPYING, self.context.cursor[1:]
        workers = 1 if options.workers < 0 else options.workers or _DEFAULT_WORKERS
        if stage == _COPYING:
            if not options.is_dry_run:
                self._say("looking how much there is")
                self.context.expect(await self._count())
            self._say("counting" if options.is_dry_run else "copying")
            pieces = self._listed(self.source, _COPYING, after)
            await work_through(self.context, pieces, self._copy, workers=workers)
            after = ""
        if options.removes_extra:
            self.context.cursor = _REMOVING + after
            self._say("removing what the source does not have")
            await work_through(self.context, self._extra(after), self._remove, workers=workers)
        self._say("")

    async def _count(self) -> int:
        """How many objects there are to copy, from the first on: those copied before count too."""
        count = 0
        async for _ in self._listed(self.source, _COPYING, ""):
            count += 1
            if count % _PAGE == 0:
                self.context.check()
        return count

    def _say(self, stage: str) -> None:
        what = f"{self.context.arguments[BUCKET]} to {self.context.arguments[TO_BUCKET]}"
        self.context.say("; ".join(filter(None, (what, str(self.options), stage))))

    async def _listed(
        self, bucket: Bucket, stage: str, after: str
    ) -> AsyncIterator[tuple[str, ObjectInfo]]:
        async for info in self._objects(bucket, after):
            yield stage + info.key, info

    def _objects(self, bucket: Bucket, after: str) -> AsyncIterator[ObjectInfo]:
        delimiter = "/" if self.options.is_flat else ""
        return objects_of(self.service, bucket, self.options.prefix, after, delimiter=delimiter)

    async def _extra(self, after: str) -> AsyncIterator[tuple[str, ObjectInfo]]:
        """What the target has and the source, as it was listed, has not."""
        there, here = self._objects(self.source, after), self._objects(self.target, after)
        async for info in missing_from(there, here):
            yield _REMOVING + info.key, info

    async def _copy(self, info: ObjectInfo) -> None:
        try:
            self.may_read.require("s3:GetObject", info.key, info)
            to = self.names.name(info.key)
            copied: ObjectInfo | None = info
            if not self.options.is_dry_run:
                self.may_write.require("s3:PutObject", to)
                copied = await self.copier.copy(info.key, to)
            if copied is None:
                self.context.count(skipped_objects=1)
            else:
                self.context.count(objects=1, size_bytes=copied.size_bytes)
        except NoSuchKey:
            pass  # it went while the job came to it
        except Unavailable:
            raise
        except StoreError:
            if not self.options.continues:
                raise
            self.context.count(errors=1)

    async def _remove(self, info: ObjectInfo) -> None:
        if await self._has_source(info.key):
            return
        if self.source.props.backend is not None and not self.options.is_dry_run:
            await evict(self.service.present, self.source, [info.key])
        try:
            self.may_write.require("s3:DeleteObject", info.key)
            if not self.options.is_dry_run:
                await self.service.delete(self.announced, info.key)
            self.context.count(removed=1)
        except Unavailable:
            raise
        except StoreError:
            if not self.options.continues:
                raise
            self.context.count(errors=1)

    async def _has_source(self, key: ObjectKey) -> bool:
        try:
            await self.copier.look(key)
        except NoSuchKey:
            return False
        return True


class MoveBucketJob(OnDemand):
    """JobKind: gives a bucket another name. It is one step, so that it is done or not."""

    name = "move-bck"

    def __init__(self, service: ObjectService) -> None:
        self._service = service

    async def run(self, context: JobContext) -> None:
        """As JobKind."""
        arguments = context.arguments
        to = parse_ref(arguments[TO_BUCKET])
        context.say(f"{arguments[BUCKET]} to {arguments[TO_BUCKET]}")
        try:
            bucket = self._service.get_bucket(parse_ref(arguments[BUCKET]))
        except NoSuchBucket:
            # A worker may have died between the step and telling of it.
            if str(self._service.get_bucket(to).bucket_id) == arguments[BUCKET_ID]:
                return
            raise
        if str(bucket.bucket_id) != arguments[BUCKET_ID]:
            raise NoSuchBucket(bucket=bucket.name, ref=bucket.ref)
        await self._service.rename_bucket(bucket, to)
