"""The destinations of events against servers of this process: what counts as taken, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.events import PendingEvent
from jobs.event_destinations import RedisStream, Webhook


class Hook:
    """An HTTP server that answers each body as `statuses` says, and 200 otherwise."""

    def __init__(self) -> None:
        self.statuses: dict[bytes, int] = {}
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                (length,) = [line.split()[1] for line in lines if line.startswith(b"content-len")]
                body = await reader.readexactly(int(length))
                self.heads.append(head)
                status = self.statuses.get(body, 200)
                if status == 200:
                    self.bodies.append(body)
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hooked() -> AsyncIterator[tuple[Hook, Webhook]]:
    hook = Hook()
    server = await asyncio.start_server(hook.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    webhook = Webhook("hooks", f"http://127.0.0.1:{port}/", "Bearer x", 10)
    try:
        yield hook, webhook
    finally:
        await webhook.close()
        server.close()
        await server.wait_closed()


def events(*texts: str) -> list[PendingEvent]:
    """Each about the key that is its first letter."""
    return [
        PendingEvent(0, number, text[:1].encode(), text.encode())
        for number, text in enumerate(texts)
    ]


def test_webhook_takes_all() -> None:
    async def run() -> None:
        async with hooked() as (hook, webhook):
            sent = await webhook.send(events("a1", "b1", "a2", "a3"))
            assert not sent.failure
            assert len(sent.taken) == 4
            assert [body for body in hook.bodies if body.startswith(b"a")] == [b"a1", b"a2", b"a3"]
            assert b"authorization: bearer x\r\n" in hook.heads[0].lower()

    asyncio.run(run())


def test_webhook_sends_nothing_of_a_key_behind_a_refusal() -> None:
    async def run() -> None:
        async with hooked() as (hook, webhook):
            hook.statuses = {b"a2": 500}
            batch = events("a1", "a2", "a3")
            sent = await webhook.send(batch)
            assert (sent.taken, sent.failure) == (batch[:1], "status 500")
            assert hook.bodies == [b"a1"]

    asyncio.run(run())


def test_a_redirect_is_no_acknowledgement() -> None:
    async def run() -> None:
        async with hooked() as (hook, webhook):
            hook.statuses = {b"a1": 302}
            assert (await webhook.send(events("a1"))).failure == "status 302"

    asyncio.run(run())


def test_nobody_listens() -> None:
    async def run() -> None:
        webhook = Webhook("hooks", "http://127.0.0.1:1/", "", 10)
        stream = RedisStream("stream", "redis://127.0.0.1:1", "s3", 10)
        for destination in (webhook, stream):
            sent = await destination.send(events("a1"))
            assert not sent.taken
            assert sent.failure
            await destination.close()

    asyncio.run(run())
