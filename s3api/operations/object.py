"""Owns the operations on one object: put, get, head, delete."""

from __future__ import annotations

from core.errors import EntityTooLarge
from core.ranges import resolve_range
from core.sealing import check_customer_key
from core.types import MAX_PUT_BYTES, ByteRange, ObjectInfo, PartRange
from s3api.call import Call, Response
from s3api.encryption import (
    encryption_headers,
    key_for_read,
    read_encryption,
    written_encryption_headers,
)
from s3api.expiration import expiration_headers
from s3api.headers import (
    delete_conditions,
    parse_range,
    read_attributes,
    read_conditions,
    refuse_unserved,
    write_conditions,
)
from s3api.lock_headers import check_proven
from s3api.operations.guarded import authorize_extras, guarded_headers, has_extras, may_bypass
from s3api.parameters import part_number, version_id
from s3api.protocol_errors import InvalidRequest, MissingContentLength
from s3api.response_headers import (
    HeaderList,
    checksum_headers,
    object_headers,
    quoted_etag,
    read_overrides,
    version_headers,
    written_headers,
)
from s3api.timestamps import http_date


async def put_object(call: Call) -> Response:
    headers = call.request.headers
    body = call.body
    assert body is not None
    check_length(call, MAX_PUT_BYTES)
    attributes = read_attributes(call, headers)
    if call.target_bucket.props.object_lock is not None:
        check_proven(call, attributes)
    if has_extras(attributes):
        await authorize_extras(call, attributes)
    encryption = read_encryption(call, headers)
    info = await call.store.put(
        call.target_bucket,
        call.target_key,
        body,
        attributes=attributes,
        conditions=write_conditions(headers),
        encryption=encryption,
    )
    answer = [(b"etag", quoted_etag(info)), *checksum_headers(info.checksum)]
    if encryption is not None:
        answer += written_encryption_headers(info.encryption, encryption)
    answer += written_headers(info)
    if call.target_bucket.props.lifecycle is not None:
        answer += expiration_headers(call, info)
    return Response(200, answer)


def check_length(call: Call, max_bytes: int) -> None:
    """What can be known of a body's length before it comes. Raises MissingContentLength, EntityTooLarge."""
    assert call.body is not None
    size_bytes = call.body.size_bytes
    if size_bytes is None:
        if "transfer-encoding" not in call.request.headers:
            raise MissingContentLength
    elif size_bytes > max_bytes:
        raise EntityTooLarge(size_bytes=size_bytes, max_bytes=max_bytes)


async def get_object(call: Call) -> Response:
    request = call.request
    refuse_unserved(request.headers)
    customer_key = key_for_read(call, request.headers)
    byte_range: ByteRange | None = None
    overrides = wanted_version = None
    if request.query:
        overrides = _allowed_overrides(call)
        wanted_version = version_id(request.query)
    if request.query or "range" in request.headers:
        byte_range = _requested_range(call)
        if byte_range is not None and "if-range" in request.headers:
            byte_range = await _range_if_unchanged(call, byte_range)
    reader = await call.store.get(
        call.target_bucket,
        call.target_key,
        version_id=wanted_version,
        byte_range=byte_range,
        conditions=read_conditions(request.headers),
        customer_key=customer_key,
    )
    info = reader.info
    try:
        call.check_object(info)
        headers = object_headers(info, overrides)
        if info.encryption is not None:
            headers += encryption_headers(info.encryption, customer_key)
        if call.target_bucket.props.lifecycle is not None and wanted_version is None:
            headers += expiration_headers(call, info)
        if has_extras(info.attributes):
            headers += await guarded_headers(call, info)
    except BaseException:
        await reader.close()
        raise
    if call.target_bucket.props.versioning:
        headers.append((b"x-amz-version-id", info.version_id.encode()))
    status = 200
    if byte_range is not None or wanted_version is not None or call_wants_checksum(call):
        status = _add_details(headers, call, info, byte_range, (reader.first, reader.length))
    return Response(status, headers, reader)


