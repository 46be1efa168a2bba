"""Owns the listings of objects: ListObjects, ListObjectsV2, ListObjectVersions.

A page of 1,000 keys has 2 ms to become XML: what is the same for all keys is made once, names are escaped only where
they need it, and dates come from a cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from core.errors import InvalidArgument, NoSuchInventory
from core.inventories import parse_inventory_name
from core.listing import (
    ListPage,
    ListQuery,
    ObjectVersion,
    VersionListPage,
    VersionListQuery,
)
from core.types import ObjectInfo
from s3api.call import Call, Response
from s3api.operations.page import (
    Encode,
    Owners,
    common_prefix_elements,
    encoding_type_element,
    name_element,
    name_encoder,
    optional_name,
)
from s3api.parameters import continuation_token, continued_after, page_size
from s3api.timestamps import iso_date
from s3api.xml import XML_TYPE, document, echo, element, escape, flag, optional

_TRUE = ("true", "1", "yes", "on", "y", "t")


async def list_objects(call: Call) -> Response:
    query = call.request.query
    encode = name_encoder(call)
    limit = page_size(query, "max-keys")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker = query.get("marker", "")
    page = await _list(call, ListQuery(prefix, delimiter, marker, limit))
    # Without a delimiter the client continues from the last key it saw (ListObjects, NextMarker).
    next_marker = page.next_after if page.is_truncated and delimiter else ""
    body = document(
        "ListBucketResult",
        element("Name", call.target_bucket.name),
        # Never percent-encoded: boto3, which asks for encoding-type=url by itself, decodes every name of this document
        # but this one.
        echo("Prefix", prefix),
        name_element("Marker", marker, encode),
        optional_name("NextMarker", next_marker, encode),
        element("MaxKeys", limit),
        optional_name("Delimiter", delimiter, encode),
        encoding_type_element(encode),
        flag("IsTruncated", page.is_truncated),
        *_contents(page.entries, encode, Owners(call)),
        *common_prefix_elements(page.common_prefixes, encode),
    )
    return Response(200, [XML_TYPE], body)


async def list_objects_v2(call: Call) -> Response:
    query = call.request.query
    encode = name_encoder(call)
    limit = page_size(query, "max-keys")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    start_after = query.get("start-after", "")
    token = query.get("continuation-token")
    after = continued_after(token) if token else start_after
    page = await _list(call, ListQuery(prefix, delimiter, after, limit))
    has_owner = query.get("fetch-owner", "").lower() == "true"
    body = document(
        "ListBucketResult",
        element("Name", call.target_bucket.name),
        name_element("Prefix", prefix, encode),
        optional_name("StartAfter", start_after, encode),
        element("ContinuationToken", token) if token is not None else "",
        element("NextContinuationToken", continuation_token(page.next_after))
        if page.is_truncated
        else "",
        element("KeyCount", len(page.entries) + len(page.common_prefixes)),
        element("MaxKeys", limit),
        optional_name("Delimiter", delimiter, encode),
        encoding_type_element(encode),
        flag("IsTruncated", page.is_truncated),
        *_contents(page.entries, encode, Owners(call) if has_owner else None),
        *common_prefix_elements(page.common_prefixes, encode),
    )
    return Response(200, [XML_TYPE], body)


async def list_object_versions(call: Call) -> Response:
    query = call.request.query
    encode = name_encoder(call)
    limit = page_size(query, "max-keys")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker = query.get("key-marker", "")
    version_marker = _version_marker(query.get("version-id-marker"), key_marker)
    page = VersionListPage((), (), False)
    if limit:
        wanted = VersionListQuery(prefix, delimiter, key_marker, version_marker, limit)
        page = await call.store.list_versions(call.target_bucket, wanted)
    body = document(
        "ListVersionsResult",
        element("Name", call.target_bucket.name),
        name_element("Prefix", prefix, encode),
        name_element("KeyMarker", key_marker, encode),
        element("VersionIdMarker", version_marker),
        name_element("NextKeyMarker", page.next_key_marker, encode) if page.is_truncated else "",
        optional("NextVersionIdMarker", page.next_version_id_marker if page.is_truncated else ""),
        element("MaxKeys", limit),
        optional_name("Delimiter", delimiter, encode),
        encoding_type_element(encode),
        flag("IsTruncated", page.is_truncated),
        *_versions(page.versions, encode, Owners(call)),
        *common_prefix_elements(page.common_prefixes, encode),
    )
    return Response(200, [XML_TYPE], body)


def _version_marker(marker: str | None, key_marker: str) -> str:
    if marker is None:
        return ""
    if not key_marker:
        reason = "A version-id marker cannot be specified without a key marker."
        raise InvalidArgument(name="version-id-marker", value=marker, reason=reason)
    if not marker:
        reason = "A version-id marker cannot be empty."
        raise InvalidArgument(name="version-id-marker", value=marker, reason=reason)
    return marker


async def _list(call: Call, query: ListQuery) -> ListPage:
    headers = call.request.headers
    if headers.get("ais-bucket-inventory", "").lower() in _TRUE:
        query = replace(query, inventory=_inventory_name(headers.get("ais-inv-name", "")))
        if call.target_bucket.props.backend is None:
            raise NoSuchInventory(bucket=call.target_bucket.name, inventory=query.inventory)
    if query.limit == 0:
        return ListPage((), (), False)
    return await call.store.list_objects(call.target_bucket, query)


def _inventory_name(text: str) -> str:
    """The inventory asked for, "" for any. Raises InvalidArgument."""
    return parse_inventory_name(text) if text else ""


def _contents(entries: Iterable[ObjectInfo], encode: Encode, owners: Owners | None) -> list[str]:
    found: list[str] = []
    for info in entries:
        attributes = info.attributes
        # What a backend calls an ETag may be anything.
        etag = info.etag if info.remote is None else escape(info.etag)
        found.append(
            f"<Contents><Key>{encode(info.key)}</Key>"
            f"<LastModified>{iso_date(info.modified_ns)}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag>{_checksum_elements(info)}"
            f"<Size>{info.size_bytes}</Size>"
            f"{'' if owners is None else owners.element(attributes.owner_id)}"
            f"<StorageClass>{attributes.storage_class}</StorageClass></Contents>"
        )
    return found


def _versions(versions: Iterable[ObjectVersion], encode: Encode, owners: Owners) -> list[str]:
    """Versions and delete markers as they come, in one order."""
    found: list[str] = []
    for version in versions:
        info = version.info
        attributes = info.attributes
        place = (
            f"<Key>{encode(info.key)}</Key><VersionId>{info.version_id}</VersionId>"
            f"<IsLatest>{'true' if version.is_latest else 'false'}</IsLatest>"
            f"<LastModified>{iso_date(info.modified_ns)}</LastModified>"
        )
        owner = owners.element(attributes.owner_id)
        if info.is_delete_marker:
            found.append(f"<DeleteMarker>{place}{owner}</DeleteMarker>")
        else:
            etag = info.etag if info.remote is None else escape(info.etag)
            found.append(
                f"<Version>{place}<ETag>&quot;{etag}&quot;</ETag>{_checksum_elements(info)}"
                f"<Size>{info.size_bytes}</Size>{owner}"
                f"<StorageClass>{attributes.storage_class}</StorageClass></Version>"
            )
    return found


def _checksum_elements(info: ObjectInfo) -> str:
    checksum = info.checksum
    if checksum is None:
        return ""
    return (
        f"<ChecksumAlgorithm>{checksum.algorithm.value}</ChecksumAlgorithm>"
        f"<ChecksumType>{checksum.type.value}</ChecksumType>"
    )
