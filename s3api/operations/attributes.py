"""Owns GetObjectAttributes: what is known of an object, without its bytes, part by part."""

from __future__ import annotations

from core.errors import InvalidArgument
from core.sealing import check_customer_key
from core.types import Checksum, ObjectInfo, ObjectPart
from s3api.call import Call, Response
from s3api.encryption import encryption_headers, key_for_read
from s3api.headers import refuse_unserved
from s3api.operations.page import checksum_element
from s3api.parameters import marker_number, page_size, version_id
from s3api.response_headers import HeaderList, version_headers
from s3api.timestamps import http_date
from s3api.xml import XML_TYPE, document, element, flag

_HEADER = "x-amz-object-attributes"
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


async def get_object_attributes(call: Call) -> Response:
    refuse_unserved(call.request.headers)
    customer_key = key_for_read(call, call.request.headers)
    wanted = _wanted(call)
    info = await call.store.head(
        call.target_bucket, call.target_key, version_id=version_id(call.request.query)
    )
    call.check_object(info)
    check_customer_key(call.target_bucket, info.key, info.encryption, customer_key)
    content: list[str] = []
    if "ETag" in wanted:
        content.append(element("ETag", info.etag))
    if "Checksum" in wanted and info.checksum is not None:
        content.append(_checksum(info.checksum))
    if "ObjectParts" in wanted and info.parts:
        content.append(_object_parts(call, info))
    if "StorageClass" in wanted:
        content.append(element("StorageClass", info.attributes.storage_class))
    if "ObjectSize" in wanted:
        content.append(element("ObjectSize", info.size_bytes))
    headers: HeaderList = [XML_TYPE, (b"last-modified", http_date(info.modified_ns))]
    headers += version_headers(call.target_bucket, info)
    headers += encryption_headers(info.encryption, customer_key)
    return Response(200, headers, document("GetObjectAttributesResponse", *content))


def _wanted(call: Call) -> set[str]:
    """The attributes asked for. Raises InvalidArgument for none, or an unknown one."""
    value = call.request.headers.get(_HEADER, "")
    wanted = {name.strip() for name in value.split(",")} - {""}
    if not wanted or not wanted.issubset(_ATTRIBUTES):
        raise InvalidArgument(name=_HEADER, value=value, reason="Invalid attribute name specified.")
    return wanted


def _checksum(checksum: Checksum) -> str:
    return (
        f"<Checksum>{checksum_element(checksum)}"
        f"{element('ChecksumType', checksum.type.value)}</Checksum>"
    )


def _object_parts(call: Call, info: ObjectInfo) -> str:
    headers = call.request.headers
    limit = page_size(headers, "x-amz-max-parts")
    marker = marker_number(headers.get("x-amz-part-number-marker"), "x-amz-part-number-marker")
    later = [part for part in info.parts if part.part_number > marker]
    page = later[:limit]
    return (
        f"<ObjectParts>{element('PartsCount', len(info.parts))}"
        f"{element('PartNumberMarker', marker)}"
        f"{element('NextPartNumberMarker', page[-1].part_number if page else marker)}"
        f"{element('MaxParts', limit)}{flag('IsTruncated', len(later) > len(page))}"
        f"{''.join(map(_part, page))}</ObjectParts>"
    )


def _part(part: ObjectPart) -> str:
    checksum = "" if part.checksum is None else checksum_element(part.checksum)
    return (
        f"<Part>{element('PartNumber', part.part_number)}{element('Size', part.size_bytes)}"
        f"{checksum}</Part>"
    )
