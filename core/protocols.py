"""Owns the seams that the fronts call: objects (ObjectStore), and with buckets and users (ObjectService); what streams
in and out of them; and time (Clock). What lies below is in core.nodes, and the seams to users, tokens, buckets and keys
are in core.control.

Arguments and results are frozen types of core. Implementations raise core.errors only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.deletion import DeleteItem, DeleteResult
from core.encryption import CustomerKey, EncryptionRequest
from core.light import light
from core.listing import (
    ListPage,
    ListQuery,
    VersionListPage,
    VersionListQuery,
)
from core.names import BucketName, BucketRef, ObjectKey, UploadId, UserId
from core.types import (
    NO_CONDITIONS,
    Bucket,
    BucketProps,
    ByteRange,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
    User,
)
from core.uploads import (
    CompletedPart,
    PartListPage,
    Upload,
    UploadedPart,
    UploadListPage,
    UploadListQuery,
)


class Clock(Protocol):
    """Wall-clock time, so that tests can set it."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""


class BodyStream(Protocol):
    """The bytes of a write on their way in. Iterated once.

    Iteration raises an error of core.errors (IncompleteBody, a front's signature error, ...) when the body turns out
    bad; the writer then stores nothing. `expected_digests` is valid only after iteration has ended (trailers).
    """

    @property
    def size_bytes(self) -> int | None:
        """The length of the payload, None if it is not declared."""

    @property
    def wanted_checksum(self) -> ChecksumAlgorithm | None:
        """The S3 checksum to compute, keep and return, known before the body (its value may come in a trailer)."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks of any size, none empty."""

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """What the sender claims of the whole; every claim must hold or DigestMismatch is raised."""

    def expected_algorithms(self) -> Sequence[str]:
        """The `algorithm` names that `expected_digests` will name, known before iteration begins."""


@light
@dataclass(frozen=True, slots=True)
class FileSlice:
    """A run of bytes in an open local file, for zero-copy sending. Valid until its reader is closed."""

    fd: int
    offset: int
    size_bytes: int


Slice = FileSlice | bytes
"""Some of an object: where it lies in a file, or, while it is in none, itself."""


