"""Owns the seam to shards: archives (TAR, TGZ, TAR.LZ4, ZIP) whose members are read by their path inside (archpath).

Members are regular files only. A member's bytes are never trusted to be as long as its header says: readers raise
rather than hand out fewer or more.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.errors import Conflict, Invalid, NotFound
from core.light import light
from core.names import BucketRef, ObjectKey
from core.protocols import ObjectReader
from core.types import NO_CONDITIONS, Bucket, ByteRange, Conditions, ObjectAttributes, ObjectInfo

MAX_MEMBER_PATH_BYTES = 4096


def member_path(name: str) -> str | None:
    """The path that a name in an archive, or in a request for a member, stands for; None if it stands for none.

    Leading "/" and "./" do not count. Names that end in "/", begin with "~/", have "." or ".." as a component or
    contain NUL are never those of members.
    """
    if "./" in name or name[:1] in ("/", "~"):
        while name.startswith(("/", "./")):
            name = name.removeprefix(".").lstrip("/")
        if name.startswith("~/"):
            return None
    if not name or name[-1] == "/" or "\0" in name:
        return None
    if "." in name and not _DOTS.isdisjoint(name.split("/")):
        return None
    # A character has four bytes at most.
    if len(name) > MAX_MEMBER_PATH_BYTES // 4 and len(name.encode()) > MAX_MEMBER_PATH_BYTES:
        return None
    return name


_DOTS = frozenset({".", ".."})


class ShardFormat(StrEnum):
    """The formats, by the ending that names them."""

    TAR = ".tar"
    TGZ = ".tgz"
    TAR_LZ4 = ".tar.lz4"
    ZIP = ".zip"


class MatchMode(StrEnum):
    """How `Selection.pattern` is compared with a member's path (AIStore: archmode)."""

    REGEXP = "regexp"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    SUBSTRING = "substr"
    WDS_KEY = "wdskey"


class NoSuchMember(NotFound):
    """The shard has no such member. Fields: key, member."""


class NotAShard(Invalid):
    """The object is no archive of a known format, or its format is not the one that was said. Fields: key, reason."""


class BadShard(Invalid):
    """The archive is truncated, lies about sizes, or exceeds a limit. Fields: key, reason."""


class ShardChanged(Conflict):
    """The shard was replaced while it was worked on. Fields: key."""


@light
@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a shard. `offset`: of its bytes in a TAR; None in a ZIP and in what is compressed.
    `modified_ns` is 0 if the archive does not say."""

    path: str
    size_bytes: int
    offset: int | None = None
    modified_ns: int = 0


_NO_KEY = ObjectKey("")


@dataclass(frozen=True, slots=True)
class MemberInfo(ObjectInfo):
    """A member of a shard where it stands for an object of its own. `shard`: the key of the shard that it lies in."""

    shard: ObjectKey = _NO_KEY


def member_etag(shard: ObjectInfo, path: str) -> str:
    """A member's ETag: its own, and the same while the shard is. It is made not to look like an MD5 of the bytes, for
    which clients take any 32 hex digits."""
    named = f"{shard.etag}/{shard.version_id}/{path}"
    return f"{hashlib.md5(named.encode(), usedforsecurity=False).hexdigest()}-1"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which members are meant. WDS_KEY: those whose path without extensions is the pattern."""

    pattern: str
    mode: MatchMode = MatchMode.REGEXP


@dataclass(frozen=True, slots=True)
class NewMember:
    """What is to become a member: its path, the object it is made of, or the bytes themselves with their length and
    time. A member made of an object has the object's time."""

    path: str
    source_bucket: Bucket | None = None
    source_key: ObjectKey | None = None
    data: AsyncIterable[bytes] | None = None
    size_bytes: int = 0
    modified_ns: int = 0


@dataclass(frozen=True, slots=True)
class IndexOutcome:
    """What indexing a shard came to. `reason` says why a shard was not indexed; empty if it was."""

    members: int = 0
    size_bytes: int = 0
    reason: str = ""


