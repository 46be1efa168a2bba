"""Owns the records of server access logs: one line a request on a bucket that is logged.

Source: AWS, Amazon S3 server access log format. A record quotes what the client sent, so everything in it is made
harmless to whoever splits it by blanks and quotes again; the signature of a presigned URL is left out.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from core.protocols import ObjectReader
from core.server_logs import Row, source_of
from s3api.errors import HOST_ID

if TYPE_CHECKING:
    from core.types import Bucket
    from s3api.call import Call, Request, Response

_NONE = "-"
_HOST_ID = HOST_ID.decode()
_SIGNATURE = re.compile(
    r"((?:X-Amz-Signature|Signature|X-Amz-Security-Token)=)[^&]*", re.IGNORECASE
)
_HARMFUL = re.compile(r"[^\x21\x23-\x7e]")
_IN_QUOTES = re.compile(r"[^\x20\x21\x23-\x7e]")
_MAX_FIELD = 4096

# Operation → what stands for it in a record; of others, it is the method and what the request addresses.
_OPERATIONS = {
    "AbortMultipartUpload": "REST.DELETE.UPLOAD",
    "CompleteMultipartUpload": "REST.POST.UPLOAD",
    "CopyObject": "REST.COPY.OBJECT",
    "CreateMultipartUpload": "REST.POST.UPLOADS",
    "DeleteObjects": "REST.POST.MULTI_OBJECT_DELETE",
    "GetBucketLogging": "REST.GET.LOGGING_STATUS",
    "GetBucketPolicy": "REST.GET.BUCKETPOLICY",
    "GetBucketPolicyStatus": "REST.GET.BUCKETPOLICYSTATUS",
    "GetObjectAttributes": "REST.GET.OBJECT_ATTRIBUTES",
    "GetObjectLockConfiguration": "REST.GET.OBJECT_LOCK_CONFIGURATION",
    "GetPublicAccessBlock": "REST.GET.PUBLIC_ACCESS_BLOCK",
    "ListMultipartUploads": "REST.GET.UPLOADS",
    "ListObjectVersions": "REST.GET.BUCKETVERSIONS",
    "ListObjects": "REST.GET.BUCKET",
    "ListObjectsV2": "REST.GET.BUCKET",
    "ListParts": "REST.GET.UPLOAD",
    "PutBucketLogging": "REST.PUT.LOGGING_STATUS",
    "PutBucketPolicy": "REST.PUT.BUCKETPOLICY",
    "PutObjectLockConfiguration": "REST.PUT.OBJECT_LOCK_CONFIGURATION",
    "PutPublicAccessBlock": "REST.PUT.PUBLIC_ACCESS_BLOCK",
    "UploadPart": "REST.PUT.PART",
    "UploadPartCopy": "REST.COPY.PART",
}
COPY_SOURCE_OPERATIONS = {
    "CopyObject": "REST.COPY.OBJECT_GET",
    "UploadPartCopy": "REST.COPY.PART_GET",
}
"""What a copy is in the records of the bucket that it reads from."""

BATCH_DELETE = "BATCH.DELETE.OBJECT"


class ServerLog(Protocol):
    """Where records go. Never blocks."""

    def write(self, row: Row) -> None: ...


@dataclass(slots=True)
class LogEntry:
    """A record in the making. `key`, `operation`, `status` and `code` are the request's own if they are empty or 0."""

    call: Call
    bucket: Bucket
    key: str = ""
    operation: str = ""
    status: int = 0
    code: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended; times in seconds."""

    response: Response
    status: int
    sent_bytes: int
    total_s: float
    turnaround_s: float
    time_ns: int


def row_of(entry: LogEntry, request: Request, outcome: Outcome) -> Row:
    """The finished record of an entry."""
    bucket = entry.bucket
    assert bucket.props.logging is not None
    return Row(
        source_of(bucket), bucket.props.logging, outcome.time_ns, _line(entry, request, outcome)
    )


def _line(entry: LogEntry, request: Request, outcome: Outcome) -> str:
    call = entry.call
    user_id = call.identity.user_id
    signature, authentication = _authentication(request, is_anonymous=user_id is None)
    headers = request.headers
    is_batch = entry.operation == BATCH_DELETE
    fields = (
        entry.bucket.owner.user_id,
        entry.bucket.name,
        _time_text(outcome.time_ns // 10**9),
        _bare(request.client_address),
        user_id or _NONE,
        request.request_id,
        entry.operation or _operation(request),
        quote(entry.key or call.key or "", safe="/-_.~") or _NONE,
        _NONE if is_batch else _request_line(request),
        str(entry.status or outcome.status),
        entry.code or outcome.response.code or _NONE,
        _NONE if is_batch else str(outcome.sent_bytes or _NONE),
        _NONE if is_batch else _object_size(request, outcome.response),
        _NONE if is_batch else f"{outcome.total_s * 1000:.0f}",
        _NONE if is_batch else f"{outcome.turnaround_s * 1000:.0f}",
        _quoted(headers.get("referer", "")),
        _quoted(headers.get("user-agent", "")),
        _bare(entry.version_id or _version_id(request, outcome.response)),
        _HOST_ID,
        signature,
        _NONE,
        authentication,
        _bare(request.host),
        _NONE,
        _NONE,
        _NONE,
    )
    return " ".join(fields)


@lru_cache(maxsize=2)
def _time_text(second: int) -> str:
    return time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", time.gmtime(second))


def _operation(request: Request) -> str:
    known = _OPERATIONS.get(request.operation)
    if known is not None:
        return known
    subject = "OBJECT" if request.key else "BUCKET"
    for name in request.query:
        if name.lower() in request.operation.lower() and name.isalpha():
            subject = name.upper() if not request.key else f"OBJECT_{name.upper()}"
            break
    if subject in ("ACL", "OBJECT_ACL"):
        subject = "ACL"
    return f"REST.{request.method}.{subject}"


def _request_line(request: Request) -> str:
    target = request.raw_path.decode("latin-1")
    if request.raw_query:
        target += "?" + _SIGNATURE.sub(r"\1...", request.raw_query.decode("latin-1"))
    return _quoted(f"{request.method} {target} HTTP/1.1")


def _object_size(request: Request, response: Response) -> str:
    """Of the object that is read, or the body that is written."""
    body = response.body
    if not isinstance(body, bytes):
        reader: ObjectReader = body
        return str(reader.info.size_bytes)
    if request.operation in ("PutObject", "UploadPart") and response.status == 200:
        headers = request.headers
        return _bare(
            headers.get("x-amz-decoded-content-length") or headers.get("content-length", "")
        )
    if request.operation == "HeadObject" and response.status == 200:
        sizes = [value for name, value in response.headers if name == b"content-length"]
        return sizes[0].decode() if sizes else _NONE
    return _NONE


def _version_id(request: Request, response: Response) -> str:
    for name, value in response.headers:
        if name == b"x-amz-version-id":
            return value.decode("latin-1")
    return request.query.get("versionId", "")


def _authentication(request: Request, *, is_anonymous: bool) -> tuple[str, str]:
    """Signature version, and where the signature was."""
    if is_anonymous:
        return _NONE, _NONE
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return ("SigV4" if authorization.startswith("AWS4") else "SigV2"), "AuthHeader"
    if "X-Amz-Signature" in request.query:
        return "SigV4", "QueryString"
    if "Signature" in request.query:
        return "SigV2", "QueryString"
    return "SigV4", _NONE


def _bare(text: str) -> str:
    text = text[:_MAX_FIELD]
    # Nearly all is plain, which is seen in a tenth of the time that a pattern takes.
    if text.isascii() and text.isprintable() and '"' not in text and " " not in text:
        return text or _NONE
    return _HARMFUL.sub(_percent, text)


def _quoted(text: str) -> str:
    text = text[:_MAX_FIELD]
    if text.isascii() and text.isprintable() and '"' not in text:
        return f'"{text or _NONE}"'
    return f'"{_IN_QUOTES.sub(_percent, text)}"'


def _percent(match: re.Match[str]) -> str:
    return f"%{ord(match.group()):02X}"
