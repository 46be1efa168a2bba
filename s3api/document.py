"""Owns the reading of request documents (XML): whole, within a cap, and true to the digests that came with them."""

from __future__ import annotations

import asyncio
import hmac

from core.checksums import digest_sync
from core.errors import DigestMismatch, EntityTooLarge
from core.protocols import BodyStream

_INLINE_BYTES = 256 * 1024


async def read_document(body: BodyStream, max_bytes: int) -> bytes:
    """Raises EntityTooLarge past `max_bytes`, DigestMismatch, and whatever the body's iteration raises."""
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in body:
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise EntityTooLarge(size_bytes=size_bytes, max_bytes=max_bytes)
        chunks.append(chunk)
    document = b"".join(chunks)
    for expected in body.expected_digests():
        if len(document) > _INLINE_BYTES:
            actual = await asyncio.to_thread(digest_sync, expected.algorithm, document)
        else:
            actual = digest_sync(expected.algorithm, document)
        if not hmac.compare_digest(actual, expected.digest):
            raise DigestMismatch(
                source=expected.source,
                algorithm=expected.algorithm,
                expected=expected.digest,
                actual=actual,
            )
    return document
