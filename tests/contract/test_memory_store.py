"""MemoryStore keeps the contract, and the buckets' part of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.memory_world import MemoryWorld
from tests.contract.multipart_store import MultipartContract
from tests.contract.object_store import ObjectStoreContract


@pytest.fixture
def world() -> Iterator[MemoryWorld]:
    world = MemoryWorld()
    yield world
    world.close()


class TestObjects(ObjectStoreContract):
    pass


class TestMultipart(MultipartContract):
    pass
