"""Owns what a request offers to the conditions of policies: the value of each condition key, made when it is asked for.

Source: AWS, Condition keys for Amazon S3; Amazon S3 Signature Version 4 authentication specific policy keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote_to_bytes

from core.names import ObjectKey
from core.policy.keys import REQUEST_TAG, REQUEST_TAG_KEYS
from s3api.call import Request

_NS_PER_S = 1_000_000_000
_QUERY = {"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys"}
_HEADERS = {
    "aws:referer": "referer",
    "aws:useragent": "user-agent",
    "s3:if-match": "if-match",
    "s3:if-none-match": "if-none-match",
    "s3:object-lock-mode": "x-amz-object-lock-mode",
    "s3:object-lock-legal-hold": "x-amz-object-lock-legal-hold",
    "s3:object-lock-retain-until-date": "x-amz-object-lock-retain-until-date",
    "x-amz-request-payer": "x-amz-request-payer",
}
_S3_HEADER = "s3:x-amz-"


class RequestFacts:
    """Facts (core.access) of one request.

    `fields` stands for the headers where a form or a document says what headers would. `more` has values for keys
    beyond the request's, and comes first; `query` is the request's own unless it speaks of another object.
    """

    __slots__ = ("_fields", "_more", "_now_ns", "_query", "_region", "_request")

    def __init__(
        self,
        request: Request,
        now_ns: int,
        region: str,
        fields: Mapping[str, str] | None = None,
        more: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._request = request
        self._now_ns = now_ns
        self._region = region
        self._fields = request.headers if fields is None else fields
        self._query = request.query
        self._more = {} if more is None else more

    def of_source(self, version_id: str | None) -> RequestFacts:
        """The same request as one that reads the source of a copy: no version is asked for but the source's."""
        more = {**self._more, "s3:versionid": () if version_id is None else (version_id,)}
        return RequestFacts(self._request, self._now_ns, self._region, self._fields, more)

    def of_absent(self, key: ObjectKey) -> RequestFacts:
        """The same request as a listing of the one key that it asks for."""
        more = {**self._more, "s3:prefix": (key,)}
        return RequestFacts(self._request, self._now_ns, self._region, self._fields, more)

    def values(self, key: str) -> Sequence[str] | None:
        """As core.access.Facts."""
        if key in self._more:
            return self._more[key]
        if (name := _QUERY.get(key)) is not None:
            return _one(self._query.get(name))
        if (name := _HEADERS.get(key)) is not None:
            return _one(_text(self._fields.get(name)))
        if key.startswith(REQUEST_TAG):
            return _one(self._tags().get(key[len(REQUEST_TAG) :]))
        if key == "s3:x-amz-copy-source":
            return _one(_copy_source(self._fields.get("x-amz-copy-source")))
        if key.startswith(_S3_HEADER):
            return _one(_text(self._fields.get(key[len("s3:") :])))
        return self._computed(key)

    def _computed(self, key: str) -> Sequence[str] | None:
        request = self._request
        match key:
            case "aws:sourceip":
                return _one(request.client_address or None)
            case "aws:securetransport":
                return ("true" if request.scheme == "https" else "false",)
            case "aws:currenttime":
                return (datetime.fromtimestamp(self._now_ns // _NS_PER_S, UTC).isoformat(),)
            case "aws:epochtime":
                return (str(self._now_ns // _NS_PER_S),)
            case "aws:requestedregion":
                return (self._region,)
            case "s3:versionid":
                return _one(request.query.get("versionId"))
            case "s3:authtype":
                return _one(_auth_type(request))
            case "s3:signatureversion":
                return _one(_signature_version(request))
            case "s3:signatureage":
                return _one(self._signature_age())
            case "s3:object-lock-remaining-retention-days":
                return _one(self._remaining_days())
        if key == REQUEST_TAG_KEYS:
            return tuple(self._tags())
        return None

    def _tags(self) -> Mapping[str, str]:
        """The tags of x-amz-tagging. What is malformed is refused later, by the operation."""
        header = self._fields.get("x-amz-tagging")
        if not header:
            return {}
        try:
            return dict(parse_qsl(header, keep_blank_values=True, max_num_fields=100))
        except ValueError:
            return {}

    def _signature_age(self) -> str | None:
        """Milliseconds since the signature was made."""
        request = self._request
        said = request.query.get("X-Amz-Date") or request.headers.get("x-amz-date")
        try:
            signed = datetime.strptime(said or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            return None
        return str(max(0, self._now_ns // 1_000_000 - int(signed.timestamp()) * 1000))

    def _remaining_days(self) -> str | None:
        said = self.values("s3:object-lock-retain-until-date")
        try:
            until = datetime.fromisoformat(said[0]) if said else None
        except ValueError:
            return None
        if until is None or until.tzinfo is None:
            return None
        return str(max(0, -int((self._now_ns / _NS_PER_S - until.timestamp()) // 86_400)))


def _one(value: str | None) -> Sequence[str] | None:
    return None if value is None else (value,)


def _text(header: str | None) -> str | None:
    """A header's bytes as the text that a policy compares."""
    if header is None or header.isascii():
        return header
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


def _copy_source(header: str | None) -> str | None:
    """BUCKET/KEY, however it was encoded; without the version, which is a key of its own."""
    if header is None:
        return None
    raw = unquote_to_bytes(header.partition("?versionId=")[0].encode("latin-1", "replace"))
    return raw.decode("utf-8", "replace").removeprefix("/")


def _auth_type(request: Request) -> str | None:
    if "authorization" in request.headers:
        return "REST-HEADER"
    if "X-Amz-Signature" in request.query or "Signature" in request.query:
        return "REST-QUERY-STRING"
    return "POST" if request.method == "POST" and request.key is None else None


def _signature_version(request: Request) -> str | None:
    authorization = request.headers.get("authorization", "")
    if authorization.startswith("AWS4-HMAC-SHA256") or "X-Amz-Signature" in request.query:
        return "AWS4-HMAC-SHA256"
    return "AWS" if authorization.startswith("AWS ") or "Signature" in request.query else None
