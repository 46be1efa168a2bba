"""Owns the seam to where buckets live elsewhere: one small protocol in domain types (Backend), which every provider's
adapter fulfils, and who has the backend of a bucket (Backends).

Retry, timeouts, limits of rate, metrics and injected faults are wrappers of the same protocol. Adapters raise
core.errors only, translated once: NoSuchBucket, NoSuchKey, PreconditionFailed (a conditional read or write),
InvalidRange, BackendDenied, BackendBusy (throttled), BackendDown (not reached, timed out, 5xx), BackendBroken (bytes
that are short, long or other than promised), Unsupported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from core.configs.versioning import Versioning
from core.listing import ListPage, ListQuery
from core.names import ObjectKey
from core.protocols import BodyStream
from core.types import Bucket, ByteRange, ObjectAttributes, ObjectInfo


@dataclass(frozen=True, slots=True)
class BackendFeatures:
    """What a provider can do; what it can't is done another way or refused."""

    can_write: bool = True
    can_list: bool = True
    can_copy: bool = True
    has_multipart: bool = True
    has_tags: bool = False
    has_versions: bool = False
    min_part_bytes: int = 5 * 1024**2
    max_part_bytes: int = 5 * 1024**3
    max_parts: int = 10_000
    max_put_bytes: int = 5 * 1024**3


@dataclass(frozen=True, slots=True)
class RemoteBucket:
    """What a backend says of a bucket."""

    name: str
    region: str = ""
    has_versions: bool = False
    created_ns: int = 0


@dataclass(frozen=True, slots=True)
class BackendPart:
    """A part as the backend has it: `token` is what completing the upload names it by (an ETag, a block id)."""

    part_number: int
    token: str
    size_bytes: int


class BackendReader(Protocol):
    """An open object at a backend: one version of it, or BackendBroken. Close it exactly once (idempotent)."""

    @property
    def info(self) -> ObjectInfo:
        """Of the whole object, with `remote` set; from the answer's own headers."""

    @property
    def first(self) -> int:
        """Offset of the first byte offered."""

    @property
    def length(self) -> int:
        """How many bytes are offered, as the backend promises; iteration gives exactly these or raises."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks as they come, none empty, at most 1 MiB."""

    async def close(self) -> None: ...


class Backend(Protocol):
    """The buckets of one account at one provider, by their names there. One a process and account; open connections
    are its own. All that it tells of an object is an ObjectInfo with `remote` set, and the etag, time, headers and
    user metadata that clients are to see."""

    @property
    def features(self) -> BackendFeatures: ...

    async def list_buckets(self) -> Sequence[RemoteBucket]: ...

    async def head_bucket(self, bucket: str) -> RemoteBucket:
        """Raises NoSuchBucket, BackendDenied."""

    async def list_page(self, bucket: str, query: ListQuery) -> ListPage:
        """As ObjectStore.list_objects, in UTF-8 binary order of keys; a page may be shorter than asked for. Where a
        provider cannot begin at a key, the adapter remembers the provider's own tokens, or reads on from the start."""

    async def head(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> ObjectInfo:
        """`version_id`: the provider's, "" for the current object."""

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> BackendReader:
        """Begin to read. `if_match`: only while the object has that `remote.etag`, else PreconditionFailed."""

    async def put(
        self,
        bucket: str,
        key: ObjectKey,
        body: BodyStream,
        attributes: ObjectAttributes,
        *,
        if_match: str = "",
        if_absent: bool = False,
    ) -> ObjectInfo:
        """Write an object whole. `body.size_bytes` is known; what the iteration of `body` raises comes out, and then
        nothing was written. `if_match`, `if_absent` only where the provider decides them atomically, else Unsupported.
        """

    async def delete(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> None:
        """Absent keys succeed."""

    async def copy(
        self,
        source_bucket: str,
        source_key: ObjectKey,
        bucket: str,
        key: ObjectKey,
        attributes: ObjectAttributes | None,
    ) -> ObjectInfo:
        """Copy at the provider, between buckets of this account. `attributes` None: the source's. Raises Unsupported
        where it can't be done there (`features.can_copy`, too large)."""

    async def set_tags(self, bucket: str, key: ObjectKey, tags: Mapping[str, str]) -> None:
        """Raises Unsupported (`features.has_tags`)."""

    async def get_tags(self, bucket: str, key: ObjectKey) -> Mapping[str, str]:
        """Raises Unsupported."""

    # --- multipart ---

    async def create_upload(self, bucket: str, key: ObjectKey, attributes: ObjectAttributes) -> str:
        """The provider's id of a new upload."""

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        """Replaces a part of the same number."""

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        """Publish the object made of `parts`, in order. Raises NoSuchUpload, InvalidPart."""

    async def abort_upload(self, bucket: str, key: ObjectKey, upload_id: str) -> None:
        """An upload that is no more succeeds."""

    async def close(self) -> None: ...


Count = tuple[str, tuple[str, ...]]
"""What is counted of backends (requests, errors, seconds, read_bytes, written_bytes), and of what: provider, account,
bucket, verb, and of errors the class."""

BackendCounts = Callable[[], Awaitable[Mapping[Count, float]]]
"""Tells what all processes of a node have counted."""


class Backends(Protocol):
    """Who has the backend of a bucket. One a process; it opens backends when they are first needed, and anew when an
    account or a bucket's endpoint has changed."""

    def of(self, bucket: Bucket) -> Backend:
        """The backend of a bucket that is bound (`bucket.props.backend`). Never blocks. Raises NoSuchAccount,
        Unsupported (a provider that this build cannot reach)."""

    def of_account(self, provider: str, account: str = "", namespace: str = "") -> Backend:
        """To look around at a provider before there is a bucket. Raises as `of`."""

    async def close(self) -> None: ...


def remote_name(bucket: Bucket) -> str:
    """The name that a bound bucket has at its backend."""
    assert bucket.props.backend is not None
    return bucket.props.backend.bucket.name


def copies_of(bucket: Bucket) -> Bucket:
    """A bucket as the local node is to see it where copies come and go: they have no versions, and nobody is told."""
    props = replace(bucket.props, versioning=Versioning.OFF)
    return replace(bucket, origin=None, props=props)
