"""Owns how a bucket encrypts what asks for nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

from core.encryption import SSE_S3, EncryptionMode, EncryptionRequest


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

    def request(self) -> EncryptionRequest | None:
        """What is asked for in the place of a writer that asks for nothing."""
        if self.mode is None:
            return None
        if self.mode is EncryptionMode.S3:
            return SSE_S3
        return EncryptionRequest(self.mode, self.kms_key_id, uses_bucket_key=self.uses_bucket_key)
