"""Owns what must be known of a provider's endpoint to send it a request that somebody else has signed
(backends.presigned)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reach:
    """Where an account's requests go. `is_amazon`: to Amazon's own hosts. `ca_file`: who is trusted to be there."""

    url: str
    is_amazon: bool
    ca_file: str = ""


class Reachable(Protocol):
    """A backend whose provider takes presigned requests."""

    async def reach(self) -> Reach: ...
