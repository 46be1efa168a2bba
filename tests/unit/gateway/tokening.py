"""Tokens as tests make them: well-formed ones, and any damage that a forger could do to one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jose import jwk

from cluster.control import EmbeddedControlStore
from cluster.token_records import TokenRecords
from core.names import UserId
from core.types import Identity, User
from gateway.tokens.claims import ClaimRules
from gateway.tokens.verifier import Tokens, Trust

NOW_S = 1_800_000_000
CLUSTER = "cluster-of-tests"
SECRET = "a secret of tests, long enough: 0123456789"
ALICE = User(UserId("a" * 64), "alice", "Alice")
ROOT = User(UserId("f" * 64), "root", "root", is_root=True)
GOOD: dict[str, Any] = {"sub": "somebody", "exp": NOW_S + 600, "iat": NOW_S - 5}
_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


class StoppedClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.seconds: float = NOW_S

    def now_ns(self) -> int:
        return int(self.seconds * 1e9)


@cache
def private_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key pair, made once a run for each name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    made = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made.decode()


def public_jwk(key: rsa.RSAPrivateKey, key_id: str | None, **more: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    found: dict[str, Any] = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    return {**found, **({} if key_id is None else {"kid": key_id}), **more}


def number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def segment(value: Any) -> str:
    """JSON, or text as it is, in base64url."""
    return encode(value.encode() if isinstance(value, str) else json.dumps(value).encode())


def token(payload: Any = GOOD, key: Any = SECRET, alg: str = "HS256", **head: Any) -> str:
    """A token signed by a secret (text or bytes) or an RSA private key; `head` adds to its header."""
    signed = f"{segment({'alg': alg, 'typ': 'JWT', **head})}.{segment(payload)}"
    return f"{signed}.{encode(signature(signed.encode(), key, alg))}"


def signature(signed: bytes, key: Any, alg: str) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        made: bytes = jwk.construct(key, alg).sign(signed)
        return made
    raw = key.encode() if isinstance(key, str) else key
    return hmac.digest(raw, signed, _HASHES[alg])


def rules(
    issuers: Sequence[str] = (), audiences: Sequence[str] = (), max_age_s: float = 86400
) -> ClaimRules:
    return ClaimRules(CLUSTER, max_age_s, 60, frozenset(audiences), frozenset(issuers))


class World:
    """A control store with two users, and the tokens of a worker over it."""

    def __init__(self, directory: Path, wanted: ClaimRules, trust: Trust | None = None) -> None:
        self.clock = StoppedClock()
        self.control = EmbeddedControlStore(directory)
        if not self.control.users():
            for user in (ALICE, ROOT):
                self.control.add_user_sync(user)
        self.records = TokenRecords(self.control.database)
        self.tokens = Tokens(self.control, self.records, wanted, self.clock)
        self.tokens.trust(trust or Trust())

    def identity(self, text: str) -> Identity:
        return asyncio.run(self.tokens.identity(text))

    def close(self) -> None:
        asyncio.run(self.tokens.close())
        self.control.close()


@contextmanager
def world(
    directory: Path, trust: Trust | None = None, wanted: ClaimRules | None = None
) -> Iterator[World]:
    made = World(directory, wanted or rules(), trust)
    try:
        yield made
    finally:
        made.close()
