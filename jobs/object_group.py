"""Owns what jobs on many objects of a bucket have in common: arguments, buckets, and what an error means."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.errors import NotFound, StoreError
from core.job_table import BUCKET, TO_BUCKET, parse_ref, ref_text
from core.names import BucketRef, ObjectKey, UserId
from core.protocols import ObjectStore
from core.types import Bucket, ObjectInfo, User
from jobs.lookup import Buckets, find_bucket
from jobs.queue import JobContext
from jobs.selection import Selection, pieces

logger = logging.getLogger(__name__)

DEFAULT_WORKERS = 4

_REQUEST = "request"


class Control(Buckets, Protocol):
    """What the jobs ask of the control store. Never blocks for long."""

    def user(self, user_id: UserId) -> User | None: ...


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """What was asked for, and admitted when it was asked for.

    Buckets are named with their ids, as one of the same name may have come in a bucket's place. `goes_on`: an object
    that fails is counted, and the others are worked on. `only_owners`: of objects that somebody else has written into
    the bucket nothing is read. `options` are the kind's own, as JSON values.
    """

    source: BucketRef
    source_id: int
    user_id: UserId
    selection: Selection
    target: BucketRef | None = None
    target_id: int = 0
    goes_on: bool = False
    only_owners: bool = False
    workers: int = DEFAULT_WORKERS
    options: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> Mapping[str, str]:
        """As a job's arguments."""
        request = {
            "source_id": self.source_id,
            "user_id": self.user_id,
            "selection": self.selection.fields(),
            "target_id": self.target_id,
            "goes_on": self.goes_on,
            "only_owners": self.only_owners,
            "workers": self.workers,
            "options": self.options,
        }
        named = {BUCKET: ref_text(self.source), _REQUEST: json.dumps(request)}
        return named if self.target is None else {**named, TO_BUCKET: ref_text(self.target)}

    @classmethod
    def of_arguments(cls, arguments: Mapping[str, str]) -> GroupRequest:
        """The inverse of `arguments`."""
        fields = json.loads(arguments[_REQUEST])
        fields["selection"] = Selection.of_fields(fields["selection"])
        target = arguments.get(TO_BUCKET)
        return cls(
            source=parse_ref(arguments[BUCKET]),
            target=None if target is None else parse_ref(target),
            **fields,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object to work on. `must_exist`: its absence is an error. `info`: as it was listed, if it was."""

    key: ObjectKey
    must_exist: bool
    info: ObjectInfo | None = None


class GroupRun:
    """One run of such a job. Raises NoSuchBucket if a bucket is no longer what it was when the job was asked for."""

    def __init__(self, store: ObjectStore, control: Control, context: JobContext) -> None:
        self.store = store
        self.context = context
        self.request = request = GroupRequest.of_arguments(context.arguments)
        if request.selection.names is not None:
            context.expect(len(request.selection.names))
        self.source = find_bucket(control, request.source, str(request.source_id))
        self.target = self.source
        if request.target is not None:
            self.target = find_bucket(control, request.target, str(request.target_id))
        self.user = control.user(request.user_id) or User(request.user_id, "", "")

    async def each(self, bucket: Bucket, stage: str = "") -> AsyncIterator[tuple[str, Wanted]]:
        """What is selected in a bucket with the cursors behind it, as jobs.parallel takes them, from the job's own
        cursor on if that is of this stage."""
        cursor = self.context.cursor
        cursor = cursor.removeprefix(stage) if cursor.startswith(stage) else ""
        async for piece in pieces(self.store, bucket, self.request.selection, cursor):
            self.context.check()
            found = piece.found or {}
            for key in piece.keys[:-1]:
                yield "", Wanted(key, piece.must_exist, found.get(key))
            for key in piece.keys[-1:]:
                yield f"{stage}{piece.cursor}", Wanted(key, piece.must_exist, found.get(key))

    def missing(self, wanted: Wanted, error: NotFound) -> None:
        """An object is not there: an error only if it was named."""
        if wanted.must_exist:
            self.failed(wanted.key, error)

    def failed(self, key: ObjectKey, error: StoreError) -> None:
        """Count a failure, or raise it if the job is not to go on."""
        if not self.request.goes_on:
            raise error
        logger.info("job %s: %s failed: %s", self.context.job_id, key, error)
        self.context.count(failed_objects=1)
