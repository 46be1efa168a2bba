"""Owns what a token whose signature holds must say, and what its claims permit on this cluster (core.claims).

The claims `admin`, `clusters` and `buckets` are AIStore's. Times are whole or fractional seconds (NumericDate).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.claims import ALL_ACCESS, Claims
from core.errors import BadToken, ExpiredToken, InvalidArgument
from core.names import BucketRef
from gateway.native.request import bucket_ref

NS_PER_S = 1_000_000_000
_MAX_ENTRIES = 1000
_MAX_TEXT = 256
_MAX_SECONDS = 253_402_300_800
"""The year 10000."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What is demanded of every token. `issuers` and `audiences` empty: any, or none at all."""

    cluster_id: str
    max_age_s: float
    skew_s: float
    audiences: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """A token's claims, and until when they hold."""

    claims: Claims
    until_ns: int


def check_payload(payload: Mapping[str, Any], rules: ClaimRules, now_ns: int) -> CheckedToken:
    """Raises ExpiredToken, BadToken."""
    until_s = _check_times(payload, rules, now_ns / NS_PER_S)
    subject = payload.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_TEXT:
        raise BadToken(reason="the token has no subject (sub)")
    issuer = payload.get("iss", "")
    if not isinstance(issuer, str):
        raise BadToken(reason="the token's issuer (iss) is no text")
    if rules.issuers and issuer not in rules.issuers:
        raise BadToken(reason="the token's issuer (iss) is not one that is trusted here")
    if rules.audiences and rules.audiences.isdisjoint(_audiences(payload)):
        raise BadToken(reason="the token is for another audience (aud)")
    claims = Claims(
        subject,
        issuer,
        _is_admin(payload),
        _cluster_permissions(payload, rules.cluster_id),
        _bucket_permissions(payload, rules.cluster_id),
    )
    return CheckedToken(claims, int(until_s * NS_PER_S))


def expiry_ns(payload: Mapping[str, Any], latest_ns: int) -> int:
    """Until when a token that nobody has checked could be good, for as long as it need be remembered."""
    try:
        expires = _seconds(payload, "exp")
    except BadToken:
        return latest_ns
    return latest_ns if expires is None else min(int(expires * NS_PER_S), latest_ns)


def _check_times(payload: Mapping[str, Any], rules: ClaimRules, now_s: float) -> float:
    """The end of the token's life in seconds."""
    expires, issued = _seconds(payload, "exp"), _seconds(payload, "iat")
    begins = _seconds(payload, "nbf")
    if expires is None:
        raise BadToken(reason="the token has no expiry (exp)")
    if now_s >= expires:
        raise ExpiredToken(reason="the token has expired")
    if begins is not None and begins > now_s + rules.skew_s:
        raise BadToken(reason="the token is not valid yet (nbf)")
    if issued is None:
        # Its age cannot be told; but it can be no older than the rest of its life is short.
        if expires - now_s > rules.max_age_s:
            raise BadToken(
                reason="the token lives longer than allowed and does not say since when (iat)"
            )
        return expires
    if issued > now_s + rules.skew_s:
        raise BadToken(reason="the token was issued in the future (iat)")
    if now_s - issued >= rules.max_age_s:
        raise ExpiredToken(reason="the token is too old")
    return min(expires, issued + rules.max_age_s)


def _seconds(payload: Mapping[str, Any], name: str) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < _MAX_SECONDS or not math.isfinite(value):
        raise BadToken(reason=f"the token's {name} is no time")
    return float(value)


def _audiences(payload: Mapping[str, Any]) -> Sequence[str]:
    said = payload.get("aud", [])
    found = [said] if isinstance(said, str) else said
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadToken(reason="the token's audience (aud) is no text or list of texts")
    return found


def _is_admin(payload: Mapping[str, Any]) -> bool:
    said = payload.get("admin", False)
    if said is None:
        return False
    if not isinstance(said, bool):
        raise BadToken(reason="the token's claim admin is neither true nor false")
    return said


def _cluster_permissions(payload: Mapping[str, Any], cluster_id: str) -> int:
    """Those for this cluster, else for any, else none. Of two for the same the first holds, as with AIStore."""
    found: dict[str, int] = {}
    for entry in _entries(payload, "clusters"):
        name = entry.get("id", "")
        if not isinstance(name, str):
            raise BadToken(reason="the token's claim clusters has an id that is no text")
        found.setdefault(name, _permissions(entry))
    return found.get(cluster_id, found.get("", 0))


def _bucket_permissions(payload: Mapping[str, Any], cluster_id: str) -> Mapping[BucketRef, int]:
    """By the buckets of this cluster, which is named by the uuid of their namespaces."""
    found: dict[BucketRef, int] = {}
    for entry in _entries(payload, "buckets"):
        permissions = _permissions(entry)
        bucket = entry.get("bck")
        if not isinstance(bucket, dict):
            raise BadToken(reason="the token's claim buckets has an entry without bck")
        space = bucket.get("namespace") or {}
        if not isinstance(space, dict):
            raise BadToken(reason="the token's claim buckets has a namespace that is no object")
        name, provider = _text(bucket, "name"), _text(bucket, "provider")
        uuid, inner = _text(space, "uuid"), _text(space, "name")
        if uuid != cluster_id:
            continue
        try:
            ref = bucket_ref(name, provider, f"#{inner}" if inner else "")
        except InvalidArgument:
            # A provider that is not known here has no buckets here.
            continue
        found.setdefault(ref, permissions)
    return found


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise BadToken(reason=f"the token's claim buckets has a {name} that is no text")
    return value


def _entries(payload: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = payload.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > _MAX_ENTRIES:
        raise BadToken(reason=f"the token's claim {name} is no list of up to {_MAX_ENTRIES}")
    if not all(isinstance(entry, dict) for entry in found):
        raise BadToken(reason=f"the token's claim {name} has an entry that is no object")
    return found


def _permissions(entry: Mapping[str, Any]) -> int:
    """Bits as decimal text or as a number, up to 64 of them."""
    said = entry.get("perm", 0)
    if isinstance(said, str) and said.isascii() and said.isdecimal() and len(said) <= 20:
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= ALL_ACCESS:
        raise BadToken(reason="a permission (perm) of the token is no number of 64 bits")
    return said
