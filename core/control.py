"""Owns the seams to the state that all processes share: who may come in and what buckets there are (ControlStore), who
tokens speak for (TokenVerifier), and the keys that wrap data keys (KeyService).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.encryption import DataKey
from core.names import AccessKey, BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, Credential, Identity, User


@dataclass(frozen=True, slots=True)
class RetiredBucket:
    """The former id of a bucket that was bound anew at that time."""

    bucket_id: int
    at_ns: int


class ControlStore(Protocol):
    """The small, precious state that all processes share: users, keys, buckets.

    Lookups are from memory and see every change that was acknowledged before the lookup began, by any process.
    Changes are durable when they return; they block, so async callers run them in a thread.
    """

    def credential(self, access_key: AccessKey) -> Credential | None: ...
    def user(self, user_id: UserId) -> User | None: ...
    def users(self) -> Sequence[User]: ...
    def credentials(self, user_id: UserId) -> Sequence[Credential]: ...
    def add_user_sync(self, user: User) -> None:
        """Raises UserExists."""

    def remove_user_sync(self, user_id: UserId) -> None:
        """Removes the user and its keys. Raises NoSuchUser; Conflict if it owns buckets or is root."""

    def add_credential_sync(self, credential: Credential) -> None:
        """Raises AccessKeyExists, NoSuchUser."""

    def remove_credential_sync(self, access_key: AccessKey) -> None:
        """Raises NoSuchAccessKey."""

    def bucket(self, ref: BucketRef) -> Bucket | None: ...
    def buckets(self, owner_id: UserId | None = None) -> Sequence[Bucket]:
        """In order of name."""

    def other_buckets(self, name: BucketName) -> Sequence[Bucket]:
        """Those of that name that are at providers or in namespaces. System buckets are none of them."""

    def create_bucket_sync(
        self, ref: BucketRef, owner: User, region: str, props: BucketProps, created_ns: int
    ) -> Bucket:
        """Raises BucketExists, BucketOwnedByYou."""

    def update_bucket_props_sync(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        """See ObjectService.update_bucket_props. Raises NoSuchBucket, also for a bucket made anew under the name."""

    def bind_bucket_sync(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps], now_ns: int
    ) -> Bucket:
        """See ObjectService.bind_bucket; whether it has objects is not looked at. The former id is then among the
        `retired_buckets`. Raises NoSuchBucket."""

    def retired_buckets(self) -> Sequence[RetiredBucket]:
        """Ids that buckets had before they were bound anew, and whose copies may still be here."""

    def forget_retired_sync(self, bucket_id: int) -> None:
        """Its copies are gone."""

    def rename_bucket_sync(self, bucket: Bucket, to: BucketRef) -> Bucket:
        """See ObjectService.rename_bucket; but what other buckets say of this one is not looked at."""

    def delete_bucket_sync(self, ref: BucketRef) -> None:
        """Raises NoSuchBucket."""


class KeyService(Protocol):
    """Holds the keys that wrap data keys and never gives them out: this store's own, or an external KMS.

    `binding` names what a data key is for; unwrapping needs the same bytes. Cancellation leaves nothing behind.
    """

    async def new_data_key(self, key_id: str, binding: bytes) -> DataKey:
        """A new data key, wrapped by the newest version of a key. `key_id` is an id, an ARN or an alias; empty means
        the default key. Raises NoSuchEncryptionKey, EncryptionKeyDisabled, Unavailable."""

    async def unwrap(self, key_id: str, wrapped_key: bytes, binding: bytes) -> bytes:
        """A data key back, whichever version of its key wrapped it. Raises NoSuchEncryptionKey, EncryptionKeyDisabled,
        Corrupt, Unavailable."""


class TokenVerifier(Protocol):
    """Knows whose bearer tokens are good."""

    def known(self, token: str) -> Identity | None:
        """Whom a token speaks for that was found good lately and still is; None if `identity` must tell. Never
        blocks."""

    async def identity(self, token: str) -> Identity:
        """Whom a token speaks for. Raises core.errors.BadToken (ExpiredToken, RevokedToken); Unavailable while nobody
        can tell."""

    async def revoke(self, tokens: Sequence[str]) -> int:
        """Refuse tokens from now on, durably and in every process; what is no token is passed over. Returns how many
        there were."""
