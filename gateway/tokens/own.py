"""Owns this store's own signing key: made once, kept sealed in the control store, used to issue tokens, and published.

The private key is encrypted under a data key that the key service wraps, as an object's bytes are, so that it is only
as open as the master key. Workers need the public half alone, and that is no secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.token_records import TokenKey, TokenRecords
from core.cipher import DoesNotOpen, unwrap, wrap
from core.control import KeyService
from core.encryption import S3_KEY_ID
from core.errors import Corrupt
from core.protocols import Clock

ALGORITHM = "RS256"
_BITS = 2048
_EXPONENT = 65537


class TokenIssuer:
    """Signs tokens with the key in force."""

    def __init__(self, records: TokenRecords, keys: KeyService, clock: Clock) -> None:
        self._records = records
        self._keys = keys
        self._clock = clock

    async def issue(self, payload: Mapping[str, Any]) -> str:
        """A token that says `payload`. The first one makes the key. Raises Unavailable, Corrupt."""
        key = self._current()
        if key is None:
            await self.rotate(is_first=True)
            key = self._current()
            assert key is not None
        private = await self._open(key)
        return await asyncio.to_thread(_sign, private, key.key_id, payload)

    async def rotate(self, *, is_first: bool = False) -> None:
        """Sign with a new key from now on. The one before is still believed, for as long as its tokens may live."""
        private, modulus, exponent = await asyncio.to_thread(_generate)
        key_id = _thumbprint(modulus, exponent)
        data_key = await self._keys.new_data_key(S3_KEY_ID, _binding(key_id))
        sealed = wrap(data_key.key, private, _binding(key_id))
        key = TokenKey(
            key_id, self._clock.now_ns(), 0, modulus, exponent, data_key.wrapped_key, sealed
        )
        await asyncio.to_thread(self._records.add_key_sync, key, is_first=is_first)

    def _current(self) -> TokenKey | None:
        return next((key for key in self._records.all_keys() if not key.retired_ns), None)

    async def _open(self, key: TokenKey) -> bytes:
        binding = _binding(key.key_id)
        data_key = await self._keys.unwrap(S3_KEY_ID, key.wrapped, binding)
        try:
            return unwrap(data_key, key.sealed, binding)
        except DoesNotOpen:
            raise Corrupt(what="token signing key", where=key.key_id) from None


def live_keys(records: TokenRecords, now_ns: int, max_age_s: float) -> Sequence[TokenKey]:
    """The keys that a token which is still good may be signed with, the one in force first."""
    oldest_ns = now_ns - int(max_age_s * 1e9)
    return [key for key in records.all_keys() if not key.retired_ns or key.retired_ns > oldest_ns]


def jwks(keys: Sequence[TokenKey]) -> Mapping[str, Any]:
    """The public keys, as others read them (RFC 7517)."""
    return {
        "keys": [
            {
                "kty": "RSA",
                "use": "sig",
                "alg": ALGORITHM,
                "kid": key.key_id,
                "n": key.modulus,
                "e": key.exponent,
            }
            for key in keys
        ]
    }


def _generate() -> tuple[bytes, str, str]:
    """A private key in PKCS #8, and the numbers of its public key."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_BITS)
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    numbers = key.public_key().public_numbers()
    return private, _base64url(numbers.n), _base64url(numbers.e)


def _sign(private: bytes, key_id: str, payload: Mapping[str, Any]) -> str:
    from cryptography.hazmat.primitives.serialization import load_der_private_key
    from jose import jwk

    head = {"alg": ALGORITHM, "kid": key_id, "typ": "JWT"}
    signed = ".".join(_encode(json.dumps(each).encode()) for each in (head, payload))
    key = jwk.construct(load_der_private_key(private, None), ALGORITHM)
    return f"{signed}.{_encode(key.sign(signed.encode('ascii')))}"


def _base64url(number: int) -> str:
    return _encode(number.to_bytes((number.bit_length() + 7) // 8))


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _thumbprint(modulus: str, exponent: str) -> str:
    """A name that the key itself gives (RFC 7638)."""
    canonical = json.dumps(
        {"e": exponent, "kty": "RSA", "n": modulus}, separators=(",", ":"), sort_keys=True
    )
    return _encode(hashlib.sha256(canonical.encode("ascii")).digest())


def _binding(key_id: str) -> bytes:
    return f"weir token key {key_id}".encode()
