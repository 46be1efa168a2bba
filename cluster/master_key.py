"""Owns the master key, which wraps the keys of the key service: where it comes from, and how it is made and changed.

It is given by a setting, or lies in a file: one that is named by a setting, or else `master.key` beside the control
store, made when it is first needed, with a copy in every other data directory, where the copies of the control store
are. A file holds one key a line, in base64, the one in force first; older ones still open what they wrapped.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.database import CONTROL_DIRECTORY, sync_directory
from core.cipher import new_key
from core.encryption import KEY_BYTES
from core.errors import InvalidArgument, MasterKeyMissing

FILE_NAME = "master.key"
_RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class MasterKey:
    """`master_id` tells keys apart and tells nothing of them."""

    key: bytes = field(repr=False)

    @property
    def master_id(self) -> str:
        return hmac.digest(self.key, b"weir master key id", hashlib.sha256)[:8].hex()

    @property
    def text(self) -> str:
        """As it stands in files and settings."""
        return base64.b64encode(self.key).decode()


def parse_master_key(text: str, where: str) -> MasterKey:
    """A key from its 44 characters of base64. Raises InvalidArgument, which does not repeat them."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        reason = "a master key is 32 random bytes in base64 (openssl rand -base64 32)"
        raise InvalidArgument(name=where, value="***", reason=reason)
    return MasterKey(key)


@dataclass(frozen=True, slots=True)
class MasterKeySource:
    """Where the master key is looked for. `text` is the setting's own value, `file` one that the setting names."""

    directories: Sequence[Path]
    file: Path | None = None
    text: str = field(default="", repr=False)

    @property
    def is_own(self) -> bool:
        """Whether weir itself makes and changes the key."""
        return not self.text and self.file is None

    def load_sync(self) -> list[MasterKey]:
        """All keys that are at hand, the one in force first. Raises InvalidArgument, MasterKeyMissing for a file that
        cannot be read."""
        if self.text:
            return [parse_master_key(self.text, "encryption.master_key")]
        if self.file is not None:
            return _read(self.file)
        found: dict[str, MasterKey] = {}
        for path in self._own_files():
            if path.is_file():
                found.update({each.master_id: each for each in _read(path)})
        return list(found.values())

    def write_sync(self, keys: Sequence[MasterKey]) -> None:
        """Keep keys in our own files, durably: in the first at least, in the others as far as their disks are there."""
        for index, path in enumerate(self._own_files()):
            if index and not path.parent.is_dir():
                # Perhaps the place where a disk is not mounted now.
                continue
            try:
                _write(path, "".join(f"{each.text}\n" for each in keys))
            except OSError:
                if index == 0:
                    raise

    def _own_files(self) -> list[Path]:
        return [each / CONTROL_DIRECTORY / FILE_NAME for each in self.directories]


def make_sync(source: MasterKeySource) -> MasterKey:
    """A new master key in our own files. Only while the control store's write lock is held.

    Raises MasterKeyMissing where a setting says where the key is to come from.
    """
    if not source.is_own:
        raise MasterKeyMissing(
            master_id="", reason=f"no key in {source.file}", retry_after_s=_RETRY_AFTER_S
        )
    made = MasterKey(new_key())
    source.write_sync([made, *source.load_sync()])
    return made


def _read(path: Path) -> list[MasterKey]:
    try:
        lines = path.read_text("ascii", "replace").split()
    except OSError as error:
        raise MasterKeyMissing(
            master_id="", reason=f"{path}: {error.strerror}", retry_after_s=_RETRY_AFTER_S
        ) from error
    return [parse_master_key(line, str(path)) for line in lines]


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(path)
    sync_directory(path.parent)
