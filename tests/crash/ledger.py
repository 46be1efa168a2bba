"""Owns what the server was asked and what it acknowledged, and so what it may hold now.

Every write of a key is an intent with a begin and, if it was acknowledged, an end. A state may be what the key holds
unless an acknowledged write began after the state's own write had ended. A write without an end may have taken effect
or not: a server that died is free to have done either, but nothing between.
"""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.crash.values import NEVER, State, Value
from tests.crash.version_ledger import VersionLedger


@dataclass(slots=True)
class Intent:
    """A write that was sent. `end` is NEVER until it is acknowledged."""

    key: str
    state: State
    begin: int
    end: int = NEVER


@dataclass(slots=True)
class OpenUpload:
    """A multipart upload that the server acknowledged, and the parts of it that it acknowledged (ETags by number)."""

    key: str
    upload_id: str
    value: Value
    etags: dict[int, str] = field(default_factory=dict)


class Ledger:
    """All keys of one bucket, and of a second with versions. Safe for threads."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.acknowledged = 0
        self.uploads: dict[str, OpenUpload] = {}
        self.versions = VersionLedger()
        self._lock = threading.Lock()
        self._ticks = itertools.count(1)
        self._numbers = itertools.count(1)
        self._history: dict[str, list[Intent]] = defaultdict(list)
        self._touched: set[str] = set()

    def new_value(self, size_bytes: int) -> Value:
        return Value(self.seed, next(self._numbers), size_bytes)

    def retag(self, value: Value) -> Value:
        """The same bytes with metadata of its own."""
        return replace(value, tag=next(self._numbers))

    def begin(self, key: str, state: State) -> Intent:
        with self._lock:
            intent = Intent(key, state, next(self._ticks))
            self._history[key].append(intent)
            self._touched.add(key)
            return intent

    def acknowledge(self, intents: Iterable[Intent]) -> None:
        with self._lock:
            now = next(self._ticks)
            for intent in intents:
                intent.end = now
                self.acknowledged += 1
                self._forget_superseded(intent.key)

    def refuse(self, intents: Iterable[Intent]) -> None:
        """The server answered that it changed nothing."""
        with self._lock:
            for intent in intents:
                self._history[intent.key].remove(intent)

    def possible(self, key: str) -> list[State]:
        """What the key may hold, if no write is on its way."""
        with self._lock:
            history = self._history.get(key)
            if not history:
                return [None]
            states = [intent.state for intent in history]
            if all(intent.end == NEVER for intent in history):
                states.append(None)
            return states

    def settle(self, key: str, state: State) -> None:
        """The key was seen to hold this, when no write was on its way."""
        with self._lock:
            now = next(self._ticks)
            self._history[key] = [Intent(key, state, now, now)]

    def keys(self) -> list[str]:
        with self._lock:
            return sorted(self._history)

    def take_touched(self) -> set[str]:
        """The keys written since the last call."""
        with self._lock:
            touched, self._touched = self._touched, set()
            return touched

    def _forget_superseded(self, key: str) -> None:
        history = self._history[key]
        latest = max(intent.begin for intent in history if intent.end != NEVER)
        self._history[key] = [intent for intent in history if intent.end >= latest]
