"""Owns the two kinds of destinations of event notifications: a webhook, and a stream of a Redis server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import aiohttp
import redis.asyncio
from redis.exceptions import RedisError

from core.events import PendingEvent
from jobs.event_delivery import Sent

_CONCURRENCY = 16
_MAX_REPLY_BYTES = 64 * 1024


class Webhook:
    """Takes messages by POST, each in a request of its own; a 2xx answer acknowledges it. Messages about different keys
    are sent side by side."""

    def __init__(self, name: str, url: str, authorization: str, timeout_s: float) -> None:
        self.name = name
        self._url = url
        self._headers: Mapping[str, str] = {
            "content-type": "application/json",
            **({"authorization": authorization} if authorization else {}),
        }
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, events: Sequence[PendingEvent]) -> Sent:
        subjects: dict[bytes, list[PendingEvent]] = {}
        for event in events:
            subjects.setdefault(event.subject, []).append(event)
        turns = asyncio.Semaphore(_CONCURRENCY)
        taken: list[PendingEvent] = []
        failures: list[str] = []

        async def send_in_order(queue: Sequence[PendingEvent]) -> None:
            async with turns:
                for event in queue:
                    # When the destination is down, the rest of the batch need not find out one by one.
                    failure = failures[0] if failures else await self._post(event.message)
                    if failure:
                        failures.append(failure)
                        return
                    taken.append(event)

        async with asyncio.TaskGroup() as group:
            for queue in subjects.values():
                group.create_task(send_in_order(queue))
        return Sent(taken, failures[0] if failures else "")

    async def _post(self, message: bytes) -> str:
        """Why it was not taken; "" if it was."""
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        try:
            async with self._session.post(self._url, data=message, allow_redirects=False) as reply:
                # Read, so that the connection can be used again; whatever more comes is cut off with it.
                await reply.content.read(_MAX_REPLY_BYTES)
                return "" if 200 <= reply.status < 300 else f"status {reply.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{type(error).__name__} {error}"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class RedisStream:
    """Takes messages as entries of a stream, in the field `event`, in the order in which they come."""

    def __init__(self, name: str, url: str, stream: str, timeout_s: float) -> None:
        self.name = name
        self._stream = stream
        self._client = redis.asyncio.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )

    async def send(self, events: Sequence[PendingEvent]) -> Sent:
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for event in events:
                    pipeline.xadd(self._stream, {"event": event.message})
                results = await pipeline.execute(raise_on_error=False)
        except (RedisError, TimeoutError, OSError) as error:
            return Sent((), f"{type(error).__name__} {error}")
        for place, result in enumerate(results):
            if isinstance(result, Exception):
                return Sent(events[:place], f"{type(result).__name__} {result}")
        return Sent(events)

    async def close(self) -> None:
        await self._client.aclose()
