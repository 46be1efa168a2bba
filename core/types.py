"""Owns the frozen values that cross the seams: users, buckets, objects, ranges, conditions. Those of listings,
deletes and uploads are in core.listing, core.deletion and core.uploads.

Nothing here knows HTTP, XML or SQL. Times are integer nanoseconds since the epoch (UTC); sizes are bytes; ETags are
bare hex (with "-N" for multipart), quotes exist only on the wire; digests are raw bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.claims import Claims
from core.configs.access import ObjectOwnership, PublicAccessBlock
from core.configs.backend import BackendBinding
from core.configs.cors import CorsRule
from core.configs.encryption import DefaultEncryption
from core.configs.lifecycle import Lifecycle
from core.configs.logging import Logging
from core.configs.native import NativeProps
from core.configs.notification import NotificationRule
from core.configs.versioning import ObjectLock, Retention, Versioning
from core.configs.website import Website
from core.encryption import ObjectEncryption
from core.light import light
from core.names import AccessKey, BucketRef, ObjectKey, UserId
from core.origin import Origin

NULL_VERSION = "null"
"""The version id of an object written while its bucket was not versioned."""

NOBODY = UserId("")
"""The owner of what an anonymous caller wrote."""

MIN_PART_BYTES = 5 * 1024**2
MAX_PART_BYTES = 5 * 1024**3
MAX_PUT_BYTES = 5 * 1024**3
MAX_OBJECT_BYTES = 50 * 1024**4
MAX_PARTS = 10_000


# --- identity ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    """An account. `user_id` is the canonical id that S3 shows as an owner's ID.

    `policies` are those attached to the user, each its name and JSON document. With any, the user may do only what they
    allow, of what its account may.
    """

    user_id: UserId
    name: str
    display_name: str
    email: str = ""
    is_root: bool = False
    policies: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key with its secret and the user it belongs to. Never log one."""

    access_key: AccessKey
    secret_key: str = field(repr=False)
    user: User


@light
@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends a request. `user` is None for an anonymous caller.

    With `claims`, who came with a token: it acts for `user`, as far as the token permits.
    """

    user: User | None
    access_key: AccessKey | None = None
    claims: Claims | None = None

    @property
    def is_anonymous(self) -> bool:
        return self.user is None

    @property
    def user_id(self) -> UserId | None:
        return None if self.user is None else self.user.user_id


ANONYMOUS = Identity(user=None)


class CannedAcl(StrEnum):
    """The predefined grants of S3 (AWS: ACL overview, Canned ACL)."""

    PRIVATE = "private"
    PUBLIC_READ = "public-read"
    PUBLIC_READ_WRITE = "public-read-write"
    AUTHENTICATED_READ = "authenticated-read"
    AWS_EXEC_READ = "aws-exec-read"
    BUCKET_OWNER_READ = "bucket-owner-read"
    BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"
    LOG_DELIVERY_WRITE = "log-delivery-write"


class Permission(StrEnum):
    """What a grant of an ACL permits (AWS: ACL overview, What permissions can I grant?)."""

    READ = "READ"
    WRITE = "WRITE"
    READ_ACP = "READ_ACP"
    WRITE_ACP = "WRITE_ACP"
    FULL_CONTROL = "FULL_CONTROL"


class Group(StrEnum):
    """The predefined groups that a grant may name, by their URIs."""

    ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
    AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
    LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of an ACL: a permission for a user or, if `user_id` is empty, for a group."""

    permission: Permission
    user_id: UserId = NOBODY
    group: Group | None = None


Acl = CannedAcl | tuple[Grant, ...]
"""An ACL as it was set: by its predefined name, or grant by grant. A canned one includes the owner's full control,
a list of grants has it only if it says so."""


_PLAIN = NativeProps()


# --- buckets -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BucketProps:
    """The settings of a bucket; None and empty are what a new bucket has.

    `durability` is "durable" (fsync before the answer) or "relaxed". `object_lock` None: versions cannot be locked.
    `policy` is the JSON document as it was put; `policy_binds_owner`: the owner confirmed that it may take the owner's
    own access to the policy away. `ownership` None: not set, and ACLs count (as OBJECT_WRITER). `backend`: the bucket
    that this one is a cached view of; None where objects live here alone.
    """

    durability: str = "durable"
    acl: Acl = CannedAcl.PRIVATE
    versioning: Versioning = Versioning.OFF
    object_lock: ObjectLock | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: str = ""
    policy_binds_owner: bool = False
    ownership: ObjectOwnership | None = None
    public_access_block: PublicAccessBlock | None = None
    is_requester_pays: bool = False
    lifecycle: Lifecycle | None = None
    cors: tuple[CorsRule, ...] = ()
    notification_rules: tuple[NotificationRule, ...] = ()
    encryption: DefaultEncryption | None = None
    website: Website | None = None
    logging: Logging | None = None
    native: NativeProps = _PLAIN
    backend: BackendBinding | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as the control store knows it. `bucket_id` is never used again after a delete.

    `origin` says who is about to change it, in a bucket whose notifications tell of that (core.events.with_origin)."""

    ref: BucketRef
    bucket_id: int
    owner: User
    created_ns: int
    region: str = ""
    props: BucketProps = BucketProps()
    origin: Origin | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return self.ref.name


# --- checksums ---------------------------------------------------------------------------------------------------


class ChecksumAlgorithm(StrEnum):
    """The additional checksums of S3, by their names in `x-amz-checksum-algorithm`."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"


class ChecksumType(StrEnum):
    """How a multipart object's checksum came about; a plain object's is always FULL_OBJECT."""

    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"