class ObjectReader(Protocol):
    """An open object: one version, whole, whatever happens to the key meanwhile. Close it exactly once (idempotent).

    The bytes offered are those of [first, first + length). Use one of three ways, fastest first: `data` when the bytes
    are in memory already; `next_slice` when they lie in local files; iteration always works.
    Iteration raises Corrupt if a verified read finds a bad checksum, before the last chunk is handed out.
    """

    @property
    def info(self) -> ObjectInfo: ...
    @property
    def first(self) -> int:
        """Offset of the first byte offered."""

    @property
    def length(self) -> int:
        """How many bytes are offered."""

    @property
    def data(self) -> bytes | None:
        """All the bytes offered, if they are in memory (small objects), else None."""

    @property
    def has_slices(self) -> bool:
        """Whether `next_slice` may be used in place of iteration."""

    async def next_slice(self) -> Slice | None:
        """The next slice in order; None after the last. A slice is valid until the next call."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def close(self) -> None: ...


class ObjectStore(Protocol):
    """Object and multipart operations on buckets that the caller has resolved: the internal native API.

    Atomicity: every write is all or nothing and durable when the call returns (bucket property `durability`); a
    reader sees the old object or the new one, whole. Cancellation of a write leaves the old state or the new one,
    never a mixture, and no named garbage. All raise Unavailable kinds for disks, Corrupt for bad stored bytes.
    """

    async def head(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        """Raises NoSuchKey (KeyIsDeleted), NoSuchVersion, VersionIsDeleteMarker, PreconditionFailed, NotModified."""

    async def head_with_tags(
        self, bucket: Bucket, key: ObjectKey, *, version_id: str | None = None
    ) -> ObjectInfo:
        """`head` whose tags are those that the object has for certain: a provider tells them only when it is asked, and
        a copy of its object may be without. Raises as `head`."""

    async def get(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
    ) -> ObjectReader:
        """Open an object. An encrypted one is decrypted on the way; one that is encrypted with a customer's key takes
        that key, and others none. (`head` asks for no key; see core.sealing.check_customer_key.)

        Raises as `head`, and InvalidRange, InvalidPartNumber, CustomerKeyRequired, CustomerKeyMismatch,
        CustomerKeyNotApplicable, NoSuchEncryptionKey, EncryptionKeyDisabled."""

    async def put(
        self,
        bucket: Bucket,
        key: ObjectKey,
        body: BodyStream,
        *,
        attributes: ObjectAttributes,
        conditions: Conditions = NO_CONDITIONS,
        encryption: EncryptionRequest | None = None,
    ) -> ObjectInfo:
        """Store an object whole: as a new version where `bucket.props.versioning` is ENABLED, else in place of the
        null version. A version without retention of its own gets the bucket's default.

        With `encryption`, only encrypted bytes reach a disk; digests and sizes are still of the plaintext, but the
        ETags of SSE-C and SSE-KMS are not its MD5. The bucket's default encryption is for the caller to ask for.

        Raises NoSuchEncryptionKey, EncryptionKeyDisabled, DigestMismatch, EntityTooLarge, IncompleteBody,
        PreconditionFailed, NoSuchKey (if_match on an absent key), OutOfSpace, and what the body's iteration raises."""

    async def delete(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> DeleteResult:
        """Remove an object; absent keys succeed (but a condition on an absent key raises NoSuchKey).

        With versions (ENABLED or SUSPENDED) and no `version_id`, put a delete marker on top; SUSPENDED puts it in place
        of the null version. With a `version_id`, remove that version or marker for good; the conditions are those of
        the named version, and of the current object otherwise. Raises ObjectLocked."""

    async def delete_many(
        self, bucket: Bucket, items: Sequence[DeleteItem], *, bypass_governance: bool = False
    ) -> Sequence[DeleteResult | Exception]:
        """Delete up to 1,000 keys; one outcome an item, in order (a StoreError where that item failed)."""

    async def copy(
        self,
        source_bucket: Bucket,
        source_key: ObjectKey,
        bucket: Bucket,
        key: ObjectKey,
        *,
        source_version_id: str | None = None,
        source_conditions: Conditions = NO_CONDITIONS,
        conditions: Conditions = NO_CONDITIONS,
        attributes: ObjectAttributes | None = None,
        owner_id: UserId | None = None,
        checksum_algorithm: ChecksumAlgorithm | None = None,
        encryption: EncryptionRequest | None = None,
        source_customer_key: CustomerKey | None = None,
    ) -> ObjectInfo:
        """Copy without bytes passing through the caller. `attributes` None keeps the source's (with `owner_id` and
        default ACL). Onto itself it replaces the attributes. The copy is encrypted as `encryption` asks, whatever its
        source is; but onto itself, None keeps the encryption. Raises as get and put; source over 5 GiB:
        EntityTooLarge."""

    async def update_object(
        self,
        bucket: Bucket,
        key: ObjectKey,
        changes: ObjectChanges,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> ObjectInfo:
        """Change what may change of a version, in one commit: not its bytes, ETag, time or place among the versions.
        Raises NoSuchKey, NoSuchVersion, VersionIsDeleteMarker, PreconditionFailed, ObjectLocked (core.locks)."""

    async def announce(self, bucket: Bucket, messages: Mapping[str, bytes]) -> None:
        """Have messages delivered to destinations of event notifications (name → message), as those of changes are:
        at least once, in a while. A change of a bucket that has an `origin` queues its own, in its own commit."""

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """One page of the keys whose latest version is an object; costs what it returns, whatever the bucket's size
        and however many versions lie under a key. What entries have for certain is what `query.detail` says."""

    async def list_versions(self, bucket: Bucket, query: VersionListQuery) -> VersionListPage:
        """One page of all versions and delete markers, with their attributes; costs what it returns."""

    async def is_empty(self, bucket: Bucket) -> bool:
        """Whether no version or delete marker is in the bucket (uploads in progress do not count)."""

    # --- multipart ---

    async def create_upload(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        attributes: ObjectAttributes,
        initiator: User,
        checksum_algorithm: ChecksumAlgorithm | None = None,
        checksum_type: ChecksumType | None = None,
        encryption: EncryptionRequest | None = None,
    ) -> Upload:
        """All parts will be encrypted as `encryption` asks. Raises NoSuchEncryptionKey, EncryptionKeyDisabled."""

    async def get_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> Upload:
        """Raises NoSuchUpload."""

    async def upload_part(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        part_number: int,
        body: BodyStream,
        *,
        customer_key: CustomerKey | None = None,
    ) -> UploadedPart:
        """Store a part, replacing one of the same number. Raises NoSuchUpload and as put."""

    async def upload_part_copy(
        self,
        source_bucket: Bucket,
        source_key: ObjectKey,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        part_number: int,
        *,
        source_version_id: str | None = None,
        source_range: ByteRange | None = None,
        source_conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
        source_customer_key: CustomerKey | None = None,
    ) -> UploadedPart:
        """A part from an object's bytes. A bounded range past the source's end raises InvalidRange."""

    async def list_parts(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        *,
        after: int = 0,
        limit: int = 1000,
    ) -> PartListPage: ...

    async def list_uploads(self, bucket: Bucket, query: UploadListQuery) -> UploadListPage: ...

    async def complete_upload(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        parts: Sequence[CompletedPart],
        *,
        conditions: Conditions = NO_CONDITIONS,
        expected_checksum: Checksum | None = None,
        expected_size_bytes: int | None = None,
        allows_small_parts: bool = False,
    ) -> ObjectInfo:
        """Publish the object made of `parts`, with no data copied. The same completion sent again after success
        returns the same result while that object is still the key's current one. All parts but the last have S3's
        minimal size, unless `allows_small_parts`.

        Raises NoSuchUpload, InvalidPart, InvalidPartOrder, PartTooSmall, DigestMismatch (full-object checksum),
        PreconditionFailed."""

    async def abort_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> None:
        """Raises NoSuchUpload."""


class ObjectService(ObjectStore, Protocol):
    """What every front and job calls: the users, the buckets, and the object operations routed to their owners."""

    @property
    def present(self) -> ObjectStore:
        """The same objects as far as they are in the cluster: no backend is asked or told. What it deletes from a
        bucket with a backend is evicted."""

    def get_bucket(self, ref: BucketRef) -> Bucket:
        """From memory; never blocks. Raises NoSuchBucket."""

    def find_bucket(self, name: BucketName) -> Bucket:
        """The bucket that a bare name means, as S3 clients say it: ours in the global namespace, or else the one there
        is at a provider or in a namespace. As `get_bucket`, at the same cost. Raises AmbiguousBucketName too."""

    def user(self, user_id: UserId) -> User | None:
        """Who has a canonical id. From memory; never blocks."""

    def users_with_email(self, email: str) -> Sequence[User]:
        """Who has an e-mail address, whatever the case of its letters. From memory; never blocks."""

    async def list_buckets(
        self, owner_id: UserId, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Sequence[Bucket]:
        """Buckets of an owner that S3 clients see by their names, each name once, in name order, names > `after`; all
        if `limit` is None."""

    def all_buckets(self) -> Sequence[Bucket]:
        """Every bucket of every owner, provider and namespace, in order of name. From memory; never blocks."""

    async def create_bucket(
        self, ref: BucketRef, *, owner: User, region: str, props: BucketProps
    ) -> Bucket:
        """Raises BucketExists, BucketOwnedByYou."""

    async def update_bucket_props(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        """Change a bucket's properties atomically: `change` is given those in force, may raise to refuse, and may be
        called again. Raises NoSuchBucket."""

    async def delete_bucket(self, bucket: Bucket) -> None:
        """Raises NoSuchBucket, BucketNotEmpty. No object can appear in the bucket once it began to succeed."""

    async def destroy_bucket(self, bucket: Bucket) -> None:
        """Delete a bucket with all that is in it. Its name is free at once; the space is given back in a while, also
        over a crash. A crash before the return leaves the bucket whole or gone.

        Raises NoSuchBucket; ObjectLocked for one with object lock that is not empty."""

    async def bind_bucket(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        """Change the properties of one of our own buckets so that it is bound to another one, in one step: it gets a
        new `bucket_id`, so that nothing that is here of what it was bound to before is ever served again. What is at
        work on it may end, on what it was.

        Raises NoSuchBucket; InvalidBucketState where it was bound to none and has objects, or gets access logs."""

    async def rename_bucket(self, bucket: Bucket, to: BucketRef) -> Bucket:
        """Give a bucket another name, in one step: what is in it stays where it is.

        Raises NoSuchBucket, BucketExists; InvalidBucketState where something is bound to the present name: its own
        policy, or another bucket's access logs."""

    async def ensure_system_bucket(self, ref: BucketRef) -> Bucket:
        """The bucket of that name, root's own, made if there is none."""
