"""Owns what the S3 of Google and Oracle refuse of Amazon's, as far as an adapter can go wrong over it.

Google (Cloud Storage, XML API: interoperability, headers and query parameters): no signed chunks, no trailers, none of
Amazon's checksums, tags, storage classes, version ids or deletion of many; listings begin at a marker; what is stored
with a Content-Encoding of gzip comes unpacked to who doesn't take gzip. Oracle (Amazon S3 Compatibility API): as much
of that as is known of it.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.shaper import Request

_FOREIGN_HEADERS = (
    "x-amz-checksum-",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
    "x-amz-decoded-content-length",
    "x-amz-tagging",
    "x-amz-storage-class",
)
_FOREIGN_QUERIES = ("tagging", "delete", "versionId", "versions", "start-after", "versioning")


def refused_by_gcp(request: Request) -> str:
    """The code of Google's error, "" if it takes the request."""
    if request.method == "GET" and "gzip" not in request.headers.get("accept-encoding", ""):
        return "WouldBeUnpacked"
    return refused_by_oci(request)


def refused_by_oci(request: Request) -> str:
    """The code of Oracle's error, "" if it takes the request."""
    headers, parts = request.headers, urlsplit(request.target)
    if headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return "InvalidArgument"
    if "aws-chunked" in headers.get("content-encoding", "") or "transfer-encoding" in headers:
        return "InvalidArgument"
    if any(name.startswith(_FOREIGN_HEADERS) for name in headers):
        return "InvalidArgument"
    asked = parse_qs(parts.query, keep_blank_values=True)
    if any(name in asked for name in _FOREIGN_QUERIES):
        return "NotImplemented"
    if request.method == "PUT" and ("if-match" in headers or "if-none-match" in headers):
        return "NotImplemented"
    return ""
