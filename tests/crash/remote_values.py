"""Owns what is known of the objects of a crash run with a provider behind: which value each key may have, and whether
what a client saw is one of those that it had while the client looked.

One client at a time changes a key. A change that was not acknowledged may have happened or not, until a read that
begins after it was over tells.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

BLOCK_BYTES = 256
_SETTLES_IN_S = 1.5
"""What was sent to the provider when its sender died is done, or lost, after this time."""


@dataclass(frozen=True, slots=True)
class Value:
    """What an object holds: each block says whose it is, and which, so that no mixture passes for a value."""

    name: str
    number: int
    size_bytes: int
    is_of_parts: bool = False

    def content(self) -> bytes:
        return _content(self)

    def is_seen(self, etag: str, size_bytes: int) -> bool:
        """Whether a record is of this value. ETags of uploads in parts tell nothing of the bytes."""
        if size_bytes != self.size_bytes:
            return False
        return self.is_of_parts or etag.strip('"') == _md5(self)


@lru_cache(8)
def _content(value: Value) -> bytes:
    count = -(-value.size_bytes // BLOCK_BYTES)
    head = f"{value.name}/{value.number}/".encode()
    blocks = b"".join((head + b"%d/" % place).ljust(BLOCK_BYTES, b".") for place in range(count))
    return blocks[: value.size_bytes]


@lru_cache(4096)
def _md5(value: Value) -> str:
    return hashlib.md5(value.content()).hexdigest()


State = Value | None
"""What a key holds; None is no object."""


@dataclass(slots=True, eq=False)
class Look:
    """What a client may see that looks at a key from now on, until it is closed."""

    began: float
    epoch: int
    states: set[State]


@dataclass(slots=True)
class Register:
    """A key. `is_free`: nobody changes it."""

    bucket: str
    key: str
    is_stale: bool = False
    states: set[State] = field(default_factory=lambda: {None})
    epoch: int = 0
    settled_at: float = 0.0
    is_free: bool = True
    looks: set[Look] = field(default_factory=set)


class Book:
    """All keys. In a bucket of `stale` others write behind the front, which does not look: there any value counts that
    was current since the last one that came by way of the front."""

    def __init__(self, keys: dict[str, list[str]], stale: str) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self.registers = {
            (bucket, key): Register(bucket, key, is_stale=bucket == stale)
            for bucket, names in keys.items()
            for key in names
        }

    def new_value(self, register: Register, size_bytes: int, *, is_of_parts: bool = False) -> Value:
        with self._lock:
            self._number += 1
            return Value(register.key, self._number, size_bytes, is_of_parts)

    # --- changing ---

    @contextmanager
    def claimed(self, register: Register) -> Iterator[bool]:
        """Be the one who changes the key; gives whether that may be."""
        with self._lock:
            may = register.is_free and time.monotonic() >= register.settled_at
            if may:
                register.is_free = False
        try:
            yield may
        finally:
            if may:
                with self._lock:
                    register.is_free = True

    @contextmanager
    def changing(
        self, register: Register, state: State, *, is_behind: bool = False
    ) -> Iterator[None]:
        """Around the one request that changes the key, of who has claimed it. It has happened if this ends well."""
        with self._lock:
            register.epoch += 1
            register.states.add(state)
            for look in register.looks:
                look.states.add(state)
        is_done = False
        try:
            yield
            is_done = True
        finally:
            with self._lock:
                register.epoch += 1
                if not is_done:
                    register.settled_at = time.monotonic() + _SETTLES_IN_S
                elif not (is_behind and register.is_stale):
                    register.states = {state}

    def known(self, register: Register) -> Value | None:
        """The key's value, if there can be but one."""
        with self._lock:
            return next(iter(register.states)) if len(register.states) == 1 else None

    # --- looking ---

    @contextmanager
    def looking(self, *registers: Register) -> Iterator[list[Look]]:
        with self._lock:
            now = time.monotonic()
            looks = [Look(now, each.epoch, set(each.states)) for each in registers]
            for register, look in zip(registers, looks, strict=True):
                register.looks.add(look)
        try:
            yield looks
        finally:
            with self._lock:
                for register, look in zip(registers, looks, strict=True):
                    register.looks.discard(look)

    def saw(self, register: Register, look: Look, state: State) -> None:
        """A client saw the whole of a value: nothing else can be there, if nobody has changed it meanwhile."""
        with self._lock:
            is_alone = register.is_free and register.epoch == look.epoch
            if is_alone and not register.is_stale and look.began >= register.settled_at:
                register.states = {state}

    def settle(self, register: Register, state: State) -> None:
        """What is there was looked at while nobody changes anything."""
        with self._lock:
            register.states = {state}


def told(states: set[State]) -> str:
    """For a message."""
    return ", ".join(sorted(name_of(each) for each in states))


def name_of(state: State) -> str:
    return "nothing" if state is None else f"{state.name}#{state.number}:{state.size_bytes}"


def describe(data: bytes, first: int = 0) -> str:
    """Which values the blocks of some bytes are of, for a message."""
    runs: list[str] = []
    at = -first % BLOCK_BYTES
    while at < len(data):
        head = data[at : at + 64].split(b"/")[:2]
        name = b"#".join(head).decode("latin-1")[:60]
        if not runs or runs[-1].split(" from ")[0] != name:
            runs.append(f"{name} from {at + first}")
        at += BLOCK_BYTES
    return f"{len(data)} bytes: {'; '.join(runs[:8])}"
