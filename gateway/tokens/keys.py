"""Owns the keys that signatures of tokens are checked with: what makes one good enough, and the check itself.

A key knows its algorithms, so that no token can choose how a key is used. The cryptography is python-jose's; it is
imported when the first key is made, which takes 0.2 s and is done in a thread while requests are served.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import BadToken, InvalidArgument
from gateway.tokens.parse import ParsedToken

MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048
_MAX_RSA_BITS = 16_384
_MAX_JWKS_KEYS = 200
_MAX_NUMBER = 2800
"""Characters of base64url in 16,384 bits, and some."""
RSA_ALGORITHMS = ("RS256", "RS384", "RS512")
_is_base64url = re.compile(r"[A-Za-z0-9_-]+").fullmatch


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A secret or an RSA public key, with the algorithms that it may be used with."""

    algorithms: tuple[str, ...]
    material: Any = field(repr=False)

    def verify_sync(self, token: ParsedToken) -> None:
        """Raises BadToken for a signature that this key did not make. Takes some 50 µs for RSA."""
        if token.algorithm not in self.algorithms:
            raise BadToken(reason="the token is signed with another algorithm than its key is for")
        from jose import jwk
        from jose.exceptions import JOSEError

        try:
            is_good = jwk.construct(self.material, token.algorithm).verify(
                token.signed, token.signature
            )
        except JOSEError:
            is_good = False
        if not is_good:
            raise BadToken(reason="the token's signature does not hold")


def static_key_sync(algorithm: str, text: str, where: str) -> VerificationKey:
    """The one key of the settings: a secret, or an RSA public key in PEM. Raises InvalidArgument, which does not repeat
    it."""
    if not algorithm.startswith("RS"):
        return VerificationKey((algorithm,), _secret(text, where))
    if "PRIVATE KEY" in text:
        raise _unfit(where, "this is a private key; the public key is wanted, and nothing else")
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(text.strip().encode())
    except Exception:
        # The library raises a number of kinds here.
        raise _unfit(where, "an RSA public key in PEM is wanted (BEGIN PUBLIC KEY)") from None
    if not isinstance(key, RSAPublicKey):
        raise _unfit(where, f"{algorithm} needs an RSA key, and this is another kind")
    if not MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        raise _unfit(
            where, f"an RSA key of {key.key_size} bits is too weak; {MIN_RSA_BITS} at least"
        )
    return VerificationKey((algorithm,), key)


def _secret(text: str, where: str) -> bytes:
    secret = text.strip().encode()
    if len(secret) < MIN_SECRET_BYTES:
        raise _unfit(where, f"a secret of at least {MIN_SECRET_BYTES} bytes is wanted")
    if b"-----BEGIN" in secret or secret.startswith(b"ssh-"):
        # Who has the public key could sign with it.
        raise _unfit(where, "this is a key pair's key, and no secret; is the algorithm right?")
    return secret


def _unfit(where: str, reason: str) -> InvalidArgument:
    return InvalidArgument(name=where, value="***", reason=reason)


def rsa_key_sync(modulus: str, exponent: str) -> VerificationKey:
    """An RSA public key by the numbers that a JWK has. Raises ValueError for what is none or too weak."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    n, e = _number(modulus), _number(exponent)
    if not MIN_RSA_BITS <= n.bit_length() <= _MAX_RSA_BITS:
        raise ValueError(f"an RSA key of {n.bit_length()} bits")
    if not 3 <= e < 2**32:
        # Checking a signature takes as long as the exponent is.
        raise ValueError("an RSA key with an odd exponent")
    return VerificationKey(RSA_ALGORITHMS, RSAPublicNumbers(e, n).public_key())


def _number(text: object) -> int:
    if not isinstance(text, str) or len(text) > _MAX_NUMBER or not _is_base64url(text):
        raise ValueError("no number in base64url")
    from base64 import urlsafe_b64decode

    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def read_jwks_sync(document: object) -> Mapping[str, VerificationKey]:
    """The usable keys of a JWK set by key id. What is no RSA key for signatures, too weak, or has no name of its own is
    passed over. Raises ValueError for what is no JWK set."""
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > _MAX_JWKS_KEYS:
        raise ValueError("no JWK set")
    named = [entry for entry in keys if isinstance(entry, dict) and _is_name(entry.get("kid"))]
    counts = Counter(entry["kid"] for entry in named)
    found: dict[str, VerificationKey] = {}
    for entry in named:
        # Of two keys with one name, nobody can say which is meant.
        key = _read_jwk(entry) if counts[entry["kid"]] == 1 else None
        if key is not None:
            found[entry["kid"]] = key
    return found


def _is_name(key_id: object) -> bool:
    return isinstance(key_id, str) and 0 < len(key_id) <= 256


def _read_jwk(entry: Mapping[str, Any]) -> VerificationKey | None:
    operations = entry.get("key_ops", ["verify"])
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = rsa_key_sync(entry.get("n", ""), entry.get("e", ""))
    except ValueError:
        return None
    return _restricted(key, entry.get("alg"))


def _restricted(key: VerificationKey, algorithm: object) -> VerificationKey | None:
    if algorithm is None:
        return key
    allowed: Sequence[str] = [each for each in key.algorithms if each == algorithm]
    return VerificationKey(tuple(allowed), key.material) if allowed else None
