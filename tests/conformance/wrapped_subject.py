"""Owns the conformance of a backend behind all wrappers, whose faults are on but never happen."""

from __future__ import annotations

from backends.wrappers.faults import Faults
from backends.wrappers.retry import RetryPolicy
from backends.wrappers.stack import Shared, wrap
from core.accounts import Account
from core.backends import Backend
from tests.conformance.memory_subject import MemorySubject


class WrappedSubject(MemorySubject):
    """The reference behind the wrappers: none of them changes what a backend is."""

    async def open(self) -> None:
        await super().open()
        self._memory = self.backend
        self.backend = self._wrapped(self._memory)  # type: ignore[assignment]

    async def new_bucket(self) -> str:
        wrapped, self.backend = self.backend, self._memory
        try:
            return await super().new_bucket()
        finally:
            self.backend = wrapped

    async def denied(self) -> Backend:
        return self._wrapped(await super().denied())

    async def down(self) -> Backend:
        return self._wrapped(await super().down())

    def open_connections(self) -> int:
        return self._memory.faults.open_readers

    def _wrapped(self, backend: Backend) -> Backend:
        policy = RetryPolicy(tries=2, base_s=0.0001, cap_s=0.0001)
        return wrap(backend, Account("aws"), Shared(policy=policy), Faults())
