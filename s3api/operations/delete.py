"""Owns DeleteObjects: up to 1,000 keys in one request, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from core import access
from core.deletion import DeleteItem, DeleteResult
from core.errors import StoreError
from core.names import parse_object_key
from s3api.call import Call, Response
from s3api.errors import shown
from s3api.headers import delete_conditions_of
from s3api.lock_headers import check_has_digest
from s3api.operations.guarded import asks_bypass, may_bypass
from s3api.parameters import check_version_id
from s3api.protocol_errors import MalformedXML
from s3api.server_log import BATCH_DELETE, LogEntry
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
    check_has_digest(call.request.headers)
    entries, is_quiet = await parse(call.document, "Delete", _read)
    wanted = [
        (entry, entry.item)
        for entry in entries
        if entry.item is not None and await _is_authorized(call, entry, entry.item)
    ]
    if not asks_bypass(call):
        await _delete(call, wanted, bypass_governance=False)
    else:
        # The permission is one of each key.
        may = [await may_bypass(call, item.key) for _, item in wanted]
        pairs = list(zip(wanted, may, strict=True))
        await _delete(call, [each for each, yes in pairs if yes], bypass_governance=True)
        await _delete(call, [each for each, yes in pairs if not yes], bypass_governance=False)
    if call.request.log_entries is not None:
        call.request.log_entries += [_log_entry(call, entry) for entry in entries]
    return Response(200, [XML_TYPE], _result(entries, is_quiet))


def _log_entry(call: Call, entry: _Entry) -> LogEntry:
    """What a server access log says of one of the keys, beside the request as a whole."""
    made = LogEntry(call, call.target_bucket, entry.key, BATCH_DELETE, 204)
    made.version_id = entry.version_id
    if isinstance(entry.outcome, Exception):
        said = shown(entry.outcome)
        made.status, made.code = said.status, said.code
    return made


async def _delete(
    call: Call, wanted: Sequence[tuple[_Entry, DeleteItem]], *, bypass_governance: bool
) -> None:
    """Delete what is wanted, and note the outcomes."""
    if not wanted:
        return
    results = await call.store.delete_many(
        call.target_bucket, [item for _, item in wanted], bypass_governance=bypass_governance
    )
    for (entry, _), result in zip(wanted, results, strict=True):
        entry.outcome = result


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
        if entry.version_id:
            check_version_id(entry.version_id, "VersionId")
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
    if not access.is_plain(call.identity, call.target_bucket):
        # A policy may take milliseconds to answer, and is asked up to 1,000 times here.
        await asyncio.sleep(0)
    try:
        await call.authorize(call, "s3:DeleteObject", item.key, version_id=item.version_id)
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
