"""Owns CopyObject: what of the source a copy keeps, what it replaces, and when that is no copy at all."""

from __future__ import annotations

from dataclasses import replace

from core.acl import owner_of_new
from core.conditions import check_copy_source
from core.errors import InvalidArgument, PreconditionFailed, WriteConflict
from core.types import NOBODY, NULL_VERSION, CannedAcl, Conditions, ObjectAttributes, ObjectInfo
from s3api.acls import asks_for_acl, owner_and_acl
from s3api.call import Call, CopySource, Response
from s3api.expiration import expiration_headers
from s3api.headers import (
    checksum_algorithm,
    read_attributes,
    read_storage_class,
    refuse_unserved,
    source_conditions,
    write_conditions,
)
from s3api.protocol_errors import InvalidRequest
from s3api.response_headers import HeaderList, checksum_text
from s3api.timestamps import iso_date
from s3api.xml import XML_TYPE, document, element

_ATTEMPTS = 4


async def copy_object(call: Call) -> Response:
    headers = call.request.headers
    source = call.source
    assert source is not None
    refuse_unserved(headers)
    replaces = _directive(call, "x-amz-metadata-directive") == "REPLACE"
    _directive(call, "x-amz-tagging-directive")
    changes = any(
        headers.get(name) for name in ("x-amz-storage-class", "x-amz-website-redirect-location")
    )
    if not replaces and _is_same_object(call, source) and not changes:
        reason = (
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or encryption "
            "attributes."
        )
        raise InvalidRequest(reason=reason)
    if replaces:
        info = await _copy(call, source, read_attributes(call, headers), source_conditions(headers))
    elif changes or asks_for_acl(headers):
        info = await _copy_with_changes(call, source)
    else:
        info = await _copy(call, source, None, source_conditions(headers))
    answer = _headers(source)
    if call.target_bucket.props.lifecycle is not None:
        answer += expiration_headers(call, info)
    return Response(200, answer, _result(info))


async def _copy(
    call: Call, source: CopySource, attributes: ObjectAttributes | None, conditions: Conditions
) -> ObjectInfo:
    return await call.store.copy(
        source.bucket,
        source.key,
        call.target_bucket,
        call.target_key,
        source_version_id=source.version_id,
        source_conditions=conditions,
        conditions=write_conditions(call.request.headers),
        attributes=attributes,
        owner_id=owner_of_new(
            call.target_bucket, call.identity.user_id or NOBODY, CannedAcl.PRIVATE
        ),
        checksum_algorithm=checksum_algorithm(call.request.headers),
    )


async def _copy_with_changes(call: Call, source: CopySource) -> ObjectInfo:
    """Keep the source's metadata but for what the headers say. The source may be overwritten between the reading of its
    metadata and the copy; then the copy, which names the ETag that was read, fails, and both are done again."""
    headers = call.request.headers
    for _ in range(_ATTEMPTS):
        info = await call.store.head(source.bucket, source.key, version_id=source.version_id)
        check_copy_source(info, source_conditions(headers))
        try:
            return await _copy(
                call, source, _changed(call, info.attributes), Conditions(if_match=(info.etag,))
            )
        except PreconditionFailed as error:
            if write_conditions(headers).if_match or error.condition != "If-Match":
                raise
    raise WriteConflict(key=source.key)


def _changed(call: Call, kept: ObjectAttributes) -> ObjectAttributes:
    headers = call.request.headers
    redirect = headers.get("x-amz-website-redirect-location")
    system = dict(kept.headers)
    if redirect:
        system["x-amz-website-redirect-location"] = redirect
    owner_id, acl = owner_and_acl(call, headers)
    return replace(
        kept,
        headers=system,
        storage_class=read_storage_class(call, headers) or kept.storage_class,
        owner_id=owner_id,
        acl=acl,
    )


def _directive(call: Call, name: str) -> str:
    """COPY (the default) or REPLACE. Raises InvalidArgument."""
    value = call.request.headers.get(name) or "COPY"
    if value not in ("COPY", "REPLACE"):
        what = "metadata" if "metadata" in name else "tagging"
        raise InvalidArgument(name=name, value=value, reason=f"Unknown {what} directive.")
    return value


def _is_same_object(call: Call, source: CopySource) -> bool:
    return (
        source.bucket.bucket_id == call.target_bucket.bucket_id
        and source.key == call.target_key
        and source.version_id in (None, NULL_VERSION)
    )


def _headers(source: CopySource) -> HeaderList:
    headers = [XML_TYPE]
    if source.version_id is not None:
        headers.append((b"x-amz-copy-source-version-id", source.version_id.encode()))
    return headers


def _result(info: ObjectInfo) -> bytes:
    checksum = info.checksum
    return document(
        "CopyObjectResult",
        element("LastModified", iso_date(info.modified_ns)),
        element("ETag", f'"{info.etag}"'),
        ""
        if checksum is None
        else element("ChecksumType", checksum.type.value)
        + element(f"Checksum{checksum.algorithm.value}", checksum_text(checksum)),
    )
