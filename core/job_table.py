"""Owns the table of job kinds: what native clients call each, what it works on, who may start it, how its ids begin.

The kinds, their names and properties are AIStore's; `lifecycle` is our own. What a kind does is its own module's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from core.names import BucketName, BucketRef

BUCKET = "bucket"
"""The argument of a job that names the bucket it works on (or reads), as `ref_text` writes it."""
TO_BUCKET = "to_bucket"
"""The argument that names the bucket it writes to, where that is another."""
SEALED = "sealed"
"""The argument that has what nobody is shown: encrypted, for who carries the job out."""
PARENT = "parent"
"""The argument that names the job which has this one do a part of its work."""


class Scope(Enum):
    """What a kind works on."""

    CLUSTER = "cluster"
    BUCKET = "bucket"
    EITHER = "either"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class JobDescription:
    """A kind of job. `display` is its other name. `is_startable`: a client may start it by its kind alone. `idles`: it
    waits for more work for a while before it ends, and counts as done as soon as it is idle. `prefix`: of its ids."""

    kind: str
    scope: Scope
    display: str = ""
    is_startable: bool = False
    idles: bool = False
    prefix: str = ""


_C, _B, _E, _N = Scope.CLUSTER, Scope.BUCKET, Scope.EITHER, Scope.NODE

_TABLE = (
    JobDescription("lifecycle", _E, is_startable=True),
    JobDescription("election", _C, "elect-primary"),
    JobDescription("rebalance", _C, is_startable=True, prefix="g"),
    JobDescription("etl-inline", _C, prefix="etl-"),
    JobDescription("lru", _E, "lru-eviction", is_startable=True),
    JobDescription("cleanup-store", _E, "cleanup", is_startable=True),
    JobDescription("summary-bck", _E, "summary"),
    JobDescription("summary-shard", _B, "shard-summary"),
    JobDescription("resilver", _N, is_startable=True),
    JobDescription("rechunk", _B, is_startable=True),
    JobDescription("index-shard", _B, "shard-index"),
    JobDescription("ec-get", _B, idles=True),
    JobDescription("ec-put", _B, idles=True),
    JobDescription("ec-resp", _B, idles=True),
    JobDescription("put-copies", _B, idles=True),
    JobDescription("archive", _B, idles=True),
    JobDescription("copy-listrange", _B, "copy-objects", idles=True, prefix="tco-"),
    JobDescription("etl-listrange", _B, "etl-objects", idles=True, prefix="tco-"),
    JobDescription("blob-download", _B, is_startable=True),
    JobDescription("download", _C, idles=True, prefix="dnl-"),
    JobDescription("dsort", _B, prefix="srt-"),
    JobDescription("promote", _B, "promote-files"),
    JobDescription("evict-listrange", _B, "evict-objects"),
    JobDescription("evict-remote-bck", _B, "evict-remote-bucket"),
    JobDescription("delete-listrange", _B, "delete-objects"),
    JobDescription("prefetch-listrange", _B, "prefetch-objects", is_startable=True),
    JobDescription("ec-encode", _B, "ec-bucket", is_startable=True),
    JobDescription("make-n-copies", _B, "mirror", is_startable=True),
    JobDescription("move-bck", _B, "rename-bucket"),
    JobDescription("copy-bck", _B, "copy-bucket"),
    JobDescription("etl-bck", _B, "etl-bucket"),
    JobDescription("list", _B, idles=True),
    JobDescription("get-batch", _E, idles=True, prefix="gbt-"),
    JobDescription("create-inventory", _B, prefix="inv-"),
    JobDescription("load-lom-cache", _B, "warm-up-metadata", is_startable=True),
)
_BY_NAME = {name: each for each in _TABLE for name in (each.kind, each.display) if name}


def describe(kind: str) -> JobDescription | None:
    """The description of a kind, by either of its names; None if there is none."""
    return _BY_NAME.get(kind)


def idles(kind: str) -> bool:
    """Whether jobs of the kind wait for more work before they end."""
    found = _BY_NAME.get(kind)
    return found is not None and found.idles


def ref_text(ref: BucketRef) -> str:
    """A bucket in a job's arguments: its name, with provider and namespace before it where they are not the usual."""
    if ref.provider == "ais" and not ref.namespace:
        return ref.name
    return f"{ref.provider}://{ref.namespace}/{ref.name}"


def parse_ref(text: str) -> BucketRef:
    """What `ref_text` made."""
    provider, mark, rest = text.partition("://")
    if not mark:
        return BucketRef(BucketName(text))
    namespace, _, name = rest.rpartition("/")
    return BucketRef(BucketName(name), provider, namespace)
