"""LocalNode keeps the contract on real disk, on one mountpath and on three."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.completion_store import CompletionContract
from tests.contract.local_world import LocalWorld
from tests.contract.multipart_store import MultipartContract
from tests.contract.object_store import ObjectStoreContract


@pytest.fixture(scope="module", params=[1, 3], ids=["one-mountpath", "three-mountpaths"])
def shared_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalWorld]:
    world = LocalWorld(tmp_path_factory.mktemp("store"), request.param)
    yield world
    world.close()


@pytest.fixture
def world(shared_world: LocalWorld) -> LocalWorld:
    """One store for all tests, as making one syncs some hundred directories; each has its own buckets and time."""
    shared_world.begin_test()
    return shared_world


class TestObjects(ObjectStoreContract):
    pass


class TestMultipart(MultipartContract):
    pass


class TestCompletions(CompletionContract):
    pass
