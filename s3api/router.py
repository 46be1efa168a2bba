"""Owns the operation table and the look-up in it: each request is named once, here, as one operation of S3.

A row says which method, level and subresource (query parameter) select an operation. The compiled form is a dictionary:
a request without subresource is found by one look-up.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import InvalidArgument
from s3api import feature_rows
from s3api.call import BodyPolicy, Level, Operation, Request, Row
from s3api.configuration_rows import CONFIGURATION_ROWS
from s3api.operations import (
    attributes,
    bucket,
    copy,
    cors,
    delete,
    listing,
    multipart,
    object,
    post,
    service,
    uploads,
)
from s3api.protocol_errors import (
    InvalidRequest,
    MethodNotAllowed,
    OperationNotImplemented,
)
from s3api.subresources import BY_LEVEL, NAMES

COPY_SOURCE = "x-amz-copy-source"

_SELECTING = NAMES | {"partNumber"}
"""The query parameters that make a request worth a second look."""


_SERVICE, _BUCKET, _OBJECT = Level.SERVICE, Level.BUCKET, Level.OBJECT
_PUT = "s3:PutObject"

_PREFLIGHT = Operation("PreflightRequest", _BUCKET, cors.preflight, "", resolves_bucket=False)
"""What OPTIONS asks, of whatever path and query. No operation of the SDKs: browsers send it."""

TABLE: Sequence[Row] = (
    Row("GET", Operation("ListBuckets", _SERVICE, service.list_buckets, "s3:ListAllMyBuckets")),
    # --- buckets
    Row(
        "PUT",
        Operation(
            "CreateBucket",
            _BUCKET,
            bucket.create_bucket,
            "s3:CreateBucket",
            BodyPolicy.XML,
            resolves_bucket=False,
        ),
    ),
    Row("HEAD", Operation("HeadBucket", _BUCKET, bucket.head_bucket, "s3:ListBucket")),
    Row("DELETE", Operation("DeleteBucket", _BUCKET, bucket.delete_bucket, "s3:DeleteBucket")),
    Row(
        "GET",
        Operation("GetBucketLocation", _BUCKET, bucket.get_bucket_location, "s3:GetBucketLocation"),
        "location",
    ),
    *CONFIGURATION_ROWS,
    # --- listings
    Row("GET", Operation("ListObjects", _BUCKET, listing.list_objects, "s3:ListBucket")),
    Row(
        "GET",
        Operation("ListObjectsV2", _BUCKET, listing.list_objects_v2, "s3:ListBucket"),
        "list-type",
    ),
    Row(
        "GET",
        Operation(
            "ListObjectVersions", _BUCKET, listing.list_object_versions, "s3:ListBucketVersions"
        ),
        "versions",
    ),
    Row(
        "GET",
        Operation(
            "ListMultipartUploads",
            _BUCKET,
            uploads.list_multipart_uploads,
            "s3:ListBucketMultipartUploads",
        ),
        "uploads",
    ),
    # --- objects; DeleteObjects and PostObject authorize by themselves, once they know the keys
    Row("POST", Operation("PostObject", _BUCKET, post.post_object, "", BodyPolicy.FORM)),
    Row(
        "POST",
        Operation("DeleteObjects", _BUCKET, delete.delete_objects, "", BodyPolicy.XML),
        "delete",
    ),
    Row(
        "GET",
        Operation("GetObject", _OBJECT, object.get_object, "s3:GetObject", checks_object=True),
    ),
    Row(
        "HEAD",
        Operation("HeadObject", _OBJECT, object.head_object, "s3:GetObject", checks_object=True),
    ),
    Row("PUT", Operation("PutObject", _OBJECT, object.put_object, _PUT, BodyPolicy.STREAM)),
    Row("DELETE", Operation("DeleteObject", _OBJECT, object.delete_object, "s3:DeleteObject")),
    Row(
        "PUT",
        Operation("CopyObject", _OBJECT, copy.copy_object, _PUT, needs_source=True),
        is_copy=True,
    ),
    Row(
        "GET",
        Operation(
            "GetObjectAttributes",
            _OBJECT,
            attributes.get_object_attributes,
            "s3:GetObjectAttributes",
            checks_object=True,
        ),
        "attributes",
    ),
    # --- multipart uploads
    Row(
        "POST",
        Operation("CreateMultipartUpload", _OBJECT, multipart.create_multipart_upload, _PUT),
        "uploads",
    ),
    Row(
        "PUT",
        Operation("UploadPart", _OBJECT, multipart.upload_part, _PUT, BodyPolicy.STREAM),
        "uploadId",
    ),
    Row(
        "PUT",
        Operation("UploadPartCopy", _OBJECT, multipart.upload_part_copy, _PUT, needs_source=True),
        "uploadId",
        is_copy=True,
    ),
    Row(
        "GET",
        Operation("ListParts", _OBJECT, uploads.list_parts, "s3:ListMultipartUploadParts"),
        "uploadId",
    ),
    Row(
        "POST",
        Operation(
            "CompleteMultipartUpload",
            _OBJECT,
            multipart.complete_multipart_upload,
            _PUT,
            BodyPolicy.XML,
        ),
        "uploadId",
    ),
    Row(
        "DELETE",
        Operation(
            "AbortMultipartUpload",
            _OBJECT,
            multipart.abort_multipart_upload,
            "s3:AbortMultipartUpload",
        ),
        "uploadId",
    ),
    *feature_rows.ROWS,
)


class OperationRouter:
    """The compiled operation table."""

    def __init__(self, table: Sequence[Row] = TABLE) -> None:
        self._plain: dict[Level, dict[str, Operation]] = {level: {} for level in Level}
        self._special: dict[tuple[str, Level, str, bool], Operation] = {}
        for row in table:
            level = row.operation.level
            if not row.subresource and not row.is_copy:
                self._plain[level][row.method] = row.operation
            else:
                self._special[row.method, level, row.subresource, row.is_copy] = row.operation
        self._objects = self._plain[Level.OBJECT]
        self._buckets = self._plain[Level.BUCKET]

    def match(self, request: Request) -> Operation:
        """The operation that a request names. Raises NotImplementedByWeir, MethodNotAllowed, InvalidRequest and
        InvalidArgument for what names none."""
        query = request.query
        if (not query or _SELECTING.isdisjoint(query)) and COPY_SOURCE not in request.headers:
            plain = self._plain_operations(request).get(request.method)
            if plain is not None:
                return plain
        return self._match_special(request)

    def _match_special(self, request: Request) -> Operation:
        method, level = request.method, _level(request)
        if method == "OPTIONS":
            return _PREFLIGHT
        subresource = _subresource(request, level)
        is_copy = method == "PUT" and level is Level.OBJECT and COPY_SOURCE in request.headers
        operation = None
        if subresource and "id" in request.query:
            operation = self._special.get((method, level, f"{subresource}&id", is_copy))
        if operation is None:
            operation = self._special.get((method, level, subresource, is_copy))
        if operation is None and not subresource:
            operation = self._plain[level].get(method)
        if operation is None:
            raise self._refusal(request, level, subresource)
        return operation

    def _plain_operations(self, request: Request) -> dict[str, Operation]:
        if request.key:
            return self._objects
        return self._buckets if request.bucket else self._plain[Level.SERVICE]

    def _refusal(self, request: Request, level: Level, subresource: str) -> Exception:
        method = request.method
        if not subresource:
            allowed = sorted(self._plain[level])
            return MethodNotAllowed(method=method, resource=level.name, allowed=allowed)
        known = BY_LEVEL[level].get(subresource)
        if known is None:
            return _wrong_level(method, level, subresource)
        if method in known:
            return OperationNotImplemented(method=method, resource=subresource.upper())
        return MethodNotAllowed(method=method, resource=subresource.upper(), allowed=sorted(known))


def _level(request: Request) -> Level:
    if request.key:
        return Level.OBJECT
    return Level.BUCKET if request.bucket else Level.SERVICE


def _subresource(request: Request, level: Level) -> str:
    """The one subresource that a query names; "" for none. Raises InvalidArgument for several."""
    query = request.query
    found = [name for name in query if name in NAMES]
    # It asks for the newer form of the plain listing, and means nothing elsewhere.
    is_plain = level is Level.BUCKET and len(found) == 1 and query.get("list-type") == "2"
    if "list-type" in found and not is_plain:
        found.remove("list-type")
    # A part without its upload id must not become an object.
    if request.method == "PUT" and "partNumber" in query and "uploadId" not in found:
        reason = "This operation does not accept a part number without an upload ID"
        raise InvalidArgument(name="partNumber", value=query["partNumber"], reason=reason)
    if len(found) > 1:
        names = ", ".join(sorted(found))
        reason = f"Conflicting query string parameters: {names}"
        raise InvalidArgument(name="ResourceType", value=found[0], reason=reason)
    return found[0] if found else ""


def _wrong_level(method: str, level: Level, subresource: str) -> Exception:
    if level is Level.OBJECT:
        reason = f"Key is not expected for the {method} method ?{subresource} subresource"
    elif level is Level.BUCKET:
        reason = "A key must be specified."
    else:
        reason = "A bucket must be specified."
    return InvalidRequest(reason=reason)
