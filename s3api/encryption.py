"""Owns what headers (and form fields named alike) say of server-side encryption, and what answers say of it.

Sources: AWS, Protecting data with server-side encryption; Using server-side encryption with customer-provided keys;
Specifying server-side encryption with AWS KMS. Keys are never part of an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace

from core.configs.encryption import DefaultEncryption
from core.encryption import (
    KEY_BYTES,
    SSE_S3,
    CustomerKey,
    EncryptionMode,
    EncryptionRequest,
    ObjectEncryption,
)
from core.errors import Denied, InvalidArgument
from s3api.call import Call, Settings
from s3api.protocol_errors import (
    InvalidEncryptionAlgorithm,
    InvalidRequest,
    NotImplementedByWeir,
)
from s3api.response_headers import HeaderList

Fields = Mapping[str, str]

_SSE = "x-amz-server-side-encryption"
_KMS_KEY_ID = f"{_SSE}-aws-kms-key-id"
_CONTEXT = f"{_SSE}-context"
_BUCKET_KEY = f"{_SSE}-bucket-key-enabled"
_CUSTOMER = f"{_SSE}-customer-"
_SOURCE_CUSTOMER = "x-amz-copy-source-server-side-encryption-customer-"
_CUSTOMER_FIELDS = ("algorithm", "key", "key-md5")

_MANAGED = frozenset({_SSE, _KMS_KEY_ID, _CONTEXT, _BUCKET_KEY})
_ALL = _MANAGED | {_CUSTOMER + name for name in _CUSTOMER_FIELDS}

_ALGORITHM = "AES256"
_DSSE = "aws:kms:dsse"
_MAX_CONTEXT_BYTES = 8192
_MAX_KEY_ID = 2048


# --- writes ------------------------------------------------------------------------------------------------------


def read_encryption(call: Call, fields: Fields) -> EncryptionRequest | None:
    """What a write is to be encrypted with: what it asks for, else what its bucket does by default.

    Raises InvalidArgument, InvalidEncryptionAlgorithm, InvalidRequest, NotImplementedByWeir, Denied.
    """
    if _ALL.isdisjoint(fields):
        default = call.target_bucket.props.encryption
        return None if default is None else default.request()
    return _asked(call, fields)


def asks_for_encryption(fields: Fields) -> bool:
    """Whether a copy onto itself is to change the encryption."""
    return not _ALL.isdisjoint(fields)


def _asked(call: Call, fields: Fields) -> EncryptionRequest | None:
    default = call.target_bucket.props.encryption
    customer_key = _customer_key(call, fields, _CUSTOMER)
    if customer_key is not None:
        if not _MANAGED.isdisjoint(fields):
            reason = (
                "Server Side Encryption with Customer provided key is incompatible with the "
                "encryption method specified"
            )
            raise InvalidArgument(name=_SSE, value=fields.get(_SSE, ""), reason=reason)
        if default is not None and default.blocks_customer_keys:
            raise Denied(reason="the bucket blocks SSE-C")
        return EncryptionRequest(EncryptionMode.CUSTOMER, customer_key=customer_key)
    method = fields.get(_SSE)
    if method is None:
        return _without_method(fields, default)
    if method == _ALGORITHM:
        _refuse_kms_fields(fields, "the encryption method AES256")
        return SSE_S3
    if method == _DSSE:
        raise NotImplementedByWeir(header=_SSE)
    if method != EncryptionMode.KMS:
        reason = "The encryption method specified is not supported"
        raise InvalidArgument(name=_SSE, value=method, reason=reason)
    return EncryptionRequest(
        EncryptionMode.KMS, _kms_key_id(fields), _context(fields), _uses_bucket_key(fields)
    )


def _without_method(fields: Fields, default: DefaultEncryption | None) -> EncryptionRequest | None:
    """Fields of SSE-KMS beside the bucket's default: only whether a bucket key is used may be said alone."""
    if _KMS_KEY_ID in fields or _CONTEXT in fields:
        _refuse_kms_fields(fields, "no encryption method")
    request = None if default is None else default.request()
    if request is None or request.mode is not EncryptionMode.KMS:
        return request
    return replace(request, uses_bucket_key=_uses_bucket_key(fields))


def _refuse_kms_fields(fields: Fields, beside: str) -> None:
    for name in (_KMS_KEY_ID, _CONTEXT):
        if name in fields:
            reason = (
                "Server Side Encryption with AWS KMS managed key requires HTTP header "
                f"x-amz-server-side-encryption : aws:kms, not {beside}"
            )
            raise InvalidArgument(name=name, value=fields[name], reason=reason)


def _kms_key_id(fields: Fields) -> str:
    key_id = fields.get(_KMS_KEY_ID, "")
    if len(key_id) > _MAX_KEY_ID or not key_id.isascii() or not key_id.isprintable():
        raise InvalidArgument(name=_KMS_KEY_ID, value=key_id[:64], reason="Invalid keyId")
    return key_id


