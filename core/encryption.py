"""Owns what is said of encryption: what a write asks for, what is kept with an object, and the rules for customers'
keys. The ciphers are in core.cipher.

Plaintext keys live in these values while a request runs. They are kept out of every repr, compared in constant time
and never stored.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from core.errors import CustomerKeyNotApplicable, CustomerKeyRequired
from core.light import light

KEY_BYTES = 32

S3_KEY_ID = "weir/s3"
"""The key of the key service that wraps the data keys of SSE-S3. Made by itself; no client can name it."""

DEFAULT_KMS_ALIAS = "alias/aws/s3"
"""What SSE-KMS uses when a request names no key, provided that it was made (AWS: the managed key of S3)."""


class EncryptionMode(StrEnum):
    """How an object's data key is protected; the values are those of x-amz-server-side-encryption where it has one."""

    CUSTOMER = "SSE-C"
    S3 = "AES256"
    KMS = "aws:kms"


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """A key that came with a request and goes with it."""

    key: bytes = field(repr=False)

    @property
    def md5(self) -> str:
        """As x-amz-server-side-encryption-customer-key-MD5 has it."""
        digest = hashlib.md5(self.key, usedforsecurity=False).digest()
        return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True)
class EncryptionRequest:
    """What a writer asks for, or its bucket does for it. `context` is the client's own, as the base64 it sent."""

    mode: EncryptionMode
    kms_key_id: str = ""
    context: str = ""
    uses_bucket_key: bool = False
    customer_key: CustomerKey | None = field(default=None, repr=False)


SSE_S3 = EncryptionRequest(EncryptionMode.S3)


@light
@dataclass(frozen=True, slots=True)
class ObjectEncryption:
    """What is kept with an encrypted object or upload: all but a key.

    `wrapped_key` is the data key, readable only to the key service or with the customer's key, and only for this
    object: it is bound to its bucket and name. `kms_key_id` names the service's key; empty for a customer's.
    """

    mode: EncryptionMode
    wrapped_key: bytes = field(repr=False)
    kms_key_id: str = ""
    context: str = ""
    uses_bucket_key: bool = False


def encryption_as_before(
    kept: ObjectEncryption | None, customer_key: CustomerKey | None = None
) -> EncryptionRequest | None:
    """The encryption that an object has, as a request for it."""
    if kept is None:
        return None
    return EncryptionRequest(
        kept.mode,
        kept.kms_key_id if kept.mode is EncryptionMode.KMS else "",
        kept.context,
        kept.uses_bucket_key,
        customer_key,
    )


@dataclass(frozen=True, slots=True)
class DataKey:
    """A new data key: for use, and wrapped for keeping. `key_id` is the canonical id of the key that wrapped it."""

    key: bytes = field(repr=False)
    wrapped_key: bytes = field(repr=False)
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A key of the key service as its users may know it."""

    key_id: str
    alias: str
    version: int
    created_ns: int
    is_enabled: bool = True


def encryption_binding(bucket_id: int, key: str, mode: EncryptionMode, context: str) -> bytes:
    """What a wrapped data key is good for. No two sets of fields give the same bytes."""
    name, place, how, said = key.encode(), b"%d" % bucket_id, mode.value.encode(), context.encode()
    return b"weir object key\0%d:%s%d:%s%d:%s%d:%s" % (
        *(len(place), place),
        *(len(name), name),
        *(len(how), how),
        *(len(said), said),
    )


def check_customer_key_given(
    encryption: ObjectEncryption | None, customer_key: CustomerKey | None
) -> None:
    """That a customer's key comes with a request if and only if the object needs one; whether it is the right one is
    found by unwrapping. Raises CustomerKeyRequired, CustomerKeyNotApplicable."""
    needs_key = encryption is not None and encryption.mode is EncryptionMode.CUSTOMER
    if needs_key and customer_key is None:
        raise CustomerKeyRequired
    if not needs_key and customer_key is not None:
        raise CustomerKeyNotApplicable
