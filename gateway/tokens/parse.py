"""Owns the reading of a compact JWS (RFC 7515): strict, of one spelling for each token, and with nothing believed yet.

What a header names beside its algorithm and key id (jku, x5u, jwk, x5c) is never followed. Two texts are never the same
token: an encoding that is not canonical, or JSON that says a name twice, is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import BadToken

MAX_TOKEN_BYTES = 16 * 1024
"""A token travels in a header; buckets by the hundred fit in."""

ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512")
_MAX_KEY_ID = 256
_TYPES = frozenset({"", "jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_is_compact = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A token as it was sent: who signed it is not known yet."""

    algorithm: str
    key_id: str | None
    payload: Mapping[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What tells the token from others, whatever its signature looks like."""
        return hashlib.sha256(self.signed).digest()


def parse_token(text: str) -> ParsedToken:
    """Raises BadToken, which does not repeat what it was given."""
    if len(text) > MAX_TOKEN_BYTES:
        raise BadToken(reason=f"the token is longer than {MAX_TOKEN_BYTES} bytes")
    if not _is_compact(text):
        raise BadToken(reason="the token is no JWT")
    head_text, payload_text, signature_text = text.split(".")
    head = _decode_object(head_text, "header")
    _check_head(head)
    algorithm, key_id = head.get("alg"), head.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadToken(reason=f"a token is signed with one of {', '.join(ALGORITHMS)}")
    if key_id is not None and not (isinstance(key_id, str) and 0 < len(key_id) <= _MAX_KEY_ID):
        raise BadToken(reason="the token's key id (kid) is none")
    return ParsedToken(
        algorithm,
        key_id,
        _decode_object(payload_text, "payload"),
        f"{head_text}.{payload_text}".encode("ascii"),
        _decode_bytes(signature_text),
    )


def _check_head(head: Mapping[str, Any]) -> None:
    if "crit" in head:
        raise BadToken(reason="the token demands extensions that are not known here")
    if "zip" in head or "enc" in head:
        raise BadToken(reason="encrypted and compressed tokens are not taken")
    if str(head.get("cty", "")).lower() in ("jwt", "application/jwt"):
        raise BadToken(reason="tokens within tokens are not taken")
    if str(head.get("typ", "")).lower() not in _TYPES:
        raise BadToken(reason="the token is of another type (typ) than JWT")


def _decode_bytes(text: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise BadToken(reason="the token is no JWT: not base64url") from None
    # Bits that decoding drops would give one token many spellings, and revoking would catch one of them.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
        raise BadToken(reason="the token is no JWT: not base64url in its canonical form")
    return raw


def _decode_object(text: str, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(
            _decode_bytes(text).decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise BadToken(reason=f"the token's {what} is not plain JSON") from None
    if not isinstance(value, dict):
        raise BadToken(reason=f"the token's {what} is no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
