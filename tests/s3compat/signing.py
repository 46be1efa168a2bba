"""Owns a second, independent writing of S3's signatures, for requests that SDKs won't send.

Written from AWS's "Authenticating Requests (Signature Version 4)", "Signature Calculations for the Authorization
Header: Transferring Payload in Multiple Chunks", and "Signing and Authenticating REST Requests" (version 2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from tests.server import REGION, Keys

UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_V2_SUBRESOURCES = re.compile(
    "acl|delete|location|partNumber|policy|tagging|torrent|uploadId|uploads|versionId|versioning|versions"
    "|response-(cache-control|content-(disposition|encoding|language|type)|expires)"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Who signs, where and when. `now` is seconds since the epoch."""

    keys: Keys
    now: float
    region: str = REGION

    @property
    def date(self) -> str:
        return time.strftime("%Y%m%d", time.gmtime(self.now))

    @property
    def timestamp(self) -> str:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.now))

    @property
    def credential(self) -> str:
        return f"{self.date}/{self.region}/s3/aws4_request"

    def sign(self, text: str) -> str:
        key = b"AWS4" + self.keys.secret_key.encode()
        for step in (self.date, self.region, "s3", "aws4_request"):
            key = hmac.digest(key, step.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()


def authorize_v4(
    scope: Scope,
    method: str,
    target: str,
    headers: Mapping[str, str],
    payload_hash: str,
) -> dict[str, str]:
    """`headers` (with host) plus x-amz-date, x-amz-content-sha256 and Authorization, all of them signed."""
    signed = {**headers, "x-amz-date": scope.timestamp, "x-amz-content-sha256": payload_hash}
    path, _, query = target.partition("?")
    names, request = _canonical_request(method, path, _query_pairs(query), signed, payload_hash)
    signature = scope.sign(_string_to_sign(scope, request))
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={scope.keys.access_key}/{scope.credential},"
        f"SignedHeaders={names},Signature={signature}"
    )
    return signed


def presign_v4(
    scope: Scope,
    method: str,
    target: str,
    headers: Mapping[str, str],
    expires_s: int | str = 300,
) -> str:
    """`target` with the query of a presigned URL; `headers` (with host) are those that must come with it."""
    path, _, query = target.partition("?")
    pairs = [
        *_query_pairs(query),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"{scope.keys.access_key}/{scope.credential}"),
        ("X-Amz-Date", scope.timestamp),
        ("X-Amz-Expires", str(expires_s)),
        ("X-Amz-SignedHeaders", ";".join(sorted(name.lower() for name in headers))),
    ]
    _, request = _canonical_request(method, path, pairs, headers, UNSIGNED)
    pairs.append(("X-Amz-Signature", scope.sign(_string_to_sign(scope, request))))
    return path + "?" + "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs)


@dataclass(slots=True)
class ChunkSigner:
    """Frames a body as aws-chunked, each chunk signed over the one before. `previous` begins as the seed."""

    scope: Scope
    previous: str

    def frame(self, chunk: bytes) -> bytes:
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                self.scope.timestamp,
                self.scope.credential,
                self.previous,
                _EMPTY_SHA256,
                hashlib.sha256(chunk).hexdigest(),
            )
        )
        self.previous = self.scope.sign(text)
        end = b"\r\n" if chunk else b""
        return f"{len(chunk):x};chunk-signature={self.previous}\r\n".encode() + chunk + end

    def trailer(self, name: str, value: str) -> bytes:
        """The trailing header, its signature, and the end of the body."""
        content = f"{name}:{value}\n".encode()
        text = "\n".join(
            (
                "AWS4-HMAC-SHA256-TRAILER",
                self.scope.timestamp,
                self.scope.credential,
                self.previous,
                hashlib.sha256(content).hexdigest(),
            )
        )
        signature = self.scope.sign(text)
        return f"{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()


def authorize_v2(
    keys: Keys, method: str, target: str, headers: Mapping[str, str], when: str
) -> dict[str, str]:
    """`headers` plus Date (`when`) and an Authorization of version 2."""
    signed = {**headers, "date": when}
    signature = _v2_signature(keys, method, target, signed, when)
    return {**signed, "authorization": f"AWS {keys.access_key}:{signature}"}


def presign_v2(keys: Keys, method: str, target: str, expires: int | str) -> str:
    """`target` with the query of a presigned URL of version 2; `expires` is an absolute time in seconds."""
    signature = quote(_v2_signature(keys, method, target, {}, str(expires)), safe="")
    joint = "&" if "?" in target else "?"
    return (
        f"{target}{joint}AWSAccessKeyId={keys.access_key}&Expires={expires}&Signature={signature}"
    )


def sign_policy_v2(keys: Keys, policy: str) -> str:
    """The signature field of a POST form, over the encoded policy."""
    return base64.b64encode(hmac.digest(keys.secret_key.encode(), policy.encode(), "sha1")).decode()


def _v2_signature(
    keys: Keys, method: str, target: str, headers: Mapping[str, str], when: str
) -> str:
    lower = {name.lower(): value for name, value in headers.items()}
    path, _, query = target.partition("?")
    kept = sorted(
        (name, value) for name, value in _query_pairs(query) if _V2_SUBRESOURCES.fullmatch(name)
    )
    resource = path + (
        "?" + "&".join(name + (f"={value}" if value else "") for name, value in kept)
        if kept
        else ""
    )
    amz = [f"{name}:{lower[name]}" for name in sorted(lower) if name.startswith("x-amz-")]
    text = "\n".join(
        (
            method,
            lower.get("content-md5", ""),
            lower.get("content-type", ""),
            when,
            *amz,
            resource,
        )
    )
    return base64.b64encode(hmac.digest(keys.secret_key.encode(), text.encode(), "sha1")).decode()


def _canonical_request(
    method: str,
    path: str,
    pairs: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    payload_hash: str,
) -> tuple[str, str]:
    lower = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(lower))
    # S3 does not normalize the path: each segment's bytes are encoded once, slashes stay.
    canonical_path = quote(unquote_to_bytes(path), safe="/-_.~")
    query = "&".join(sorted(f"{_encode(name)}={_encode(value)}" for name, value in pairs))
    lines = "".join(f"{name}:{lower[name]}\n" for name in sorted(lower))
    return names, "\n".join((method, canonical_path, query, lines, names, payload_hash))


def _string_to_sign(scope: Scope, canonical_request: str) -> str:
    digest = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    return "\n".join(("AWS4-HMAC-SHA256", scope.timestamp, scope.credential, digest))


def _query_pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")
