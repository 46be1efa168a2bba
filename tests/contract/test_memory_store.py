"""MemoryStore keeps the contract, and the buckets' part of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.completion_store import CompletionContract
from tests.contract.encryption_store import EncryptionContract
from tests.contract.judged_store import JudgedDeleteContract
from tests.contract.memory_world import MemoryWorld
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


@pytest.fixture
def world() -> Iterator[MemoryWorld]:
    world = MemoryWorld()
    yield world
    world.close()


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
