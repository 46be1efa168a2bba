"""Every request is named as the operation that S3 means by it, or refused; never mistaken for another."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import botocore
import pytest

from core.errors import InvalidArgument, StoreError
from s3api.call import Level, Request
from s3api.protocol_errors import (
    InvalidRequest,
    MethodNotAllowed,
    OperationNotImplemented,
)
from s3api.router import TABLE, OperationRouter
from s3api.subresources import BY_LEVEL

ROUTER = OperationRouter()
_MODEL = Path(botocore.__file__).parent / "data/s3/2006-03-01/service-2.json.gz"
# WriteGetObjectResponse has a host of its own (S3 Object Lambda).
_OTHER_HOSTS = {"WriteGetObjectResponse"}


def request(method: str, path: str, headers: dict[str, str] | None = None) -> Request:
    path, _, raw_query = path.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    return Request(
        method=method,
        raw_path=path.encode(),
        raw_query=raw_query.encode(),
        headers=headers or {},
        query=dict(parse_qsl(raw_query, keep_blank_values=True)),
        bucket=bucket or None,
        key=key.encode() or None,
        scheme="http",
        host="s3.test",
        client_address="127.0.0.1",
    )


def name(method: str, path: str, headers: dict[str, str] | None = None) -> str:
    return ROUTER.match(request(method, path, headers)).name


COPY = {"x-amz-copy-source": "/other/key"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("GET", "/?max-buckets=2&x-id=ListBuckets", {}, "ListBuckets"),
        ("PUT", "/bucket", {}, "CreateBucket"),
        ("HEAD", "/bucket", {}, "HeadBucket"),
        ("DELETE", "/bucket", {}, "DeleteBucket"),
        ("GET", "/bucket", {}, "ListObjects"),
        ("GET", "/bucket?prefix=a&delimiter=/", {}, "ListObjects"),
        ("GET", "/bucket?list-type=1", {}, "ListObjects"),
        ("GET", "/bucket?list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/bucket?list-type=2&versions", {}, "ListObjectVersions"),
        ("GET", "/bucket?versions&prefix=", {}, "ListObjectVersions"),
        ("GET", "/bucket?uploads", {}, "ListMultipartUploads"),
        ("GET", "/bucket?location", {}, "GetBucketLocation"),
        ("GET", "/bucket?versioning", {}, "GetBucketVersioning"),
        ("POST", "/bucket", {}, "PostObject"),
        ("POST", "/bucket?delete", {}, "DeleteObjects"),
        ("GET", "/bucket/key", {}, "GetObject"),
        ("GET", "/bucket/key?x-id=GetObject&unknown=1", {}, "GetObject"),
        ("GET", "/bucket/key?partNumber=2", {}, "GetObject"),
        ("GET", "/bucket/key?versionId=null&response-expires=x", {}, "GetObject"),
        ("GET", "/bucket/key?attributes", {}, "GetObjectAttributes"),
        ("GET", "/bucket/key?list-type=2", {}, "GetObject"),
        ("GET", "/bucket/key", COPY, "GetObject"),
        ("HEAD", "/bucket/key?partNumber=2", {}, "HeadObject"),
        ("PUT", "/bucket/key", {}, "PutObject"),
        ("PUT", "/bucket/key?x-id=PutObject", {}, "PutObject"),
        ("PUT", "/bucket/key", COPY, "CopyObject"),
        ("PUT", "/bucket/key?x-id=CopyObject", COPY, "CopyObject"),
        ("DELETE", "/bucket/key", {}, "DeleteObject"),
        ("DELETE", "/bucket/key?versionId=null", {}, "DeleteObject"),
        ("POST", "/bucket/key?uploads", {}, "CreateMultipartUpload"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=u", COPY, "UploadPartCopy"),
        ("GET", "/bucket/key?uploadId=u&part-number-marker=3", {}, "ListParts"),
        ("POST", "/bucket/key?uploadId=u", {}, "CompleteMultipartUpload"),
        ("DELETE", "/bucket/key?uploadId=u", {}, "AbortMultipartUpload"),
    ],
)
def test_named(method: str, path: str, headers: dict[str, str], operation: str) -> None:
    assert name(method, path, headers) == operation


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("PUT", "/bucket?inventory&id=1", OperationNotImplemented),
        ("PUT", "/bucket?abac", OperationNotImplemented),
        ("PUT", "/bucket/key?annotation", OperationNotImplemented),
        ("PUT", "/bucket/key?renameObject", OperationNotImplemented),
        ("POST", "/bucket/key?select&select-type=2", OperationNotImplemented),
        ("DELETE", "/bucket?acl", MethodNotAllowed),
        ("PUT", "/bucket?location", MethodNotAllowed),
        ("DELETE", "/bucket/key?attributes", MethodNotAllowed),
        ("HEAD", "/bucket/key?uploadId=u", MethodNotAllowed),
        ("POST", "/bucket/key", MethodNotAllowed),
        ("PUT", "/", MethodNotAllowed),
        ("PATCH", "/bucket", MethodNotAllowed),
        ("GET", "/bucket/key?uploads", MethodNotAllowed),
        ("GET", "/bucket/key?location", InvalidRequest),
        ("PUT", "/bucket/key?versioning", InvalidRequest),
        ("PUT", "/bucket?uploadId=u&partNumber=1", InvalidRequest),
        ("GET", "/?acl", InvalidRequest),
        ("PUT", "/bucket/key?partNumber=1", InvalidArgument),
        ("GET", "/bucket?acl&policy", InvalidArgument),
        ("PUT", "/bucket/key?acl&uploadId=u&partNumber=1", InvalidArgument),
    ],
)
def test_refused(method: str, path: str, error: type[StoreError]) -> None:
    with pytest.raises(error):
        name(method, path)


@pytest.mark.parametrize("path", ["/bucket/key?acl&policy", "/bucket?versioning", "/bucket", "/"])
def test_options_is_a_preflight_whatever_the_query(path: str) -> None:
    assert name("OPTIONS", path) == "PreflightRequest"


def test_refusal_of_method_says_what_is_allowed() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        name("PATCH", "/bucket/key")
    assert caught.value.allowed == ["DELETE", "GET", "HEAD", "PUT"]


def test_every_row_is_reachable() -> None:
    paths = {Level.SERVICE: "/", Level.BUCKET: "/bucket", Level.OBJECT: "/bucket/key"}
    for row in TABLE:
        value = "2" if row.subresource == "list-type" else ""
        query = f"?{row.subresource}={value}" if row.subresource else ""
        path = paths[row.operation.level] + query
        assert name(row.method, path, COPY if row.is_copy else {}) == row.operation.name


def operations_of_s3() -> dict[str, Any]:
    model: dict[str, Any] = json.loads(gzip.decompress(_MODEL.read_bytes()))
    operations: dict[str, Any] = model["operations"]
    return operations


def test_every_operation_of_s3_is_served_or_refused() -> None:
    """What botocore can ask for is either the operation it means, or an error."""
    served = {row.operation.name for row in TABLE}
    model = operations_of_s3()
    requests = {tuple(model[each]["http"].items()) for each in served & model.keys()}
    for operation, shape in model.items():
        method, uri = shape["http"]["method"], shape["http"]["requestUri"]
        if operation in served or operation in _OTHER_HOSTS or "?" not in uri:
            continue
        if tuple(shape["http"].items()) in requests:
            continue  # the older name of one that is served
        path = uri.replace("{Bucket}", "bucket").replace("{Key+}", "key")
        with pytest.raises(OperationNotImplemented):
            name(method, path)


def test_list_of_subresources_is_that_of_s3() -> None:
    known = {
        level: {flag: set(methods) for flag, methods in flags.items()}
        for level, flags in BY_LEVEL.items()
    }
    for operation, shape in operations_of_s3().items():
        method, uri = shape["http"]["method"], shape["http"]["requestUri"]
        _, _, query = uri.partition("?")
        if query:
            level = Level.OBJECT if "{Key+}" in uri else Level.BUCKET
            flag = query.split("&")[0].partition("=")[0]
            assert method in known[level][flag], operation
