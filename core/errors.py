"""The one tree of errors. Raised anywhere, mapped once at each edge (S3 XML, native JSON).

    StoreError
    ├── NotFound              NoSuchBucket, AmbiguousBucketName, NoSuchKey (KeyIsDeleted), NoSuchVersion, NoSuchUpload,
    │                         NoSuchUser, NoSuchAccessKey, NoSuchEncryptionKey, NoSuchPolicy, NoSuchInventory
    ├── Conflict              BucketExists, BucketOwnedByYou, BucketNotEmpty, WriteConflict, UserExists,
    │                         InvalidBucketState, VersionIsDeleteMarker, EncryptionKeyDisabled, EncryptionKeyExists,
    │                         InventoryExists
    ├── PreconditionFailed    (ConditionFailed, NotModified)
    ├── Invalid               InvalidBucketName, InvalidKey, KeyTooLong, InvalidRange, InvalidPart, InvalidPartOrder,
    │                         PartTooSmall, EntityTooLarge, DigestMismatch, IncompleteBody, InvalidArgument,
    │                         CustomerKeyRequired, CustomerKeyNotApplicable, CustomerKeyMismatch, InvalidTag,
    │                         TooManyTags, MalformedPolicy
    ├── Denied                ObjectLocked, BackendDenied, BadToken (ExpiredToken, RevokedToken)
    ├── Corrupt               (bytes on disk that do not match their checksum)
    ├── Unsupported           (a provider, or this build, cannot do it)
    └── Unavailable           MountpathUnavailable, OutOfSpace, Overloaded, MasterKeyMissing, BackendDown, BackendBusy,
                              BackendBroken

Errors carry fields, not sentences. A front that needs a protocol-specific error subclasses StoreError itself.
"""

from __future__ import annotations

from typing import Any


