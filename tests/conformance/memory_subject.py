"""Owns the conformance of the backend in memory."""

from __future__ import annotations

from backends.memory_backend import MemoryBackend
from core.backends import Backend
from core.errors import BackendDenied, BackendDown
from tests.conformance.subject import Subject, new_name


class MemorySubject(Subject):
    """The reference."""

    backend: MemoryBackend

    async def open(self) -> None:
        self.backend = MemoryBackend()

    async def new_bucket(self) -> str:
        name = new_name()
        self.backend.add_bucket(name)
        return name

    async def denied(self) -> Backend:
        other = MemoryBackend()
        error = BackendDenied(provider="aws", bucket="", reason="made to")
        other.faults.fail("*", error, times=-1)
        return other

    async def down(self) -> Backend:
        other = MemoryBackend()
        error = BackendDown(provider="aws", bucket="", reason="made to", retry_after_s=1)
        other.faults.fail("*", error, times=-1)
        return other

    def open_connections(self) -> int:
        return self.backend.faults.open_readers
