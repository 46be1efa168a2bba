"""Owns DeleteObjects: up to 1,000 keys in one request, each with an outcome of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from core.errors import StoreError
from core.names import parse_object_key
from core.types import DeleteItem, DeleteResult
from s3api.call import Call, Response
from s3api.errors import shown
from s3api.headers import delete_conditions_of
from s3api.protocol_errors import InvalidRequest, MalformedXML
from s3api.xml import XML_TYPE, children, document, element, escape, optional, parse, texts

MAX_KEYS = 1000

Outcome = DeleteResult | Exception


@dataclass(slots=True)
class _Entry:
    """One object of the list: what was asked, what it means, and what came of it."""

    key: str
    version_id: str
    item: DeleteItem | None = None
    outcome: Outcome | None = None


async def delete_objects(call: Call) -> Response:
    _check_has_digest(call)
    entries, is_quiet = await parse(call.document, "Delete", _read)
    wanted = [
        (entry, entry.item)
        for entry in entries
        if entry.item is not None and await _is_authorized(call, entry, entry.item)
    ]
    if wanted:
        items = [item for _, item in wanted]
        results = await call.store.delete_many(call.target_bucket, items)
        for (entry, _), result in zip(wanted, results, strict=True):
            entry.outcome = result
    return Response(200, [XML_TYPE], _result(entries, is_quiet))


def _check_has_digest(call: Call) -> None:
    """A list of what to delete must not arrive damaged: S3 demands a digest of it. Raises InvalidRequest."""
    headers = call.request.headers
    if "content-md5" in headers or "x-amz-trailer" in headers:
        return
    if not any(name.startswith("x-amz-checksum-") for name in headers):
        raise InvalidRequest(reason="Missing required header for this request: Content-MD5")


def _read(request: Element) -> tuple[list[_Entry], bool]:
    """The entries, and whether the caller wants to hear of errors only. Raises MalformedXML."""
    entries = [_entry(texts(node)) for node in children(request, "Object")]
    if not 1 <= len(entries) <= MAX_KEYS:
        raise MalformedXML(reason=f"{len(entries)} objects")
    return entries, texts(request).get("Quiet", "").strip().lower() == "true"


def _entry(fields: dict[str, str]) -> _Entry:
    entry = _Entry(fields.get("Key", ""), fields.get("VersionId", ""))
    if not entry.key:
        raise MalformedXML(reason="an object without a key")
    try:
        key = parse_object_key(entry.key.encode())
        conditions = delete_conditions_of(
            fields.get("ETag"), fields.get("LastModifiedTime"), fields.get("Size")
        )
    except StoreError as error:
        entry.outcome = error
    else:
        entry.item = DeleteItem(key, entry.version_id or None, conditions)
    return entry


async def _is_authorized(call: Call, entry: _Entry, item: DeleteItem) -> bool:
    assert call.authorize is not None
    try:
        await call.authorize("s3:DeleteObject", call.target_bucket, item.key, call.identity)
    except StoreError as error:
        entry.outcome = error
        return False
    return True


def _result(entries: Sequence[_Entry], is_quiet: bool) -> bytes:
    lines: list[str] = []
    for entry in entries:
        outcome = entry.outcome
        name = f"<Key>{escape(entry.key)}</Key>" + optional("VersionId", entry.version_id)
        if isinstance(outcome, Exception):
            said = shown(outcome)
            lines.append(
                f"<Error>{name}{element('Code', said.code)}"
                f"{element('Message', said.message)}</Error>"
            )
        elif not is_quiet:
            marker = ""
            if outcome is not None and outcome.is_delete_marker:
                marker = "<DeleteMarker>true</DeleteMarker>" + optional(
                    "DeleteMarkerVersionId", outcome.version_id
                )
            lines.append(f"<Deleted>{name}{marker}</Deleted>")
    return document("DeleteResult", *lines)
