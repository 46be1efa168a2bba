"""Owns the questions and answers of listings: of keys, and of all versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from core.light import light
from core.types import ObjectInfo

MAX_LISTED = 10_000
"""The longest page there is. S3's own have 1,000 entries at most."""


class Detail(Enum):
    """What a listing tells of each object, for certain; what is not asked for may be left empty.

    NAME and SIZE cost least. SUMMARY has all but the attributes (of which only class and owner) and the parts; WHOLE
    has the attributes too.
    """

    NAME = "name"
    SIZE = "size"
    SUMMARY = "summary"
    WHOLE = "whole"


@light
@dataclass(frozen=True, slots=True)
class ListQuery:
    """A page of a listing: keys > `after` in UTF-8 binary order, starting with `prefix`, grouped by `delimiter`.

    `after` may also be a common prefix returned before: then everything under it is skipped.
    `limit` counts keys and common prefixes together (0..MAX_LISTED). `inventory`: answer from that snapshot of a bucket
    that lives elsewhere, "" from whichever fits (core.inventories); None: from the bucket.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000
    detail: Detail = Detail.SUMMARY
    inventory: str | None = None


@dataclass(frozen=True, slots=True)
class ListPage:
    """`entries` in key order; `common_prefixes` in order; `next_after` continues when `is_truncated`.

    `next_after` is the last key or common prefix returned.
    """

    entries: Sequence[ObjectInfo]
    common_prefixes: Sequence[str]
    is_truncated: bool
    next_after: str = ""


@dataclass(frozen=True, slots=True)
class VersionListQuery:
    """A page of all versions and delete markers: by key in UTF-8 binary order, of a key newest first.

    Those after version `version_id_marker` of `key_marker`; without an id marker, after every version of that key. An
    id marker that names no version (any more) stands for the place where it was. `key_marker` may also be a common
    prefix. `limit` counts versions, markers and common prefixes together (0..1000).
    """

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_id_marker: str = ""
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """A version or delete marker in a listing; `is_latest`: it is what a read of the key without version id meets."""

    info: ObjectInfo
    is_latest: bool


@dataclass(frozen=True, slots=True)
class VersionListPage:
    """`versions` and `common_prefixes` in order, and the markers that continue when `is_truncated`."""

    versions: Sequence[ObjectVersion]
    common_prefixes: Sequence[str]
    is_truncated: bool
    next_key_marker: str = ""
    next_version_id_marker: str = ""
