"""Owns the limits of how often a bucket's backend is asked (`rate_limit.backend.*`): requests wait for their turn, and
those that would wait too long are refused as the backend itself would, with BackendBusy.

A limit holds for a bucket and verb over all processes of the node (`paces`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from backends.wrappers.base import Call, Wrapper
from backends.wrappers.paces import Paces
from core.backends import Backend
from core.configs.native import NativeProps
from core.configs.sections import is_on, number, seconds, text
from core.errors import BackendBusy
from core.types import Bucket

T = TypeVar("T")

_SECTION = "rate_limit.backend."
_MAX_WAIT_S = 10.0
_BURST_SHARE = 0.1
"""How much of an interval's requests may come at once; the rest of them is spread over it."""
_AS = {"copy": "put"}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`per_interval` requests of each verb in `interval_s`, but for the verbs in `per_verb`."""

    interval_s: float
    per_interval: int
    per_verb: tuple[tuple[str, int], ...]
    retries: int

    def spacing_s(self, verb: str) -> float:
        """Seconds between two requests of a verb."""
        verb = _AS.get(verb, verb)
        count = dict(self.per_verb).get(verb, self.per_interval)
        return self.interval_s / max(1, count)


def rate_limit(native: NativeProps) -> RateLimit | None:
    """What the properties of a bucket say; None: no limit."""
    if not native.sections or not is_on(native, _SECTION + "enabled"):
        return None
    return RateLimit(
        interval_s=max(0.001, seconds(native, _SECTION + "interval", 60.0)),
        per_interval=number(native, _SECTION + "max_tokens", 1000),
        per_verb=_per_verb(text(native, _SECTION + "per_op_max_tokens")),
        retries=number(native, _SECTION + "num_retries", 3),
    )


@lru_cache(maxsize=256)
def _per_verb(written: str) -> tuple[tuple[str, int], ...]:
    """As AIStore writes it: `get:5000 delete:1000`. What is none of that is passed over; it was refused when set."""
    limits = []
    for each in written.lower().replace(",", " ").split():
        verb, _, count = each.partition(":")
        if count.isascii() and count.isdecimal() and len(count) < 12:
            limits.append((verb, int(count)))
    return tuple(limits)


class Rated(Wrapper):
    """A bucket's backend at its pace."""

    def __init__(
        self,
        inner: Backend,
        bucket: Bucket,
        limit: RateLimit,
        paces: Paces,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(inner)
        self._bucket = bucket
        self._limit = limit
        self._paces = paces
        self._sleep = sleep

    async def around(self, call: Call, go: Callable[[], Awaitable[T]]) -> T:
        spacing_s = self._limit.spacing_s(call.verb)
        burst_s = max(spacing_s, self._limit.interval_s * _BURST_SHARE)
        name = f"{self._bucket.bucket_id} {_AS.get(call.verb, call.verb)}"
        wait_s = self._paces.take(name, spacing_s, burst_s, _MAX_WAIT_S)
        if wait_s > _MAX_WAIT_S:
            raise BackendBusy(
                provider=self._bucket.ref.provider,
                bucket=call.bucket,
                reason="the bucket's own limit of requests to its backend",
                retry_after_s=max(1, round(wait_s - _MAX_WAIT_S)),
            )
        if wait_s > 0:
            await self._sleep(wait_s)
        return await go()
