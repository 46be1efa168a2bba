"""Owns the translation of the operating system's and SQLite's errors into ours."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from core.errors import Corrupt, MountpathUnavailable, OutOfSpace, Overloaded, StoreError

RETRY_AFTER_S = 5
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TIGHT_BYTES = 1024**2


def translate(error: Exception, directory: Path) -> StoreError:
    """The error of core.errors that says what `error` means for the mountpath in `directory`."""
    if isinstance(error, StoreError):
        return error
    where = str(directory)
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return OutOfSpace(mountpath=where, retry_after_s=RETRY_AFTER_S)
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return Overloaded(what="file descriptors", retry_after_s=1)
        return unavailable(directory, error)
    if isinstance(error, sqlite3.Error):
        return _translate_sqlite(error, directory)
    raise error


def unavailable(directory: Path, error: OSError) -> MountpathUnavailable:
    """The error for a mountpath whose disk is not to be relied on."""
    return _unavailable(str(directory), error.strerror or type(error).__name__)


def _translate_sqlite(error: sqlite3.Error, directory: Path) -> StoreError:
    where = str(directory)
    # The low byte of an extended code is the primary one (SQLite: Result and Error Codes).
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OutOfSpace(mountpath=where, retry_after_s=RETRY_AFTER_S)
    if code in _BUSY:
        return Overloaded(what="index lock", retry_after_s=1)
    if code in _CORRUPT:
        return Corrupt(what="database", where=where)
    if code == sqlite3.SQLITE_IOERR and _is_tight(directory):
        # SQLite calls a full disk an I/O error where it grows the shared-memory file.
        return OutOfSpace(mountpath=where, retry_after_s=RETRY_AFTER_S)
    return _unavailable(where, getattr(error, "sqlite_errorname", type(error).__name__))


def _is_tight(directory: Path) -> bool:
    try:
        stats = os.statvfs(directory)
    except OSError:
        return False
    return stats.f_bavail * stats.f_frsize < _TIGHT_BYTES


def _unavailable(where: str, reason: str) -> MountpathUnavailable:
    return MountpathUnavailable(mountpath=where, reason=reason, retry_after_s=RETRY_AFTER_S)
