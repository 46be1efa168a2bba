"""Owns the buffered form of a batch: the archive waits in a file without a name until what became of each item is
known, and follows that in a multipart body."""

from __future__ import annotations

import asyncio
import errno
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import EntityTooLarge, OutOfSpace
from gateway.batch.request import BatchRequest

_IN_MEMORY_BYTES = 1024 * 1024
_BLOCK_BYTES = 256 * 1024
_RETRY_AFTER_S = 10.0


class Spool:
    """Bytes that wait: few in memory, more in a file that is gone with this process."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=str(directory))  # noqa: SIM115
        self.size_bytes = 0

    async def write(self, block: bytes) -> None:
        """Raises EntityTooLarge, OutOfSpace."""
        self.size_bytes += len(block)
        if self.size_bytes > self._max_bytes:
            raise EntityTooLarge(size_bytes=self.size_bytes, max_bytes=self._max_bytes)
        try:
            if self.size_bytes <= _IN_MEMORY_BYTES:
                self._file.write(block)
            else:
                await asyncio.to_thread(self._file.write, block)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OutOfSpace(mountpath="spool", retry_after_s=_RETRY_AFTER_S) from error

    async def blocks(self) -> AsyncIterator[bytes]:
        """What was written."""
        self._file.seek(0)
        while block := await asyncio.to_thread(self._file.read, _BLOCK_BYTES):
            yield block

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around the archive."""

    content_type: bytes
    head: bytes
    tail: bytes


def make_envelope(metadata: bytes, archive_type: bytes) -> Envelope:
    """A boundary of 128 random bits is not in the archive: clients split the body wherever it occurs."""
    boundary = secrets.token_hex(16).encode()
    head = (
        b'--%b\r\nContent-Disposition: form-data; name="metadata"\r\n'
        b"Content-Type: application/json\r\n\r\n%b\r\n"
        b'--%b\r\nContent-Disposition: form-data; name="archive"; filename="archive"\r\n'
        b"Content-Type: %b\r\n\r\n"
    ) % (boundary, metadata, boundary, archive_type)
    return Envelope(b"multipart/mixed; boundary=" + boundary, head, b"\r\n--%b--\r\n" % boundary)


def describe_outcomes(
    batch_id: str, request: BatchRequest, told: Sequence[tuple[int, str]]
) -> bytes:
    """The metadata: of each item, in order, what was asked for, its size, and why it is missing if it is."""
    out: list[dict[str, Any]] = []
    for number, (item, (size_bytes, reason)) in enumerate(zip(request.items, told, strict=True)):
        entry: dict[str, Any] = {
            "objname": item.key,
            "bucket": item.bucket.ref.name,
            "provider": item.bucket.ref.provider,
            "size": size_bytes,
        }
        if item.member:
            entry["archpath"] = item.member
        if (opaque := request.opaques.get(number)) is not None:
            entry["opaque"] = opaque
        if reason:
            entry["err_msg"] = reason
        out.append(entry)
    return json.dumps({"uuid": batch_id, "out": out}).encode()