async def head_object(call: Call) -> Response:
    request = call.request
    refuse_unserved(request.headers)
    customer_key = key_for_read(call, request.headers)
    overrides = _allowed_overrides(call)
    info = await call.store.head(
        call.target_bucket,
        call.target_key,
        version_id=version_id(request.query),
        conditions=read_conditions(request.headers),
    )
    call.check_object(info)
    check_customer_key(call.target_bucket, info.key, info.encryption, customer_key)
    byte_range = _requested_range(call)
    first, length = resolve_range(info, byte_range)
    headers = object_headers(info, overrides) + encryption_headers(info.encryption, customer_key)
    if call.target_bucket.props.lifecycle is not None and "versionId" not in request.query:
        headers += expiration_headers(call, info)
    if has_extras(info.attributes):
        headers.extend(await guarded_headers(call, info))
    headers.extend(version_headers(call.target_bucket, info))
    status = _add_details(headers, call, info, byte_range, (first, length))
    headers.append((b"content-length", b"%d" % length))
    return Response(status, headers)


def call_wants_checksum(call: Call) -> bool:
    """Whether x-amz-checksum-mode asks for checksums in the answer."""
    return call.request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"


def _allowed_overrides(call: Call) -> dict[str, str] | None:
    overrides = read_overrides(call.request.query)
    if overrides and call.identity.is_anonymous:
        reason = "Request specific response headers cannot be used for anonymous GET requests."
        raise InvalidRequest(reason=reason)
    return overrides


def _requested_range(call: Call) -> ByteRange | None:
    value = call.request.headers.get("range")
    number = part_number(call.request.query)
    if number is None:
        return parse_range(value)
    if value is not None:
        reason = "Cannot specify both Range header and partNumber query parameter"
        raise InvalidRequest(reason=reason)
    return PartRange(number)


async def _range_if_unchanged(call: Call, byte_range: ByteRange) -> ByteRange | None:
    """The range if If-Range names the present object, else None: then the whole is sent (RFC 9110 §13.1.5)."""
    info = await call.store.head(
        call.target_bucket, call.target_key, version_id=version_id(call.request.query)
    )
    wanted = call.request.headers["if-range"]
    if wanted.encode("latin-1") in (quoted_etag(info), http_date(info.modified_ns)):
        return byte_range
    return None


def _add_details(
    headers: HeaderList,
    call: Call,
    info: ObjectInfo,
    byte_range: ByteRange | None,
    offered: tuple[int, int],
) -> int:
    """Add what only some reads are told: range, count of parts, checksum, and the version where only the null version
    was ever. Returns the status."""
    if "versionId" in call.request.query and not call.target_bucket.props.versioning:
        headers.append((b"x-amz-version-id", info.version_id.encode()))
    if call_wants_checksum(call):
        headers.extend(_offered_checksum(info, byte_range))
    if byte_range is None:
        return 200
    if isinstance(byte_range, PartRange) and info.parts:
        headers.append((b"x-amz-mp-parts-count", b"%d" % len(info.parts)))
    first, length = offered
    if length == 0:
        # Part 1 of an empty object: there is no byte that Content-Range could name.
        return 200
    headers.append(
        (b"content-range", b"bytes %d-%d/%d" % (first, first + length - 1, info.size_bytes))
    )
    return 206


def _offered_checksum(info: ObjectInfo, byte_range: ByteRange | None) -> HeaderList:
    """The checksum of what is sent: of the whole, or of the one part asked for; other ranges have none."""
    whole = checksum_headers(info.checksum)
    if byte_range is None or not whole:
        return whole
    if not isinstance(byte_range, PartRange):
        return []
    for part in info.parts:
        if part.part_number == byte_range.part_number:
            # The digest is the part's, the type that of the object it belongs to.
            return checksum_headers(part.checksum)[:1] + whole[1:]
    return whole


async def delete_object(call: Call) -> Response:
    wanted_version = version_id(call.request.query)
    result = await call.store.delete(
        call.target_bucket,
        call.target_key,
        version_id=wanted_version,
        conditions=delete_conditions(call.request.headers),
        bypass_governance=await may_bypass(call, call.target_key),
    )
    headers: HeaderList = []
    shown_version = result.version_id or wanted_version
    if shown_version is not None:
        headers.append((b"x-amz-version-id", shown_version.encode()))
    if result.is_delete_marker:
        headers.append((b"x-amz-delete-marker", b"true"))
    return Response(204, headers)
