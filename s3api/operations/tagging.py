"""Owns the operations on the tags of objects and buckets, and their document (rules: core.tags)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from core.configs.native import tagged_props
from core.tags import HEADER, bucket_tags, object_tags
from core.types import BucketProps, ObjectChanges
from s3api.call import Call, Response
from s3api.operations.guarded import authorize_document
from s3api.parameters import version_id
from s3api.protocol_errors import MalformedXML, NoSuchTagSet
from s3api.response_headers import version_headers
from s3api.xml import XML_TYPE, children, document, element, parse, texts

_NO_TAGS: Mapping[str, str] = {}


# --- objects -----------------------------------------------------------------------------------------------------


async def get_object_tagging(call: Call) -> Response:
    info = await call.store.head_with_tags(
        call.target_bucket, call.target_key, version_id=version_id(call.request.query)
    )
    return Response(
        200, [XML_TYPE, *version_headers(call.target_bucket, info)], _document(info.attributes.tags)
    )


async def put_object_tagging(call: Call) -> Response:
    tags = await read_object_tags(call.document)
    await authorize_document(call, "s3:PutObjectTagging", {HEADER: urlencode(tags)})
    return await _set_object_tags(call, 200, tags)


async def delete_object_tagging(call: Call) -> Response:
    return await _set_object_tags(call, 204, _NO_TAGS)


async def _set_object_tags(call: Call, status: int, tags: Mapping[str, str]) -> Response:
    info = await call.store.update_object(
        call.target_bucket,
        call.target_key,
        ObjectChanges(tags=tags),
        version_id=version_id(call.request.query),
    )
    return Response(status, version_headers(call.target_bucket, info))


# --- buckets -----------------------------------------------------------------------------------------------------


async def get_bucket_tagging(call: Call) -> Response:
    tags = call.target_bucket.props.tags
    if not tags:
        raise NoSuchTagSet(bucket=call.target_bucket.name)
    return Response(200, [XML_TYPE], _document(tags))


async def put_bucket_tagging(call: Call) -> Response:
    tags = bucket_tags(await parse(call.document, "Tagging", _pairs))
    return await _set_bucket_tags(call, tags)


async def delete_bucket_tagging(call: Call) -> Response:
    return await _set_bucket_tags(call, _NO_TAGS)


async def _set_bucket_tags(call: Call, tags: Mapping[str, str]) -> Response:
    def change(props: BucketProps) -> BucketProps:
        return replace(props, tags=tags, native=tagged_props(props.native, props.tags, tags))

    await call.store.update_bucket_props(call.target_bucket, change)
    return Response(204)


# --- document ----------------------------------------------------------------------------------------------------


async def read_object_tags(source: bytes) -> Mapping[str, str]:
    """The tags of a Tagging document for an object. Raises MalformedXML, InvalidTag."""
    return object_tags(await parse(source, "Tagging", _pairs))


def _pairs(root: Element) -> list[tuple[str, str]]:
    """Raises MalformedXML."""
    sets = list(children(root, "TagSet"))
    if len(sets) != 1:
        raise MalformedXML(reason=f"{len(sets)} tag sets")
    pairs = []
    for tag in children(sets[0], "Tag"):
        fields = texts(tag)
        if "Key" not in fields or "Value" not in fields:
            raise MalformedXML(reason="a tag without key or value")
        pairs.append((fields["Key"], fields["Value"]))
    return pairs


def _document(tags: Mapping[str, str]) -> bytes:
    listed = "".join(
        f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags.items()
    )
    return document("Tagging", f"<TagSet>{listed}</TagSet>")
