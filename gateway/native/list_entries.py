"""Owns how native clients see what a listing found: entries by their short keys, and whole answers in both forms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgpack

from core.types import ObjectInfo
from gateway.native.object_headers import checksum_headers

Entry = dict[str, Any]
"""An entry as msgpack has it. n: name, s: size, cs: checksum, a: time, v: version, t: location, m: custom metadata,
c: copies, f: flags."""

PRESENT = 1 << 6
IN_ARCHIVE = 1 << 7
DIRECTORY = 1 << 8
ARCHIVE = 1 << 9
CHANGED = 1 << 10
REMOVED = 1 << 11
UNVERIFIED = 1 << 12
CHUNKED = 1 << 13

_JSON_KEYS = {
    "n": "name",
    "s": "size",
    "cs": "checksum",
    "a": "atime",
    "v": "version",
    "t": "location",
    "m": "custom-md",
    "c": "copies",
    "f": "flags",
}
_NS_PER_S = 10**9
# Layouts as Go writes them, which clients name, → ours.
_TIME_FORMATS = {
    "": "%d %b %y %H:%M UTC",
    "02 Jan 06 15:04 MST": "%d %b %y %H:%M UTC",
    "2006-01-02T15:04:05Z07:00": "%Y-%m-%dT%H:%M:%SZ",
    "Mon, 02 Jan 2006 15:04:05 MST": "%a, %d %b %Y %H:%M:%S UTC",
    "2006-01-02 15:04:05": "%Y-%m-%d %H:%M:%S",
}

MakeEntry = Callable[[ObjectInfo], Entry]


def entry_maker(props: frozenset[str], time_format: str, node_id: str) -> MakeEntry:
    """What makes entries with these properties; the most asked for ones in one step."""
    if "size" not in props and props <= {"name"}:
        return _named
    if props <= {"name", "size", "cached", "status"}:
        return _sized if "size" in props else _named
    location = f"t[{node_id}]" if "location" in props else ""
    layout = _TIME_FORMATS.get(time_format, _TIME_FORMATS[""]) if "atime" in props else ""

    def make(info: ObjectInfo) -> Entry:
        entry = _sized(info) if "size" in props else _named(info)
        if "checksum" in props and (checksum := _checksum(info)):
            entry["cs"] = checksum
        if layout and info.is_cached:
            entry["a"] = _time_text(info.modified_ns // _NS_PER_S, layout)
        if "version" in props and (version := _version(info)):
            entry["v"] = version
        if location and info.is_cached:
            entry["t"] = location
        if custom := _custom(info, props):
            entry["m"] = custom
        if "copies" in props and info.is_cached:
            entry["c"] = 1
        if "chunked" in props and info.chunks is not None:
            entry["f"] |= CHUNKED
        return entry

    return make


def _named(info: ObjectInfo) -> Entry:
    return {"n": info.key, "f": PRESENT if info.is_cached else 0}


def _sized(info: ObjectInfo) -> Entry:
    return {"n": info.key, "s": info.size_bytes, "f": PRESENT if info.is_cached else 0}


def _checksum(info: ObjectInfo) -> str:
    if info.remote is not None and info.remote.md5:
        return info.remote.md5.hex()
    headers = checksum_headers(info)
    return headers[1][1].decode() if headers else ""


def _version(info: ObjectInfo) -> str:
    """The provider's, if it tells one; of our own objects, how often they were written."""
    if info.remote is not None:
        return info.remote.version_id
    return str(info.generation) if info.is_cached else ""


def _custom(info: ObjectInfo, props: frozenset[str]) -> str:
    """User metadata, and what AIStore keeps among it; of an object that lives elsewhere, what its backend says too."""
    pairs: list[tuple[str, str]] = []
    is_all = False
    if "custom" in props:
        pairs += info.attributes.user_metadata.items()
        if info.remote is not None:
            is_all = True
            pairs.append(("source", info.remote.provider))
    if "etag" in props or is_all:
        pairs.append(("ETag", info.etag))
    if "last-modified" in props or is_all:
        pairs.append(("LastModified", _time_text(info.modified_ns // _NS_PER_S, _RFC_3339)))
    return f"[{' '.join(f'{name}:{value}' for name, value in pairs)}]" if pairs else ""


_RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"


@lru_cache(maxsize=4096)
def _time_text(seconds: int, layout: str) -> str:
    return time.strftime(layout, time.gmtime(seconds))


def directory_entry(name: str) -> Entry:
    """A virtual directory; its name ends in "/"."""
    return {"n": name, "f": DIRECTORY}


def answer_sync(
    entries: Iterable[Entry], uuid: str, token: str, *, as_msgpack: bool
) -> tuple[bytes, bytes]:
    """The content type and the body. Takes a while for many entries, so that is for a thread."""
    if as_msgpack:
        body = {
            "UUID": uuid,
            "ContinuationToken": token,
            "Flags": 0,
            "Entries": list(entries),
        }
        packed: bytes = msgpack.packb(body)
        return b"application/msgpack", packed
    return b"application/json", json.dumps(
        {
            "uuid": uuid,
            "continuation_token": token,
            "flags": 0,
            "entries": [_json_entry(entry) for entry in entries],
        }
    ).encode()


def _json_entry(entry: Entry) -> Mapping[str, Any]:
    """Sizes are text in JSON, as all 64-bit numbers of the native API."""
    return {_JSON_KEYS[key]: str(value) if key == "s" else value for key, value in entry.items()}


def ordered(entries: Sequence[Entry], directories: Sequence[str]) -> Sequence[Entry]:
    """Entries of objects and of virtual directories in one order of names."""
    if not directories:
        return entries
    # By code points, which is the order of the names' bytes too.
    return sorted([*entries, *map(directory_entry, directories)], key=lambda entry: str(entry["n"]))
