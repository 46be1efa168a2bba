"""Owns how an open object leaves as ASGI messages: from memory, by sendfile, or chunk by chunk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from core.protocols import ObjectReader

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_reader(reader: ObjectReader, start: dict[str, Any], scope: Scope, send: Send) -> int:
    """Send the head of a response and a reader's bytes; returns their count. Closes the reader whatever happens."""
    try:
        data = reader.data
        await send(start)
        if data is not None:
            await send({"type": "http.response.body", "body": data})
        elif reader.has_slices and "http.response.zerocopysend" in scope.get("extensions", ()):
            await _send_slices(reader, send)
        else:
            async for chunk in reader:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        return reader.length
    finally:
        await reader.close()


async def _send_slices(reader: ObjectReader, send: Send) -> None:
    while (part := await reader.next_slice()) is not None:
        if isinstance(part, bytes):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            continue
        await send(
            {
                "type": "http.response.zerocopysend",
                "file": part.fd,
                "offset": part.offset,
                "count": part.size_bytes,
                "more_body": True,
            }
        )
    await send({"type": "http.response.body", "body": b""})
