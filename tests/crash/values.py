"""Owns what is written in a crash run: bytes that prove themselves."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Value:
    """What an object holds: bytes that follow from the seed, the number and the size, so that they prove themselves.

    `tag` is its user metadata, which a copy onto itself changes while the bytes stay; 0 is none.
    """

    seed: int
    number: int
    size_bytes: int
    tag: int = 0

    def content(self) -> bytes:
        return random.Random(f"{self.seed}/{self.number}").randbytes(self.size_bytes)

    def md5(self) -> str:
        return hashlib.md5(self.content()).hexdigest()


State = Value | None
"""What a key holds; None is no object."""