def _context(fields: Fields) -> str:
    value = fields.get(_CONTEXT, "")
    if not value:
        return ""
    try:
        if len(value) > _MAX_CONTEXT_BYTES:
            raise ValueError
        pairs = json.loads(base64.b64decode(value, validate=True))
        if not isinstance(pairs, dict) or not all(isinstance(each, str) for each in pairs.values()):
            raise ValueError
    except (ValueError, RecursionError):
        reason = (
            f"The header '{_CONTEXT}' shall be Base64-encoded UTF-8 string holding JSON which "
            "represents a string-string map"
        )
        raise InvalidArgument(name=_CONTEXT, value="", reason=reason) from None
    return value


def _uses_bucket_key(fields: Fields) -> bool:
    value = fields.get(_BUCKET_KEY, "").lower()
    if value not in ("", "true", "false"):
        reason = "Value for x-amz-server-side-encryption-bucket-key-enabled is invalid."
        raise InvalidArgument(name=_BUCKET_KEY, value=value, reason=reason)
    return value == "true"


# --- customers' keys ---------------------------------------------------------------------------------------------


def key_for_read(call: Call, fields: Fields) -> CustomerKey | None:
    """The customer's key of a read. The other headers are for writes: raises InvalidArgument."""
    if _ALL.isdisjoint(fields):
        return None
    for name in sorted(_MANAGED.intersection(fields)):
        reason = f"{name} header is not supported for this operation."
        raise InvalidArgument(name=name, value=fields[name], reason=reason)
    return _customer_key(call, fields, _CUSTOMER)


def key_for_part(call: Call, fields: Fields) -> CustomerKey | None:
    """The customer's key of a part or completion. What else it says of encryption was said by its upload."""
    return None if _ALL.isdisjoint(fields) else _customer_key(call, fields, _CUSTOMER)


def key_for_source(call: Call, fields: Fields) -> CustomerKey | None:
    """The customer's key of a copy's source."""
    return _customer_key(call, fields, _SOURCE_CUSTOMER)


def _customer_key(call: Call, fields: Fields, prefix: str) -> CustomerKey | None:
    """A key, its algorithm and its digest: all of them, or none. Raises InvalidArgument, InvalidEncryptionAlgorithm,
    InvalidRequest."""
    algorithm, encoded, digest = (fields.get(prefix + name) for name in _CUSTOMER_FIELDS)
    if algorithm is None and encoded is None and digest is None:
        return None
    if call.settings.requires_tls_for_customer_keys and call.request.scheme != "https":
        reason = (
            "Requests specifying Server Side Encryption with Customer provided keys must be made "
            "over a secure connection."
        )
        raise InvalidRequest(reason=reason)
    if not algorithm:
        raise _bad_key(prefix, "algorithm", f"{_PROVIDED} provide a valid encryption algorithm.")
    if algorithm != _ALGORITHM:
        raise InvalidEncryptionAlgorithm(name=prefix + "algorithm", value=algorithm)
    if not encoded:
        raise _bad_key(prefix, "key", f"{_PROVIDED} provide an appropriate secret key.")
    if not digest:
        raise _bad_key(
            prefix, "key-md5", f"{_PROVIDED} provide the client calculated MD5 of the secret key."
        )
    key = _decoded(encoded)
    if len(key) != KEY_BYTES:
        raise _bad_key(prefix, "key", "The secret key was invalid for the specified algorithm.")
    actual = hashlib.md5(key, usedforsecurity=False).digest()
    if not hmac.compare_digest(actual, _decoded(digest)):
        reason = "The calculated MD5 hash of the key did not match the hash that was provided."
        raise _bad_key(prefix, "key-md5", reason)
    return CustomerKey(key)


_PROVIDED = "Requests specifying Server Side Encryption with Customer provided keys must"


def _bad_key(prefix: str, name: str, reason: str) -> InvalidArgument:
    return InvalidArgument(name=prefix + name, value="null", reason=reason)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


# --- answers -----------------------------------------------------------------------------------------------------


def encryption_headers(
    encryption: ObjectEncryption | None, customer_key: CustomerKey | None = None
) -> HeaderList:
    """How an object or upload is encrypted. `customer_key` is the request's own, which is told back."""
    if encryption is None:
        return []
    mode = encryption.mode
    if mode is EncryptionMode.CUSTOMER:
        headers = [(_CUSTOMER.encode() + b"algorithm", _ALGORITHM.encode())]
        if customer_key is not None:
            headers.append((_CUSTOMER.encode() + b"key-md5", customer_key.md5.encode()))
        return headers
    headers = [(_SSE.encode(), mode.value.encode())]
    if mode is EncryptionMode.KMS:
        headers.append((_KMS_KEY_ID.encode(), encryption.kms_key_id.encode()))
        if encryption.uses_bucket_key:
            headers.append((_BUCKET_KEY.encode(), b"true"))
    return headers


def written_encryption_headers(
    encryption: ObjectEncryption | None, request: EncryptionRequest | None
) -> HeaderList:
    """As `encryption_headers`, to who just asked for it: with the context, which reads are not told."""
    if encryption is None:
        return []
    headers = encryption_headers(encryption, None if request is None else request.customer_key)
    if encryption.context:
        headers.append((_CONTEXT.encode(), encryption.context.encode()))
    return headers


def default_for_new_buckets(settings: Settings) -> DefaultEncryption | None:
    """What the settings give a new bucket."""
    return DefaultEncryption() if settings.encrypts_new_buckets else None
