"""Owns CopyObject: what of the source a copy keeps, what it replaces, and when that is no copy at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from core.acl import owner_of_new
from core.conditions import check_copy_source
from core.encryption import CustomerKey, EncryptionRequest
from core.errors import (
    InvalidArgument,
    PreconditionFailed,
    WriteConflict,
)
from core.types import NOBODY, NULL_VERSION, CannedAcl, Conditions, ObjectAttributes, ObjectInfo
from s3api.acls import asks_for_acl
from s3api.call import Call, CopySource, Response
from s3api.encryption import (
    asks_for_encryption,
    key_for_source,
    read_encryption,
    written_encryption_headers,
)
from s3api.expiration import expiration_headers
from s3api.headers import (
    checksum_algorithm,
    read_attributes,
    read_storage_class,
    refuse_unserved,
    write_conditions,
)
from s3api.operations.guarded import authorize_extras, has_extras
from s3api.protocol_errors import InvalidRequest
from s3api.response_headers import checksum_text, written_headers
from s3api.sources import from_source, source_headers
from s3api.timestamps import iso_date
from s3api.xml import XML_TYPE, document, element

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class _Directives:
    """What of the source's a copy replaces, and how source and copy are encrypted."""

    metadata: bool
    tags: bool
    encryption: EncryptionRequest | None
    source_key: CustomerKey | None


async def copy_object(call: Call) -> Response:
    headers = call.request.headers
    refuse_unserved(headers)
    replaces = _Directives(
        metadata=_directive(call, "x-amz-metadata-directive") == "REPLACE",
        tags=_directive(call, "x-amz-tagging-directive") == "REPLACE",
        encryption=read_encryption(call, headers),
        source_key=key_for_source(call, headers),
    )
    changes = any(
        headers.get(name) for name in ("x-amz-storage-class", "x-amz-website-redirect-location")
    )
    changes = changes or asks_for_encryption(headers)
    if not replaces.metadata and _is_same_object(call) and not changes:
        reason = (
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or encryption "
            "attributes."
        )
        raise InvalidRequest(reason=reason)
    asked = read_attributes(call, headers)
    if not replaces.tags:
        asked = replace(asked, tags={})
    await authorize_extras(call, asked)
    keeps_some = not replaces.metadata or not replaces.tags
    changes = changes or asks_for_acl(headers) or has_extras(asked)
    if keeps_some and (changes or replaces.metadata or replaces.tags):
        copy = partial(_copy_with_changes, call, asked=asked, replaces=replaces)
    else:
        copy = partial(_copy, call, attributes=None if keeps_some else asked, replaces=replaces)
    source, info = await from_source(call, copy)
    answer = [XML_TYPE, *source_headers(source), *written_headers(info)]
    answer += written_encryption_headers(info.encryption, replaces.encryption)
    if call.target_bucket.props.lifecycle is not None:
        answer += expiration_headers(call, info)
    return Response(200, answer, _result(info))


async def _copy(
    call: Call,
    source: CopySource,
    conditions: Conditions,
    *,
    attributes: ObjectAttributes | None,
    replaces: _Directives,
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
        encryption=replaces.encryption,
        source_customer_key=replaces.source_key,
    )


async def _copy_with_changes(
    call: Call,
    source: CopySource,
    conditions: Conditions,
    *,
    asked: ObjectAttributes,
    replaces: _Directives,
) -> ObjectInfo:
    """Keep the source's attributes but for what the headers say. The source may be overwritten between the reading of
    them and the copy; then the copy, which names the ETag that was read, fails, and both are done again."""
    headers = call.request.headers
    for _ in range(_ATTEMPTS):
        info = await call.store.head_with_tags(
            source.bucket, source.key, version_id=source.version_id
        )
        check_copy_source(info, conditions)
        kept = info.attributes
        attributes = asked if replaces.metadata else _changed(call, kept, asked)
        if not replaces.tags:
            attributes = replace(attributes, tags=kept.tags)
        try:
            pinned = Conditions(if_match=(info.etag,))
            return await _copy(call, source, pinned, attributes=attributes, replaces=replaces)
        except PreconditionFailed as error:
            if write_conditions(headers).if_match or error.condition != "If-Match":
                raise
    raise WriteConflict(key=source.key)


def _changed(call: Call, kept: ObjectAttributes, asked: ObjectAttributes) -> ObjectAttributes:
    """The source's attributes with what was asked for. Locks are never copied."""
    headers = call.request.headers
    redirect = headers.get("x-amz-website-redirect-location")
    system = dict(kept.headers)
    if redirect:
        system["x-amz-website-redirect-location"] = redirect
    return replace(
        asked,
        headers=system,
        user_metadata=kept.user_metadata,
        storage_class=read_storage_class(call, headers) or kept.storage_class,
    )


def _directive(call: Call, name: str) -> str:
    """COPY (the default) or REPLACE. Raises InvalidArgument."""
    value = call.request.headers.get(name) or "COPY"
    if value not in ("COPY", "REPLACE"):
        what = "metadata" if "metadata" in name else "tagging"
        raise InvalidArgument(name=name, value=value, reason=f"Unknown {what} directive.")
    return value


def _is_same_object(call: Call) -> bool:
    """Whether source and target are one. A version asked for by its id is not: to copy it onto its key restores it."""
    source = call.source
    assert source is not None
    is_only_version = source.version_id == NULL_VERSION and not source.bucket.props.versioning
    return (
        source.bucket.bucket_id == call.target_bucket.bucket_id
        and source.key == call.target_key
        and (source.version_id is None or is_only_version)
    )


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
