"""Owns multipart uploads: create, upload and copy parts, complete, abort (listings: s3api.operations.uploads)."""

from __future__ import annotations

import re
from functools import partial
from itertools import zip_longest
from xml.etree.ElementTree import Element

from core import access
from core.encryption import CustomerKey
from core.errors import Denied, InvalidArgument, NoSuchUpload
from core.sealing import check_customer_key
from core.types import (
    MAX_PART_BYTES,
    MAX_PARTS,
    Checksum,
    ChecksumAlgorithm,
    Conditions,
    ObjectInfo,
    User,
)
from core.uploads import CompletedPart, UploadedPart
from s3api.call import Call, CopySource, Response
from s3api.encryption import (
    encryption_headers,
    key_for_part,
    key_for_source,
    read_encryption,
    written_encryption_headers,
)
from s3api.expiration import abort_headers, expiration_headers
from s3api.headers import (
    bare_etag,
    checksum_algorithm,
    checksum_type,
    claimed_checksum,
    copy_source_range,
    decode_digest,
    read_attributes,
    refuse_unserved,
    write_conditions,
)
from s3api.operations.guarded import authorize_extras
from s3api.operations.object import check_length
from s3api.operations.page import ANONYMOUS_ID, checksum_element
from s3api.parameters import part_number, upload_id
from s3api.protocol_errors import InvalidRequest, MalformedXML
from s3api.response_headers import HeaderList, checksum_headers, written_headers
from s3api.sources import from_source, source_headers
from s3api.timestamps import iso_date
from s3api.xml import XML_TYPE, children, document, echo, element, parse, texts

_ANONYMOUS = User(ANONYMOUS_ID, "anonymous", "anonymous")
_PART_NUMBER = re.compile(r"[0-9]{1,9}\Z")
_CHECKSUM_ELEMENTS = {f"Checksum{kind.value}": kind for kind in ChecksumAlgorithm}


async def create_multipart_upload(call: Call) -> Response:
    headers = call.request.headers
    attributes = read_attributes(call, headers)
    await authorize_extras(call, attributes)
    encryption = read_encryption(call, headers)
    upload = await call.store.create_upload(
        call.target_bucket,
        call.target_key,
        attributes=attributes,
        initiator=call.identity.user or _ANONYMOUS,
        checksum_algorithm=checksum_algorithm(headers),
        checksum_type=checksum_type(headers),
        encryption=encryption,
    )
    answer: HeaderList = [XML_TYPE]
    answer += written_encryption_headers(upload.encryption, encryption)
    if upload.checksum_algorithm is not None:
        answer.append((b"x-amz-checksum-algorithm", upload.checksum_algorithm.value.encode()))
    if upload.checksum_type is not None:
        answer.append((b"x-amz-checksum-type", upload.checksum_type.value.encode()))
    if call.target_bucket.props.lifecycle is not None:
        answer += abort_headers(call, upload)
    body = document(
        "InitiateMultipartUploadResult",
        element("Bucket", call.target_bucket.name),
        echo("Key", call.target_key),
        element("UploadId", upload.upload_id),
    )
    return Response(200, answer, body)


async def check_initiator(call: Call) -> None:
    """A bucket that anyone may write to still leaves an upload to who began it. Raises Denied, NoSuchUpload."""
    if access.rules_bucket(call.identity, call.target_bucket):
        return
    upload = await call.store.get_upload(
        call.target_bucket, call.target_key, upload_id(call.request.query)
    )
    is_anonymous = upload.initiator.user_id == ANONYMOUS_ID
    if not is_anonymous and not access.began_upload(call.identity, upload):
        raise Denied(reason="the upload was begun by somebody else")


async def upload_part(call: Call) -> Response:
    refuse_unserved(call.request.headers)
    await check_initiator(call)
    body = call.body
    assert body is not None
    check_length(call, MAX_PART_BYTES)
    customer_key = key_for_part(call, call.request.headers)
    part = await call.store.upload_part(
        call.target_bucket,
        call.target_key,
        upload_id(call.request.query),
        _part_number(call),
        body,
        customer_key=customer_key,
    )
    headers = [(b"etag", b'"%s"' % part.etag.encode())]
    if part.encryption is not None:
        headers += encryption_headers(part.encryption, customer_key)
    return Response(200, headers + _part_checksum(part))


async def upload_part_copy(call: Call) -> Response:
    headers = call.request.headers
    refuse_unserved(headers)
    await check_initiator(call)
    customer_key = key_for_part(call, headers)
    copy = partial(
        _copy_part,
        call,
        customer_key=customer_key,
        source_customer_key=key_for_source(call, headers),
    )
    source, part = await from_source(call, copy)
    body = document(
        "CopyPartResult",
        element("LastModified", iso_date(part.modified_ns)),
        element("ETag", f'"{part.etag}"'),
        "" if part.checksum is None else checksum_element(part.checksum),
    )
    answer = [XML_TYPE, *source_headers(source)]
    answer += encryption_headers(part.encryption, customer_key)
    return Response(200, answer, body)


