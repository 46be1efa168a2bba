"""LocalNode keeps the contract on real disk, on one mountpath and on three."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.completion_store import CompletionContract
from tests.contract.encryption_store import EncryptionContract
from tests.contract.judged_store import JudgedDeleteContract
from tests.contract.local_world import LocalWorld
from tests.contract.multipart_store import MultipartContract
from tests.contract.native_store import NativeContract
from tests.contract.object_store import ObjectStoreContract
from tests.contract.update_store import LockContract, UpdateContract
from tests.contract.version_listing import VersionListContract
from tests.contract.version_store import VersionContract
from tests.contract.version_writes import (
    VersionCopyContract,
    VersionRaceContract,
    VersionUploadContract,
)


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


class TestVersions(VersionContract):
    pass


class TestVersionCopies(VersionCopyContract):
    pass


class TestVersionUploads(VersionUploadContract):
    pass


class TestVersionRaces(VersionRaceContract):
    pass


class TestVersionLists(VersionListContract):
    pass


class TestUpdates(UpdateContract):
    pass


class TestLocks(LockContract):
    pass


class TestJudgedDeletes(JudgedDeleteContract):
    pass


class TestEncryption(EncryptionContract):
    pass


class TestNative(NativeContract):
    pass
