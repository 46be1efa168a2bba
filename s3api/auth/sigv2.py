"""Owns signature version 2: the header form and the query form, for old clients.

Source: AWS, "Signing and Authenticating REST Requests (AWS signature version 2)".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from core.names import AccessKey
from core.types import Credential
from s3api.auth.canonical import (
    NS_PER_S,
    extended_time,
    query_headers,
    request_timestamp,
)
from s3api.auth.errors import (
    AccessDenied,
    InvalidAuthArgument,
    SignatureDoesNotMatch,
)
from s3api.auth.sigv4 import CredentialSource, check_skew, find_credential, is_same
from s3api.call import Request, Settings
from s3api.subresources import NAMES

# The parameters that are part of the resource. A client must sign exactly those that the server takes in, so this is
# the list that AWS's own SDKs share.
_RESOURCE_PARAMETERS = frozenset(
    (
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    )
)

_UNSIGNED = NAMES - _RESOURCE_PARAMETERS - {"list-type"}
"""What selects another operation and yet is no part of the resource: whoever has a URL could add it. The newer form of
the same listing may be added, as SDKs do."""


def sign(secret_key: str, text: bytes) -> str:
    """The signature of a string to sign, in base64."""
    return base64.b64encode(hmac.digest(secret_key.encode(), text, "sha1")).decode()


def verify_header(
    request: Request, control: CredentialSource, settings: Settings, now_ns: int
) -> Credential:
    """Check a request with `Authorization: AWS key:signature`. Raises the S3 signature errors."""
    headers = request.headers
    authorization = headers["authorization"]
    access_key, _, signature = authorization[4:].strip().rpartition(":")
    if not access_key or not signature:
        raise InvalidAuthArgument(
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            name="Authorization",
            value=authorization,
        )
    when = request_timestamp(headers)
    if when is None:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    check_skew(when[1], now_ns, settings, headers.get("x-amz-date") or headers.get("date", ""))
    credential = find_credential(control, AccessKey(access_key))
    # x-amz-date takes the place of Date, among the x-amz- headers.
    date = "" if "x-amz-date" in headers else headers["date"]
    _verify(credential, request, headers, date, signature)
    return credential


def verify_query(
    request: Request, control: CredentialSource, settings: Settings, now_ns: int
) -> Credential:
    """Check a presigned request of version 2, whose Expires is an absolute time in seconds."""
    del settings
    query = request.query
    try:
        access_key, expires = query["AWSAccessKeyId"], query["Expires"]
        signature = query["Signature"]
    except KeyError:
        raise AccessDenied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
            "parameters"
        ) from None
    try:
        end_ns = int(expires) * NS_PER_S
    except ValueError:
        raise AccessDenied(f"Invalid date (should be seconds since epoch): {expires}") from None
    if now_ns >= end_ns:
        raise AccessDenied(
            "Request has expired", expires=expires, server_time=extended_time(now_ns)
        )
    credential = find_credential(control, AccessKey(access_key))
    if not _UNSIGNED.isdisjoint(query):
        raise AccessDenied("Signature version 2 presigns no URL of this subresource")
    # A presigned URL carries the headers that it was signed with as parameters, beside those that come as headers.
    headers = {**query_headers(query), **request.headers}
    _verify(credential, request, headers, expires, signature)
    return credential


def _verify(
    credential: Credential,
    request: Request,
    headers: Mapping[str, str],
    date: str,
    signature: str,
) -> None:
    head = _signed_head(request, headers, date)
    query = _resource_query(request.raw_query)
    texts = [head + path + query for path in _resource_paths(request)]
    if any(is_same(sign(credential.secret_key, text), signature) for text in texts):
        return
    raise SignatureDoesNotMatch(
        access_key=credential.access_key,
        string_to_sign=texts[0].decode("utf-8", "replace"),
        signature_provided=signature,
    )


def _signed_head(request: Request, headers: Mapping[str, str], date: str) -> bytes:
    amz = "".join(
        [f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-amz-")]
    )
    text = (
        f"{request.method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n"
        f"{date}\n{amz}"
    )
    return text.encode("latin-1")


def _resource_paths(request: Request) -> list[bytes]:
    """The paths that a client may have signed: clients differ in what they make of the URL.

    Some sign a bucket alone with a slash after it, and botocore leaves out the path of the endpoint (/s3).
    """
    path = request.raw_path or b"/"
    paths = [path]
    if path.startswith(b"/s3/") and not request.is_virtual_host:
        paths.append(path[3:])
    if request.is_virtual_host:
        bucket = b"/" + (request.bucket or "").encode()
        return [bucket + each for each in paths]
    if request.bucket and request.key is None and not path.endswith(b"/"):
        paths += [each + b"/" for each in paths]
    return paths


def _resource_query(raw_query: bytes) -> bytes:
    """The parameters that are part of the resource: sorted by name, names and values decoded.

    An encoded name counts as what it decodes to: it selects the operation that its plain form selects.
    """
    kept = []
    for item in raw_query.split(b"&"):
        name, equals, value = item.partition(b"=")
        name = unquote_to_bytes(name.replace(b"+", b" "))
        if name.decode("latin-1") in _RESOURCE_PARAMETERS:
            kept.append((name, name + equals + unquote_to_bytes(value)))
    if not kept:
        return b""
    kept.sort(key=lambda pair: pair[0])
    return b"?" + b"&".join([item for _, item in kept])
