"""Owns what is asked of a delete, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from core.listing import ObjectVersion
from core.names import ObjectKey
from core.types import NO_CONDITIONS, Conditions


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a delete did. Deleting an absent key succeeds, as in S3.

    `version_id`: the version that was removed, or the delete marker that was made; None where the bucket never had
    versions. `is_delete_marker`: one was made, or what was removed was one.
    """

    key: ObjectKey
    version_id: str | None = None
    is_delete_marker: bool = False


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """One key of a multi-object delete.

    `seen`: the version as it was when the caller decided; if anything of it has changed since, in its place among the
    versions, its time, ETag or tags, the delete is refused (PreconditionFailed).
    """

    key: ObjectKey
    version_id: str | None = None
    conditions: Conditions = NO_CONDITIONS
    seen: ObjectVersion | None = None