class StoreError(Exception):
    """Base of everything that weir raises on purpose. Fields become attributes and the message's values."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(", ".join(f"{name}={value!r}" for name, value in fields.items()))
        self.fields = fields

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None


# --- not found ---------------------------------------------------------------------------------------------------


class NotFound(StoreError):
    """A named thing does not exist."""


class NoSuchBucket(NotFound):
    """Fields: bucket."""


class AmbiguousBucketName(NotFound):
    """Several providers or namespaces have a bucket of this name, and nothing said which is meant. Fields: bucket."""


class NoSuchKey(NotFound):
    """Fields: key."""


class KeyIsDeleted(NoSuchKey):
    """The key's latest version is a delete marker. Fields: key, version_id, modified_ns (the marker's)."""


class NoSuchVersion(NotFound):
    """Fields: key, version_id."""


class NoSuchUpload(NotFound):
    """Fields: upload_id."""


class NoSuchUser(NotFound):
    """Fields: user."""


class NoSuchAccessKey(NotFound):
    """Fields: access_key."""


class NoSuchPolicy(NotFound):
    """Fields: bucket, or user and policy (its name)."""


class NoSuchEncryptionKey(NotFound):
    """The key service has no such key. Fields: key_id."""


class NoSuchInventory(NotFound):
    """Fields: bucket, inventory (its name, "" for any)."""


# --- conflict ----------------------------------------------------------------------------------------------------


class Conflict(StoreError):
    """The request is fine but the present state forbids it."""


class BucketExists(Conflict):
    """Another user owns a bucket of this name. Fields: bucket."""


class BucketOwnedByYou(Conflict):
    """The caller owns a bucket of this name already. Fields: bucket."""


class BucketNotEmpty(Conflict):
    """Fields: bucket."""


class WriteConflict(Conflict):
    """A conditional write met a concurrent change and may be tried again. Fields: key."""


class InvalidBucketState(Conflict):
    """Two configurations of a bucket exclude each other. Fields: bucket, reason (a sentence for the user)."""


class VersionIsDeleteMarker(Conflict):
    """The version asked for has no object: it is a delete marker. Fields: key, version_id, modified_ns."""


class UserExists(Conflict):
    """Fields: user."""


class AccessKeyExists(Conflict):
    """Fields: access_key."""


class EncryptionKeyDisabled(Conflict):
    """Fields: key_id."""


class EncryptionKeyExists(Conflict):
    """A key has this id or alias already. Fields: key_id."""


class InventoryExists(Conflict):
    """The bucket has an inventory that stands in the way of another. Fields: bucket, inventory (its name)."""


# --- preconditions -----------------------------------------------------------------------------------------------


class PreconditionFailed(StoreError):
    """A condition of the caller does not hold. Fields: condition (the header's name)."""


class NotModified(StoreError):
    """The reader's copy is current. Fields: info (ObjectInfo), for the response headers."""


# --- invalid input -----------------------------------------------------------------------------------------------


class Invalid(StoreError):
    """The request can never succeed as it stands."""


class InvalidArgument(Invalid):
    """Fields: name, value, and reason (a sentence for the user)."""


class MalformedPolicy(Invalid):
    """An access policy that is none. Fields: reason (a sentence for the user)."""


class InvalidTag(Invalid):
    """A tag that may not be, or one too many of an object. Fields: key, value, reason (a sentence for the user)."""


class TooManyTags(Invalid):
    """More tags than a bucket may have. Fields: max_tags."""


class InvalidBucketName(Invalid):
    """Fields: bucket."""


class InvalidKey(Invalid):
    """Fields: reason."""


class KeyTooLong(Invalid):
    """Fields: size_bytes, max_bytes."""


class InvalidRange(Invalid):
    """No byte of the object lies in the range. Fields: requested, size_bytes."""


class InvalidPartNumber(Invalid):
    """The object has no such part. Fields: part_number, part_count."""


class InvalidPart(Invalid):
    """A part named in a completion is absent or its ETag or checksum differs. Fields: part_number, upload_id, etag."""


class InvalidPartOrder(Invalid):
    """The part list of a completion is not ascending. Fields: upload_id."""


class PartTooSmall(Invalid):
    """A part that is not the last is under the minimum. Fields: part_number, size_bytes, min_bytes, etag."""


class EntityTooLarge(Invalid):
    """Fields: size_bytes, max_bytes."""


class DigestMismatch(Invalid):
    """The body does not match a digest that came with it.

    Fields: source (an ExpectedDigest's source: "content-md5", "payload", "checksum"), algorithm, expected, actual
    (raw digest bytes).
    """


class IncompleteBody(Invalid):
    """The body ended before its declared length. Fields: expected_bytes, actual_bytes."""


class CustomerKeyRequired(Invalid):
    """The object or upload is encrypted with a customer's key, and none came."""


class CustomerKeyNotApplicable(Invalid):
    """A customer's key came for an object or upload that is not encrypted with one."""


class CustomerKeyMismatch(Invalid):
    """The customer's key is not the one that the object or upload is encrypted with."""


# --- denied, corrupt, unavailable --------------------------------------------------------------------------------


class Denied(StoreError):
    """The caller may not do this. Fields: reason (for the log, never for the client)."""


class ObjectLocked(Denied):
    """A retention or legal hold forbids it. Fields: reason."""


class BadToken(Denied):
    """A bearer token that is none, or is not good (any more). Fields: reason (a sentence for the client)."""


class ExpiredToken(BadToken):
    """It was good once. Fields: reason."""


class RevokedToken(BadToken):
    """It would be good, had its issuer not taken it back. Fields: reason."""


class BackendDenied(Denied):
    """The provider refuses this cluster's credentials. Fields: provider, bucket, reason."""


class Unsupported(StoreError):
    """What was asked for can't be done there, ever. Fields: what, reason (a sentence for the user)."""


class Corrupt(StoreError):
    """Stored bytes do not match their checksum or cannot be decoded. Fields: what, where."""


class Unavailable(StoreError):
    """Try again later. Fields: retry_after_s."""


class MountpathUnavailable(Unavailable):
    """The disk under a mountpath is gone, read-only or failing. Fields: mountpath, reason, retry_after_s."""


class OutOfSpace(Unavailable):
    """The disk is full; nothing stored before is hurt. Fields: mountpath, retry_after_s."""


class Overloaded(Unavailable):
    """A limit of memory, descriptors or queue length is reached. Fields: what, retry_after_s."""


class MasterKeyMissing(Unavailable):
    """The key that the key service's keys are wrapped with is not at hand. Fields: master_id, retry_after_s."""


class BackendDown(Unavailable):
    """A provider is not reached, is too slow, or fails. Fields: provider, bucket, reason, retry_after_s."""


class BackendBusy(Unavailable):
    """A provider throttles. Fields: provider, bucket, reason, retry_after_s."""


class BackendBroken(Unavailable):
    """A provider's bytes are short, long, or not those that it promised; none of them was kept. Fields: provider,
    bucket, key, reason, retry_after_s."""
