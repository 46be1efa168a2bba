"""Owns what the conformance suite of core.backends.Backend runs over: a Subject, one an adapter and counterpart.

Add one: subclass Subject in a module of its own and name it in tests.conformance.subjects.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

import pytest

from core.backends import Backend, BackendReader
from core.names import ObjectKey
from core.types import ByteRange, ObjectAttributes
from tests.contract.world import Body

T = TypeVar("T")


class Subject:
    """A backend under test, and what surrounds it.

    `cannot`: what this counterpart (or provider) can't do by its nature, and the reason; the tests that need it are
    skipped with that reason. Its words are the arguments of `need`.
    """

    backend: Backend
    cannot: Mapping[str, str] = {}
    missing_bucket = "conformance-no-such-bucket"

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def need(self, *what: str) -> None:
        """Skip the test where the subject can't do one of these."""
        for each in what:
            if each in self.cannot:
                pytest.skip(f"{type(self).__name__} cannot {each}: {self.cannot[each]}")

    # --- what a subject makes its own ---

    async def open(self) -> None:
        """Make `backend`. Called once, in the subject's event loop."""

    async def new_bucket(self) -> str:
        """An empty bucket that nobody else uses. Where none can be made: a new prefix is not enough; skip."""
        raise NotImplementedError

    async def place(
        self,
        bucket: str,
        name: str,
        data: bytes,
        attributes: ObjectAttributes = ObjectAttributes(),  # noqa: B008  # frozen
    ) -> None:
        """Have an object at the provider. Those that can't write by their adapter do it behind its back."""
        await self.backend.put(bucket, ObjectKey(name), Body(data), attributes)

    async def denied(self) -> Backend:
        """A backend of the same provider with credentials that are none. Skips where there is no such thing."""
        pytest.skip("nobody is denied here")

    async def down(self) -> Backend:
        """A backend of the same kind where nobody listens."""
        pytest.skip("it can't be down")

    def open_connections(self) -> int:
        """How many connections the backend holds that are in use: not given back by who had them."""
        return 0

    async def close(self) -> None:
        """Close `backend` and what else was opened."""
        await self.backend.close()

    def end(self) -> None:
        """The last call."""
        self.run(self.close())
        self._runner.close()


def key(name: str) -> ObjectKey:
    return ObjectKey(name)


def new_name() -> str:
    """A name for a bucket that no other has."""
    return f"conformance-{secrets.token_hex(6)}"


async def read_all(reader: BackendReader) -> bytes:
    """All that a reader gives, which is then closed."""
    try:
        chunks = [chunk async for chunk in reader]
    finally:
        await reader.close()
    assert all(0 < len(chunk) <= 1024**2 for chunk in chunks)
    assert sum(len(chunk) for chunk in chunks) == reader.length
    return b"".join(chunks)


async def read(
    backend: Backend, bucket: str, name: str, byte_range: ByteRange | None = None
) -> bytes:
    return await read_all(await backend.open(bucket, key(name), byte_range=byte_range))


async def put(
    backend: Backend,
    bucket: str,
    name: str,
    data: bytes,
    attributes: ObjectAttributes = ObjectAttributes(),  # noqa: B008  # frozen
) -> str:
    """Write an object and give its remote ETag."""
    info = await backend.put(bucket, key(name), Body(data), attributes)
    assert info.remote is not None
    return info.remote.etag


class BreakingBody(Body):
    """A body that has given all that it promised, and then turns out to be bad."""

    def __init__(self, data: bytes, error: Exception) -> None:
        super().__init__(data)
        self._error_at_end = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in super().__aiter__():
            yield chunk
        raise self._error_at_end
