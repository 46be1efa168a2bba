"""Owns what happens to a store before it is served or administered: finding it, first start, root key pair."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.control import EmbeddedControlStore
from cluster.database import CONTROL_DIRECTORY
from cluster.keys import new_access_key, new_secret_key, new_user_id
from cluster.replicas import find_home, restore_sync
from core.errors import Conflict, MountpathUnavailable, NotFound, StoreError
from core.names import AccessKey
from core.types import Credential, User
from gateway.config import Config
from storage.database import check_schema_sync
from storage.layout import IDENTITY_FILE, Layout, MountpathSpec, open_set_sync

logger = logging.getLogger(__name__)

ROOT_NAME = "root"
_LOCK_WAIT_S = 5.0


class NoSuchStore(NotFound):
    """No store lies in the data directories. Fields: paths."""


class StoreInUse(Conflict):
    """Another weir serves the store. Fields: path, pid (as text, of its parent process)."""


@dataclass(frozen=True, slots=True)
class PreparedStore:
    """A store that is ready to be served, held against other servers until the descriptors are closed.

    `new_root` is set if this start made the root key pair; `problems` says what is wrong with mountpaths.
    """

    held_fds: tuple[int, ...]
    new_root: Credential | None
    problems: tuple[str, ...]


def control_home(directories: Sequence[Path]) -> Path:
    """The data directory that holds the control store. Raises NoSuchStore."""
    home = find_home(directories)
    if home is None:
        raise NoSuchStore(paths=[str(directory) for directory in directories])
    return home


def open_control(config: Config) -> EmbeddedControlStore:
    """Open the control store of an existing store. Raises NoSuchStore."""
    return EmbeddedControlStore(control_home(config.data))


def server_log_directory(control: EmbeddedControlStore) -> Path:
    """Where records of server access logs gather."""
    return control.home / CONTROL_DIRECTORY / "server-logs"


def node_log_directory(home: Path) -> Path:
    """Where the last of the log is kept, in the data directory that holds the control store."""
    return home / CONTROL_DIRECTORY / "log"


def prepare_store(config: Config) -> PreparedStore:
    """Make or find the store, with its root user. No database stays open, so the caller may fork.

    Raises StoreInUse, NoSuchStore (mountpaths without their control store), OtherSchema, and what opening raises.
    """
    is_new = not any((directory / IDENTITY_FILE).exists() for directory in config.data)
    held = _hold(config.data) if is_new else hold_store(config)
    try:
        return _prepare(config, held, is_new)
    except BaseException:
        for fd in held:
            os.close(fd)
        raise


def _prepare(config: Config, held: tuple[int, ...], is_new: bool) -> PreparedStore:
    # The control store comes first: mountpaths without one are a store that has lost it, never a new one.
    control = _open_or_restore(config, is_new)
    try:
        new_root = _ensure_root(control, config)
    finally:
        control.close()
    mountpaths = open_set_sync(config.data)
    for item in mountpaths:
        _check_schema(item)
    problems = tuple(item.reason for item in mountpaths if item.directory is None)
    return PreparedStore(held, new_root, problems)


def _check_schema(mountpath: MountpathSpec) -> None:
    """Raises OtherSchema. A disk that cannot be read is reported by whoever serves it."""
    if mountpath.directory is None:
        return
    try:
        check_schema_sync(Layout(mountpath.directory))
    except sqlite3.Error as error:
        logger.warning("cannot look at the databases in %s: %s", mountpath.directory, error)


def _open_or_restore(config: Config, is_new: bool) -> EmbeddedControlStore:
    """The control store in force, or a copy made into one if its disk is lost or cannot be written."""
    home = find_home(config.data) or (config.data[0] if is_new else None)
    fault: StoreError = NoSuchStore(paths=[str(directory) for directory in config.data])
    if home is not None:
        try:
            return EmbeddedControlStore(home)
        except MountpathUnavailable as error:
            fault = error
    restored = restore_sync([directory for directory in config.data if directory != home])
    if restored is None:
        raise fault
    logger.warning("control store restored from the copy in %s: %s", restored, fault)
    return EmbeddedControlStore(restored)


def hold_store(config: Config, wait_s: float = _LOCK_WAIT_S) -> tuple[int, ...]:
    """Take an existing store alone, to serve or to repair, until the descriptors are closed. Raises StoreInUse."""
    return _hold([d for d in config.data if (d / IDENTITY_FILE).exists()], wait_s)


def _hold(directories: Sequence[Path], wait_s: float = _LOCK_WAIT_S) -> tuple[int, ...]:
    """Children inherit the descriptors and hold on with them. Waits a little for a predecessor that is still dying."""
    deadline = time.monotonic() + wait_s
    held: list[int] = []
    for directory in directories:
        try:
            fd = _open_lock(directory)
        except OSError as error:
            # A failing disk keeps no other from being served, and nobody from taking the store at its other disks.
            logger.warning("cannot lock %s: %s", directory, error.strerror)
            continue
        held.append(fd)
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
                for taken in held:
                    os.close(taken)
                raise StoreInUse(path=str(directory), pid=pid or "unknown")
            time.sleep(0.02)
        _sign(fd)
    return tuple(held)


def _open_lock(directory: Path) -> int:
    (directory / CONTROL_DIRECTORY).mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / CONTROL_DIRECTORY / "serve.lock"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _sign(fd: int) -> None:
    """Leave the process id for others to read. A full or failing disk is no reason not to serve it."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        logger.warning("cannot write the process id to a lock file", exc_info=True)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ensure_root(control: EmbeddedControlStore, config: Config) -> Credential | None:
    """Root's key pair is the settings', else the one it has, else a new one, which is returned."""
    present = control.root_credential()
    root = next((user for user in control.users() if user.is_root), None) or User(
        new_user_id(), ROOT_NAME, ROOT_NAME, is_root=True
    )
    if config.root.access_key:
        wanted = Credential(AccessKey(config.root.access_key), config.root.secret_key, root)
        if present is None or present != wanted:
            control.set_root_credential_sync(wanted)
        return None
    if present is not None:
        return None
    made = Credential(new_access_key(), new_secret_key(), root)
    control.set_root_credential_sync(made)
    return made
