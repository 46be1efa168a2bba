"""The local key service: versions, names, the master key, and what happens when either is gone."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from cluster.key_service import LocalKeyService
from cluster.master_key import MasterKey, MasterKeySource, parse_master_key
from core.encryption import S3_KEY_ID, DataKey
from core.errors import (
    Conflict,
    Corrupt,
    EncryptionKeyDisabled,
    EncryptionKeyExists,
    InvalidArgument,
    MasterKeyMissing,
    NoSuchEncryptionKey,
)

BINDING = b"bucket and key"


@pytest.fixture
def control(tmp_path: Path) -> Iterator[EmbeddedControlStore]:
    opened = EmbeddedControlStore(tmp_path / "a")
    yield opened
    opened.close()


@pytest.fixture
def service(control: EmbeddedControlStore) -> Iterator[LocalKeyService]:
    opened = LocalKeyService(control.database, MasterKeySource([control.home]))
    yield opened
    opened.close()


def another(
    control: EmbeddedControlStore, source: MasterKeySource | None = None
) -> LocalKeyService:
    """As another process has it."""
    return LocalKeyService(control.database, source or MasterKeySource([control.home]))


def new(service: LocalKeyService, key_id: str, binding: bytes = BINDING) -> DataKey:
    return asyncio.run(service.new_data_key(key_id, binding))


def opened(service: LocalKeyService, made: DataKey, binding: bytes = BINDING) -> bytes:
    return asyncio.run(service.unwrap(made.key_id, made.wrapped_key, binding))


def test_a_data_key_comes_back(service: LocalKeyService) -> None:
    service.create_sync("k1")
    made = new(service, "k1")
    assert opened(service, made) == made.key
    assert made.key not in made.wrapped_key
    assert new(service, "k1").key != made.key


def test_it_comes_back_in_another_process_and_for_its_binding_only(
    service: LocalKeyService, control: EmbeddedControlStore
) -> None:
    service.create_sync("k1")
    made = new(service, "k1")
    assert opened(another(control), made) == made.key
    with pytest.raises(Corrupt):
        opened(service, made, b"another object")
    with pytest.raises(Corrupt):
        asyncio.run(service.unwrap("k1", b"\0", BINDING))


def test_the_key_of_sse_s3_makes_itself_once(
    service: LocalKeyService, control: EmbeddedControlStore
) -> None:
    other = another(control)
    made = new(service, S3_KEY_ID)
    assert opened(other, made) == made.key
    new(other, S3_KEY_ID)
    assert [key.key_id for key in service.keys_sync()] == [S3_KEY_ID]


@pytest.mark.parametrize(
    "name",
    [
        "k1",
        "alias/mine",
        "arn:aws:kms:us-east-1:111122223333:key/k1",
        "arn:aws:kms:us-east-1:111122223333:alias/mine",
    ],
)
def test_names_of_a_key(service: LocalKeyService, name: str) -> None:
    service.create_sync("k1", "mine")
    assert new(service, name).key_id == "k1"


def test_no_name_means_the_alias_of_the_default_key(service: LocalKeyService) -> None:
    with pytest.raises(NoSuchEncryptionKey):
        new(service, "")
    service.create_sync("k1", "aws/s3")
    assert new(service, "").key_id == "k1"


@pytest.mark.parametrize("name", ["absent", "alias/absent", "arn:aws:kms:us-east-1:1:key/absent"])
def test_absent_keys(service: LocalKeyService, name: str) -> None:
    with pytest.raises(NoSuchEncryptionKey):
        new(service, name)


def test_rotation_keeps_what_older_versions_wrapped(
    service: LocalKeyService, control: EmbeddedControlStore
) -> None:
    service.create_sync("k1")
    running = another(control)
    old = new(running, "k1")
    assert service.rotate_sync("k1").version == 2
    newer = new(running, "k1")
    assert newer.wrapped_key[:4] != old.wrapped_key[:4]
    for each in (service, running, another(control)):
        assert opened(each, old) == old.key
        assert opened(each, newer) == newer.key


def test_a_disabled_key_does_nothing_until_it_is_enabled(service: LocalKeyService) -> None:
    service.create_sync("k1")
    made = new(service, "k1")
    service.enable_sync("k1", is_enabled=False)
    with pytest.raises(EncryptionKeyDisabled):
        new(service, "k1")
    with pytest.raises(EncryptionKeyDisabled):
        opened(service, made)
    service.enable_sync("k1", is_enabled=True)
    assert opened(service, made) == made.key


def test_only_a_disabled_key_can_be_removed(service: LocalKeyService) -> None:
    service.create_sync("k1")
    made = new(service, "k1")
    with pytest.raises(Conflict):
        service.remove_sync("k1")
    service.enable_sync("k1", is_enabled=False)
    service.remove_sync("k1")
    with pytest.raises(NoSuchEncryptionKey):
        opened(service, made)
    service.create_sync("k1")
    with pytest.raises(Corrupt):
        opened(service, made)


def test_names_are_taken_once(service: LocalKeyService) -> None:
    service.create_sync("k1", "mine")
    with pytest.raises(EncryptionKeyExists):
        service.create_sync("k1")
    with pytest.raises(EncryptionKeyExists):
        service.create_sync("k2", "alias/mine")


@pytest.mark.parametrize(("key_id", "alias"), [("", ""), ("a b", ""), ("alias/x", ""), ("k", "ä")])
def test_names_that_no_key_can_have(service: LocalKeyService, key_id: str, alias: str) -> None:
    with pytest.raises(InvalidArgument):
        service.create_sync(key_id, alias)


# --- the master key ----------------------------------------------------------------------------------------------


def master_file(control: EmbeddedControlStore) -> Path:
    return control.home / "control" / "master.key"


def test_the_master_key_is_private_and_not_in_the_database(
    service: LocalKeyService, control: EmbeddedControlStore
) -> None:
    service.create_sync("k1")
    file = master_file(control)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    master = base64.b64decode(file.read_text())
    stored = b"".join(path.read_bytes() for path in file.parent.glob("control.db*"))
    assert master not in stored


def test_a_lost_master_key_is_never_replaced(
    service: LocalKeyService, control: EmbeddedControlStore
) -> None:
    service.create_sync("k1")
    made = new(service, "k1")
    master_file(control).unlink()
    fresh = another(control)
    with pytest.raises(MasterKeyMissing):
        opened(fresh, made)
    with pytest.raises(MasterKeyMissing):
        fresh.create_sync("k2")
    assert not master_file(control).exists()


def test_copies_lie_in_the_other_directories(control: EmbeddedControlStore, tmp_path: Path) -> None:
    (tmp_path / "b" / "control").mkdir(parents=True)
    source = MasterKeySource([control.home, tmp_path / "b", tmp_path / "not-mounted"])
    service = another(control, source)
    service.create_sync("k1")
    made = new(service, "k1")
    assert not (tmp_path / "not-mounted").exists()
    master_file(control).unlink()
    assert opened(another(control, source), made) == made.key


def test_a_new_master_key_opens_what_the_old_one_did(
    service: LocalKeyService, control: EmbeddedControlStore
) -> None:
    service.create_sync("k1")
    running = another(control)
    made = new(running, "k1")
    assert service.rotate_master_sync() == 1
    assert len(master_file(control).read_text().split()) == 2
    for each in (running, another(control)):
        assert opened(each, made) == made.key
    # The old one is of no use any more.
    newest = master_file(control).read_text().split()[0]
    master_file(control).write_text(newest)
    assert opened(another(control), made) == made.key
    assert running.rotate_sync("k1").version == 2


def test_a_master_key_from_settings(control: EmbeddedControlStore, tmp_path: Path) -> None:
    first, second = (MasterKey(os.urandom(32)) for _ in range(2))
    by_text = MasterKeySource([control.home], text=first.text)
    service = another(control, by_text)
    service.create_sync("k1")
    made = new(service, "k1")
    assert not master_file(control).exists()
    file = tmp_path / "key"
    file.write_text(second.text)
    by_file = MasterKeySource([control.home], file)
    with pytest.raises(MasterKeyMissing):
        opened(another(control, by_file), made)
    service.rotate_master_sync(second)
    assert opened(another(control, by_file), made) == made.key


def test_a_file_of_the_settings_that_is_not_there(
    control: EmbeddedControlStore, tmp_path: Path
) -> None:
    service = another(control, MasterKeySource([control.home], tmp_path / "absent"))
    with pytest.raises(MasterKeyMissing):
        service.create_sync("k1")
    (tmp_path / "absent").touch()
    with pytest.raises(MasterKeyMissing):
        service.create_sync("k1")


@pytest.mark.parametrize("text", ["", "short", "!" * 44, base64.b64encode(b"x" * 31).decode()])
def test_what_is_no_master_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_master_key(text, "encryption.master_key")
    assert not text or text not in str(refused.value)


def test_nothing_secret_is_shown(service: LocalKeyService, control: EmbeddedControlStore) -> None:
    service.create_sync("k1")
    made = new(service, "k1")
    shown = repr(made) + repr(service.keys_sync()) + repr(MasterKey(b"m" * 32))
    assert repr(made.key)[2:-1] not in shown
    assert "mmm" not in shown