@light
@dataclass(frozen=True, slots=True)
class Checksum:
    """One S3 checksum. `digest` is big-endian for CRCs; `part_count` is set for COMPOSITE (shown as "-N")."""

    algorithm: ChecksumAlgorithm
    digest: bytes
    type: ChecksumType = ChecksumType.FULL_OBJECT
    part_count: int = 0


@light
@dataclass(frozen=True, slots=True)
class ExpectedDigest:
    """A digest the sender claims of the whole body.

    `algorithm` is "md5" or a ChecksumAlgorithm's value in lower case ("sha256", "crc32", ...). `source` says which
    claim it is, so that an edge can answer with the right error: "content-md5", "payload" (the signed hash of the
    body) or "checksum" (x-amz-checksum-*, header or trailer).
    """

    algorithm: str
    digest: bytes
    source: str


# --- objects -----------------------------------------------------------------------------------------------------


@light
@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What a writer says of an object beside its bytes.

    `headers` holds the system metadata that S3 returns verbatim, lower-case names: content-type, content-encoding,
    content-disposition, content-language, cache-control, expires, x-amz-website-redirect-location.
    `user_metadata` has names without the x-amz-meta- prefix, lower case; values are text. `retention` and `legal_hold`
    lock the version (core.locks); `legal_hold` None: there never was one to lift.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    owner_id: UserId = NOBODY
    acl: Acl = CannedAcl.PRIVATE
    tags: Mapping[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    legal_hold: bool | None = None


@dataclass(frozen=True, slots=True)
class ObjectChanges:
    """What of a version may change after it was written; None leaves it as it is.

    `removes_retention` takes the retention away (`retention` None alone does not), and `removes_remote` what a backend
    said. `keeps_other_metadata`: the names that `user_metadata` does not have stay as they are, else they go. What is
    locked keeps its metadata. `etag`, `modified_ns`: of a copy that its backend calls otherwise by now.
    """

    tags: Mapping[str, str] | None = None
    acl: Acl | None = None
    retention: Retention | None = None
    removes_retention: bool = False
    legal_hold: bool | None = None
    user_metadata: Mapping[str, str] | None = None
    keeps_other_metadata: bool = False
    has_shard_index: bool | None = None
    remote: RemoteFacts | None = None
    removes_remote: bool = False
    etag: str = ""
    modified_ns: int = 0


@light
@dataclass(frozen=True, slots=True)
class ObjectPart:
    """A part of a completed multipart object: its number as uploaded, size, and checksum if it had one."""

    part_number: int
    size_bytes: int
    checksum: Checksum | None = None


@light
@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """What a backend said of the object that this one is a copy of.

    `etag` as the provider writes it, without quotes; `version_id` "" where it has none; digests are raw, empty where it
    does not tell. `in_doubt`: a write was under way when a process died, or several at once; the copy counts only after
    it was compared with the backend.
    """

    provider: str
    etag: str
    version_id: str = ""
    md5: bytes = b""
    crc32c: bytes = b""
    in_doubt: bool = False


@light
@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """That an object lies in several pieces: how many, and the size of the largest (0: was not looked up)."""

    count: int = 0
    max_bytes: int = 0


@light
@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """All that is known of one stored object version, without its bytes.

    `parts` is empty for an object that was not uploaded in parts. A delete marker has no bytes, ETag or attributes but
    its owner. `generation` counts the times that the key was written since it was last absent, from 1: the version
    that native clients see. `has_shard_index`: an index of this shard was made (core.shards), and is valid if it names
    this object. `remote`: what its backend says of it, in a bucket that has one; None also for what is only here.
    `is_cached` False: a listing or HEAD knows it from the backend alone. `chunks`: how it lies where it was read from,
    None for one that is whole; that is no property of the object, and writers leave it out.
    """

    key: ObjectKey
    size_bytes: int
    etag: str
    modified_ns: int
    attributes: ObjectAttributes
    checksum: Checksum | None = None
    version_id: str = NULL_VERSION
    parts: Sequence[ObjectPart] = ()
    is_delete_marker: bool = False
    encryption: ObjectEncryption | None = None
    generation: int = 1
    has_shard_index: bool = False
    remote: RemoteFacts | None = None
    is_cached: bool = True
    chunks: ChunkLayout | None = field(default=None, compare=False)


@light
@dataclass(frozen=True, slots=True)
class BoundedRange:
    """Bytes first..last, both included (last may lie past the end)."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """All bytes from `first`."""

    first: int


@dataclass(frozen=True, slots=True)
class SuffixRange:
    """The last `length` bytes."""

    length: int


@dataclass(frozen=True, slots=True)
class PartRange:
    """The bytes of one part by its number; part 1 of an object not uploaded in parts is the whole."""

    part_number: int


ByteRange = BoundedRange | OffsetRange | SuffixRange | PartRange


@light
@dataclass(frozen=True, slots=True)
class Conditions:
    """The caller's preconditions; empty means none.

    `if_match`/`if_none_match` hold bare ETags, or "*". Times are nanoseconds at whole seconds. On reads the
    order of evaluation is that of RFC 9110 §13.2.2 (as S3 does it: if_match true overrules if_unmodified_since
    false; if_none_match false overrules if_modified_since true). `if_size` and `if_modified_at_ns` serve
    conditional deletes (x-amz-if-match-size, x-amz-if-match-last-modified-time). `latest`: of an object that has a
    backend, the one that the backend has now, whatever the bucket's own rule says.
    """

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since_ns: int | None = None
    if_unmodified_since_ns: int | None = None
    if_size: int | None = None
    if_modified_at_ns: int | None = None
    latest: bool = False


NO_CONDITIONS = Conditions()