class IndexState(StrEnum):
    """What a shard's index is good for. STALE: it is of other bytes; INVALID: damaged, or gone though the shard's
    record says that there is one."""

    ABSENT = "absent"
    VALID = "valid"
    STALE = "stale"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Members with paths > the query's `after`, in byte order of their paths."""

    members: Sequence[Member]
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class Located:
    """Where members of a shard lie: `info` is the shard's, `members` are in the order asked for, None where there is no
    such member. Each has an `offset`; read with the shard's ETag as a condition, it is what was located."""

    info: ObjectInfo
    members: Sequence[Member | None]


class Shards(Protocol):
    """Reads and writes of shards in buckets that the caller has resolved and may use.

    `mime` names the format ("" finds it by the key's ending, then by the first bytes). All raise what ObjectStore.get
    raises for the shard itself, and NotAShard, BadShard.
    """

    async def open_member(
        self,
        bucket: Bucket,
        key: ObjectKey,
        path: str,
        *,
        mime: str = "",
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectReader:
        """The first member of that path (see `member_path`). The reader's `info` is the shard's with the member's size,
        and an ETag of the member's own that stays while the shard is the same; `conditions` are of this info. Seeks by
        the shard's index or central directory where there is a valid one, else scans. Raises NoSuchMember,
        InvalidRange, PreconditionFailed, NotModified, and InvalidArgument for a path that no member can have."""

    def select(
        self, bucket: Bucket, key: ObjectKey, selection: Selection, *, mime: str = ""
    ) -> AsyncGenerator[tuple[Member, AsyncIterator[bytes]], None]:
        """All members that match, in the shard's order, each with its bytes; take a member's bytes before the next.
        The shard is held open until the generator is at its end or closed. Raises InvalidArgument for a bad pattern
        (core.patterns)."""

    def members(
        self, bucket: Bucket, key: ObjectKey, *, mime: str = ""
    ) -> AsyncGenerator[Member, None]:
        """All members, in the shard's order, equal names included. Held open as by `select`."""

    async def list_members(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        prefix: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> MemberPage:
        """Distinct members sorted by path, for listings; from the index where there is a valid one."""

    async def locate_many(
        self, bucket: Bucket, key: ObjectKey, paths: Sequence[str]
    ) -> Located | None:
        """Where all of these members lie, with one look at the shard's index; None if it has no valid one. For reads of
        many members of one shard: each is then a range of the shard."""

    async def create(
        self,
        bucket: Bucket,
        key: ObjectKey,
        members: AsyncIterable[NewMember],
        *,
        shard_format: ShardFormat,
        attributes: ObjectAttributes,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        """Write a shard of these members, in order, replacing the object, encrypted if that is the bucket's default.
        The same members make the same bytes. Nothing is written if a source fails. Raises InvalidArgument for a path
        that no member can have, IncompleteBody for data of another length, and what ObjectStore.get and put raise."""

    async def append(
        self,
        bucket: Bucket,
        key: ObjectKey,
        members: AsyncIterable[NewMember],
        *,
        mime: str = "",
        creates: ObjectAttributes | None = None,
    ) -> ObjectInfo:
        """Add members at the end of an existing shard, atomically; what it has otherwise, its attributes and encryption
        included, stays. One that is absent is made with the attributes that `creates` has. Raises ShardChanged if it
        was replaced meanwhile, NoSuchKey if it is absent and not to be made, and as `create`."""

    async def index(
        self, bucket: Bucket, key: ObjectKey, *, verifies_present: bool = True
    ) -> IndexOutcome:
        """Make the index of a TAR shard and flag the shard's record. With an index that is valid already nothing is
        done; `verifies_present` False takes its presence for validity. A bad shard is an outcome, not an error."""

    async def examine_index(self, bucket: Bucket, info: ObjectInfo) -> tuple[IndexState, int]:
        """The state of a shard's index, by the shard's record, and how many members a valid one has."""

    async def drop_index(self, ref: BucketRef, key: ObjectKey) -> None:
        """Remove what there may be of an index, of a shard or a bucket that is gone."""
