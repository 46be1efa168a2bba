"""Owns the way from what a write asks for to a data key, and from what is kept with an object back to it; and the same
for texts that are secrets of a job."""

from __future__ import annotations

import base64

from core.cipher import DoesNotOpen, new_key, unwrap, wrap
from core.control import KeyService
from core.encryption import (
    S3_KEY_ID,
    CustomerKey,
    DataKey,
    EncryptionMode,
    EncryptionRequest,
    ObjectEncryption,
    check_customer_key_given,
    encryption_binding,
)
from core.errors import Corrupt, CustomerKeyMismatch, NoSuchEncryptionKey
from core.names import ObjectKey
from core.types import Bucket


class NoKeys:
    """A KeyService that has no key: only customers' own keys can be used."""

    async def new_data_key(self, key_id: str, binding: bytes) -> DataKey:
        raise NoSuchEncryptionKey(key_id=key_id)

    async def unwrap(self, key_id: str, wrapped_key: bytes, binding: bytes) -> bytes:
        raise NoSuchEncryptionKey(key_id=key_id)


async def new_encryption(
    keys: KeyService, bucket: Bucket, key: ObjectKey, request: EncryptionRequest
) -> tuple[ObjectEncryption, bytes]:
    """A data key for an object about to be written, and what is kept of it.

    Raises NoSuchEncryptionKey, EncryptionKeyDisabled, Unavailable.
    """
    mode, context = request.mode, request.context
    binding = encryption_binding(bucket.bucket_id, key, mode, context)
    if mode is EncryptionMode.CUSTOMER:
        assert request.customer_key is not None
        data_key = new_key()
        wrapped = wrap(request.customer_key.key, data_key, binding)
        return ObjectEncryption(mode, wrapped), data_key
    wanted = S3_KEY_ID if mode is EncryptionMode.S3 else request.kms_key_id
    if mode is EncryptionMode.KMS and wanted == S3_KEY_ID:
        raise NoSuchEncryptionKey(key_id=wanted)
    made = await keys.new_data_key(wanted, binding)
    kept = ObjectEncryption(mode, made.wrapped_key, made.key_id, context, request.uses_bucket_key)
    return kept, made.key


async def open_encryption(
    keys: KeyService,
    bucket: Bucket,
    key: ObjectKey,
    encryption: ObjectEncryption,
    customer_key: CustomerKey | None,
) -> bytes:
    """The data key of an object or upload. Raises CustomerKeyRequired, CustomerKeyNotApplicable, CustomerKeyMismatch,
    NoSuchEncryptionKey, EncryptionKeyDisabled, Corrupt, Unavailable."""
    check_customer_key_given(encryption, customer_key)
    if customer_key is None:
        binding = encryption_binding(bucket.bucket_id, key, encryption.mode, encryption.context)
        return await keys.unwrap(encryption.kms_key_id, encryption.wrapped_key, binding)
    return open_with_customer_key(bucket, key, encryption, customer_key)


def check_customer_key(
    bucket: Bucket,
    key: ObjectKey,
    encryption: ObjectEncryption | None,
    customer_key: CustomerKey | None,
) -> None:
    """That a request brings the key that an object or upload needs, and none that it doesn't. Raises
    CustomerKeyRequired, CustomerKeyNotApplicable, CustomerKeyMismatch."""
    check_customer_key_given(encryption, customer_key)
    if encryption is not None and customer_key is not None:
        open_with_customer_key(bucket, key, encryption, customer_key)


def open_with_customer_key(
    bucket: Bucket, key: ObjectKey, encryption: ObjectEncryption, customer_key: CustomerKey
) -> bytes:
    """Unwrapping is what tells the right key from others, so nothing that would tell of it need be kept."""
    binding = encryption_binding(bucket.bucket_id, key, encryption.mode, encryption.context)
    try:
        return unwrap(customer_key.key, encryption.wrapped_key, binding)
    except DoesNotOpen:
        raise CustomerKeyMismatch from None


async def seal_text(keys: KeyService, binding: bytes, text: str) -> str:
    """A text encrypted under a key of the key service's, as text; it opens only with the same `binding`."""
    data_key = await keys.new_data_key(S3_KEY_ID, binding)
    sealed = wrap(data_key.key, text.encode(), binding)
    return ".".join(base64.b64encode(each).decode() for each in (data_key.wrapped_key, sealed))


async def open_text(keys: KeyService, binding: bytes, sealed: str) -> str:
    """The inverse of `seal_text`. Raises Corrupt, NoSuchEncryptionKey, Unavailable."""
    try:
        wrapped_key, data = (base64.b64decode(each, validate=True) for each in sealed.split("."))
        return unwrap(await keys.unwrap(S3_KEY_ID, wrapped_key, binding), data, binding).decode()
    except (ValueError, DoesNotOpen):
        raise Corrupt(what="sealed text", where="a job's arguments") from None
