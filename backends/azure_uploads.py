"""Owns multipart uploads to Azure, which knows none: blocks that are staged under a blob's name, of which a list is
committed. What the service does not keep of an upload is in the upload's id and in the ids of its blocks.

A part is staged as one block, or several where it is larger than a block may be. The id of a block says which upload,
part and try of the part it is of, and which of how many; so it can be told from the service's list of blocks alone what
an upload has, and a part that was tried again counts by its last try that came to its end.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.backends import BackendPart
from core.errors import InvalidPart, NoSuchUpload
from core.types import ObjectAttributes

MAX_BLOCK_BYTES = 4000 * 1024**2
_MAX_ID_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class BlockId:
    """The id of a block; all have the same length, as the service wants it, and are plain in
    base64 and URLs."""

    nonce: str
    part_number: int
    attempt: str
    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.nonce}{self.part_number:05d}{self.attempt}{self.index:02d}{self.count:03d}"


def new_upload_id(attributes: ObjectAttributes) -> str:
    """The id of a new upload, which holds the attributes that the object is to have."""
    said = json.dumps([dict(attributes.headers), dict(attributes.user_metadata)])
    packed = base64.urlsafe_b64encode(zlib.compress(said.encode())).decode()
    return f"{secrets.token_hex(8)}.{packed}"


def attributes_of_upload(upload_id: str) -> ObjectAttributes:
    """What `new_upload_id` was given. Raises NoSuchUpload for what is none of its ids."""
    try:
        packed = base64.urlsafe_b64decode(upload_id.partition(".")[2].encode())
        unpacked = zlib.decompressobj().decompress(packed, _MAX_ID_BYTES)
        headers, metadata = json.loads(unpacked)
        return ObjectAttributes(headers=dict(headers), user_metadata=dict(metadata))
    except (ValueError, TypeError, zlib.error):
        raise NoSuchUpload(upload_id=upload_id) from None


def new_blocks(upload_id: str, part_number: int, size_bytes: int) -> list[BlockId]:
    """The ids for a try of a part; none for an empty one."""
    count = -(-size_bytes // MAX_BLOCK_BYTES)
    # By the clock, so that a later try is known as such.
    attempt = f"{time.time_ns() // 1000 % 10**16:016d}"
    nonce = _nonce(upload_id)
    return [BlockId(nonce, part_number, attempt, index, count) for index in range(count)]


def token_of(blocks: Sequence[BlockId]) -> str:
    """What completing an upload names a part by."""
    return f"{blocks[0].attempt}-{blocks[0].count}" if blocks else "0-0"


def chosen_blocks(upload_id: str, parts: Sequence[BackendPart], staged: Iterable[str]) -> list[str]:
    """The ids of the blocks that make the object. `staged`: what the service has under the blob's name. Raises
    NoSuchUpload where it has nothing of the upload, InvalidPart for a part that is not there, or is another by now."""
    nonce = _nonce(upload_id)
    tries = _tries(nonce, staged)
    if not tries and any(part.size_bytes for part in parts):
        raise NoSuchUpload(upload_id=upload_id)
    found: list[str] = []
    for part in parts:
        attempt, _, count = part.token.partition("-")
        if attempt == "0" and part.size_bytes == 0:
            continue
        if tries.get(part.part_number) != attempt or not count.isdecimal():
            raise InvalidPart(part_number=part.part_number, upload_id=upload_id, etag=part.token)
        ids = (
            BlockId(nonce, part.part_number, attempt, at, int(count)) for at in range(int(count))
        )
        found.extend(map(str, ids))
    return found


def _tries(nonce: str, staged: Iterable[str]) -> Mapping[int, str]:
    """Of each part of an upload the last try of which all blocks are there."""
    blocks: dict[tuple[int, str], set[int]] = {}
    counts: dict[tuple[int, str], int] = {}
    for text in staged:
        if len(text) != 42 or not text.startswith(nonce) or not text[16:].isdecimal():
            continue
        number, attempt = int(text[16:21]), text[21:37]
        blocks.setdefault((number, attempt), set()).add(int(text[37:39]))
        counts[number, attempt] = int(text[39:42])
    last: dict[int, str] = {}
    for (number, attempt), indexes in blocks.items():
        if len(indexes) == counts[number, attempt] and attempt > last.get(number, ""):
            last[number] = attempt
    return last


def _nonce(upload_id: str) -> str:
    nonce = upload_id.partition(".")[0]
    if len(nonce) != 16 or not nonce.isalnum():
        raise NoSuchUpload(upload_id=upload_id)
    return nonce
