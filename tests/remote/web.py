"""Owns a small web on loopback for the tests of downloads, served beside the test by a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unit.jobs.web_server import SmallWeb, small_web


@contextmanager
def served_web() -> Iterator[SmallWeb]:
    """Up while the context lasts."""
    ready: list[SmallWeb] = []
    is_up, is_over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with small_web() as server:
            ready.append(server)
            is_up.set()
            await asyncio.to_thread(is_over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert is_up.wait(20)
    try:
        yield ready[0]
    finally:
        is_over.set()
        thread.join(20)