async def _copy_part(
    call: Call,
    source: CopySource,
    conditions: Conditions,
    *,
    customer_key: CustomerKey | None,
    source_customer_key: CustomerKey | None,
) -> UploadedPart:
    return await call.store.upload_part_copy(
        source.bucket,
        source.key,
        call.target_bucket,
        call.target_key,
        upload_id(call.request.query),
        _part_number(call),
        source_version_id=source.version_id,
        source_range=copy_source_range(call.request.headers),
        source_conditions=conditions,
        customer_key=customer_key,
        source_customer_key=source_customer_key,
    )


def _part_number(call: Call) -> int:
    number = part_number(call.request.query)
    if number is None:
        reason = "This operation does not accept a upload ID without a part number"
        raise InvalidArgument(name="partNumber", value="", reason=reason)
    return number


def _part_checksum(part: UploadedPart) -> HeaderList:
    """A part's checksum; S3 gives its type with whole objects only."""
    return checksum_headers(part.checksum)[:1]


async def complete_multipart_upload(call: Call) -> Response:
    headers = call.request.headers
    refuse_unserved(headers)
    await check_initiator(call)
    parts = await parse(call.document, "CompleteMultipartUpload", _completed_parts)
    identifier = upload_id(call.request.query)
    customer_key = key_for_part(call, headers)
    claimed = claimed_checksum(headers)
    await _check_against_upload(call, customer_key)
    info = await call.store.complete_upload(
        call.target_bucket,
        call.target_key,
        identifier,
        parts,
        conditions=write_conditions(headers),
        expected_checksum=claimed,
        expected_size_bytes=_claimed_size(call),
    )
    answer = [XML_TYPE, *written_headers(info)]
    answer += encryption_headers(info.encryption, customer_key)
    if call.target_bucket.props.lifecycle is not None:
        answer += expiration_headers(call, info)
    return Response(200, answer, _completed(call, info))


async def _check_against_upload(call: Call, customer_key: CustomerKey | None) -> None:
    """What a completion must say again of how its upload was begun: the checksum's type if it says it and, as
    ceph/s3-tests has it, the customer's key. AWS documents that it names the checksum of each part, too, where they
    are composite; the suite's completions do without.

    Raises InvalidRequest, CustomerKeyRequired, CustomerKeyNotApplicable, CustomerKeyMismatch."""
    try:
        upload = await call.store.get_upload(
            call.target_bucket, call.target_key, upload_id(call.request.query)
        )
    except NoSuchUpload:
        return  # it may be completed already, which the store knows
    check_customer_key(call.target_bucket, upload.key, upload.encryption, customer_key)
    claimed_type = checksum_type(call.request.headers)
    if claimed_type is not None and upload.checksum_type not in (None, claimed_type):
        reason = (
            f"The upload was created using the {upload.checksum_type} checksum mode. The complete "
            "request must use the same checksum mode."
        )
        raise InvalidRequest(reason=reason)


def _completed_parts(request: Element) -> list[CompletedPart]:
    """Raises MalformedXML, InvalidChecksum."""
    parts = _without_resent([_completed_part(texts(node)) for node in children(request, "Part")])
    if not 1 <= len(parts) <= MAX_PARTS:
        raise MalformedXML(reason=f"{len(parts)} parts")
    return parts


def _completed_part(fields: dict[str, str]) -> CompletedPart:
    number = fields.get("PartNumber", "").strip()
    etag = bare_etag(fields.get("ETag", ""))
    if not _PART_NUMBER.match(number) or not etag:
        raise MalformedXML(reason="a part without number or ETag")
    checksums = {
        _CHECKSUM_ELEMENTS[name]: decode_digest(name, text.strip())
        for name, text in fields.items()
        if text and name in _CHECKSUM_ELEMENTS
    }
    return CompletedPart(int(number), etag, checksums)


def _without_resent(parts: list[CompletedPart]) -> list[CompletedPart]:
    """Of entries in a row for one part number, the last: a client that sent a part twice may list both."""
    return [
        part
        for part, following in zip_longest(parts, parts[1:])
        if following is None or following.part_number != part.part_number
    ]


def _claimed_size(call: Call) -> int | None:
    name = "x-amz-mp-object-size"
    value = call.request.headers.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,18}", value):
        raise InvalidRequest(reason=f"Value for {name} header is invalid.")
    return int(value)


def _completed(call: Call, info: ObjectInfo) -> bytes:
    request = call.request
    checksum: Checksum | None = info.checksum
    location = f"{request.scheme}://{request.host}{request.raw_path.decode('latin-1')}"
    return document(
        "CompleteMultipartUploadResult",
        element("Location", location),
        element("Bucket", call.target_bucket.name),
        echo("Key", call.target_key),
        element("ETag", f'"{info.etag}"'),
        ""
        if checksum is None
        else checksum_element(checksum) + element("ChecksumType", checksum.type.value),
    )


async def abort_multipart_upload(call: Call) -> Response:
    await check_initiator(call)
    await call.store.abort_upload(
        call.target_bucket, call.target_key, upload_id(call.request.query)
    )
    return Response(204)
