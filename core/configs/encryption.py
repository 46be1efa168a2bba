"""Owns how a bucket encrypts what asks for nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

from core.encryption import EncryptionMode


@dataclass(frozen=True, slots=True)
class DefaultEncryption:
    """AWS: Setting default server-side encryption behavior for Amazon S3 buckets. `mode` is S3 or KMS, or None
    for no default.

    `kms_key_id` is as it was put; empty for the key service's default key. `blocks_customer_keys`: writes with SSE-C
    are refused.
    """

    mode: EncryptionMode | None = EncryptionMode.S3
    kms_key_id: str = ""
    uses_bucket_key: bool = False
    blocks_customer_keys: bool = False
