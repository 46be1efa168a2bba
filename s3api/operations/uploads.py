"""Owns the listings of multipart uploads: ListParts and ListMultipartUploads."""

from __future__ import annotations

from core.uploads import (
    PartListPage,
    Upload,
    UploadedPart,
    UploadListPage,
    UploadListQuery,
)
from s3api.call import Call, Response
from s3api.expiration import abort_headers
from s3api.operations.multipart import check_initiator
from s3api.operations.page import (
    Encode,
    Owners,
    checksum_element,
    common_prefix_elements,
    encoding_type_element,
    name_element,
    name_encoder,
    optional_name,
    user_element,
)
from s3api.parameters import marker_number, page_size, upload_id
from s3api.timestamps import iso_date
from s3api.xml import XML_TYPE, document, element, flag


async def list_parts(call: Call) -> Response:
    query = call.request.query
    encode = name_encoder(call)
    limit = page_size(query, "max-parts")
    marker = marker_number(query.get("part-number-marker"), "part-number-marker")
    await check_initiator(call)
    page = await _parts(call, marker, limit)
    upload = page.upload
    owners = Owners(call)
    owners.add(upload.initiator)
    body = document(
        "ListPartsResult",
        element("Bucket", call.target_bucket.name),
        name_element("Key", call.target_key, encode),
        element("UploadId", upload.upload_id),
        user_element("Initiator", upload.initiator),
        owners.element(upload.attributes.owner_id),
        element("StorageClass", upload.attributes.storage_class),
        element("PartNumberMarker", marker),
        element("NextPartNumberMarker", page.parts[-1].part_number if page.parts else marker),
        element("MaxParts", limit),
        encoding_type_element(encode),
        flag("IsTruncated", page.is_truncated),
        _checksum_kind(upload),
        *map(_part, page.parts),
    )
    answer = [XML_TYPE]
    if call.target_bucket.props.lifecycle is not None:
        answer += abort_headers(call, upload)
    return Response(200, answer, body)


async def _parts(call: Call, marker: int, limit: int) -> PartListPage:
    identifier = upload_id(call.request.query)
    if limit == 0:
        upload = await call.store.get_upload(call.target_bucket, call.target_key, identifier)
        return PartListPage(upload, (), False)
    return await call.store.list_parts(
        call.target_bucket, call.target_key, identifier, after=marker, limit=limit
    )


def _part(part: UploadedPart) -> str:
    checksum = "" if part.checksum is None else checksum_element(part.checksum)
    return (
        f"<Part>{element('PartNumber', part.part_number)}"
        f"{element('LastModified', iso_date(part.modified_ns))}"
        f"<ETag>&quot;{part.etag}&quot;</ETag>{element('Size', part.size_bytes)}{checksum}</Part>"
    )


def _checksum_kind(upload: Upload) -> str:
    if upload.checksum_algorithm is None or upload.checksum_type is None:
        return ""
    return element("ChecksumAlgorithm", upload.checksum_algorithm.value) + element(
        "ChecksumType", upload.checksum_type.value
    )


async def list_multipart_uploads(call: Call) -> Response:
    query = call.request.query
    encode = name_encoder(call)
    limit = page_size(query, "max-uploads")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker = query.get("key-marker", "")
    # Without a key marker the upload id marker is ignored (ListMultipartUploads, upload-id-marker).
    id_marker = query.get("upload-id-marker", "") if key_marker else ""
    page = UploadListPage((), (), False)
    if limit > 0:
        page = await call.store.list_uploads(
            call.target_bucket, UploadListQuery(prefix, delimiter, key_marker, id_marker, limit)
        )
    owners = Owners(call)
    for upload in page.uploads:
        owners.add(upload.initiator)
    body = document(
        "ListMultipartUploadsResult",
        element("Bucket", call.target_bucket.name),
        name_element("KeyMarker", key_marker, encode),
        element("UploadIdMarker", id_marker),
        name_element("NextKeyMarker", page.next_key_marker, encode),
        element("NextUploadIdMarker", page.next_upload_id_marker),
        name_element("Prefix", prefix, encode),
        optional_name("Delimiter", delimiter, encode),
        element("MaxUploads", limit),
        encoding_type_element(encode),
        flag("IsTruncated", page.is_truncated),
        *(_upload(upload, encode, owners) for upload in page.uploads),
        *common_prefix_elements(page.common_prefixes, encode),
    )
    return Response(200, [XML_TYPE], body)


def _upload(upload: Upload, encode: Encode, owners: Owners) -> str:
    return (
        f"<Upload>{name_element('Key', upload.key, encode)}"
        f"{element('UploadId', upload.upload_id)}{user_element('Initiator', upload.initiator)}"
        f"{owners.element(upload.attributes.owner_id)}"
        f"{element('StorageClass', upload.attributes.storage_class)}"
        f"{element('Initiated', iso_date(upload.created_ns))}{_checksum_kind(upload)}</Upload>"
    )
