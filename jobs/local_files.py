"""Owns the reading of files of this machine that clients name: only under directories that the administrator allows,
and with no symbolic link followed on the way, whatever becomes of the tree meanwhile. Everything here blocks.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidArgument, NotFound

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not to wait at the end of a pipe that nobody writes to.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
SETTING = "native.promote_from"


class NoSuchFile(NotFound):
    """Fields: reason (a sentence for the user)."""


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A path that may be read: an allowed directory, and the names that lead from there."""

    root: Path
    names: tuple[str, ...]

    def joined(self, names: Sequence[str]) -> LocalPath:
        return LocalPath(self.root, (*self.names, *names))

    def __str__(self) -> str:
        return str(self.root.joinpath(*self.names))


def allowed_path(text: str, roots: Sequence[Path]) -> LocalPath:
    """What a client's path stands for. Looks at no file. Raises InvalidArgument."""
    if not roots:
        reason = f"no directory may be promoted from; the setting {SETTING} names those that may"
        raise _refused(text, reason)
    if not text.startswith("/") or "\0" in text:
        raise _refused(text, "the source must be an absolute path")
    names = [name for name in text.split("/") if name not in ("", ".")]
    if ".." in names:
        raise _refused(text, "the source may not contain '..'")
    for root in roots:
        parts = root.parts[1:]
        if tuple(names[: len(parts)]) == parts:
            return LocalPath(root, tuple(names[len(parts) :]))
    raise _refused(text, f"the source is in none of the directories that {SETTING} allows")


def _refused(text: str, reason: str) -> InvalidArgument:
    return InvalidArgument(name="src", value=text[:1024], reason=reason)


def is_directory_sync(path: LocalPath) -> bool:
    """Whether it is a directory, not a file. Raises NoSuchFile, InvalidArgument for anything else, and for links."""
    if not path.names:
        return True
    with _parent(path) as parent:
        try:
            mode = os.stat(path.names[-1], dir_fd=parent, follow_symlinks=False).st_mode
        except OSError as error:
            raise _translated(error, path) from error
    if stat.S_ISDIR(mode):
        return True
    if stat.S_ISREG(mode):
        return False
    raise _refused(str(path), "the source is neither a file nor a directory")


class LocalFile:
    """An open regular file, of the size that it had when it was opened. Raises as `is_directory_sync`."""

    def __init__(self, path: LocalPath) -> None:
        self._path = path
        with _parent(path) as parent:
            try:
                self._fd = os.open(path.names[-1], _FILE, dir_fd=parent)
            except OSError as error:
                raise _translated(error, path) from error
        self._status = os.fstat(self._fd)
        if not stat.S_ISREG(self._status.st_mode):
            os.close(self._fd)
            raise _refused(str(path), "the source is no regular file")

    @property
    def size_bytes(self) -> int:
        return self._status.st_size

    def read_sync(self, offset: int, size_bytes: int) -> bytes:
        return os.pread(self._fd, size_bytes, offset)

    def remove_sync(self) -> bool:
        """Remove the file's name, if it is still this file's and nothing was written to it since it was opened."""
        with _parent(self._path) as parent:
            name = self._path.names[-1]
            now = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if _identity(now) != _identity(self._status):
                return False
            os.unlink(name, dir_fd=parent)
        return True

    def close_sync(self) -> None:
        os.close(self._fd)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def files_sync(
    path: LocalPath, *, is_recursive: bool, after: Sequence[str] = ()
) -> Generator[tuple[str, ...], None, None]:
    """The regular files under a directory, by their names from there, in order; those past `after`. Links and special
    files are passed over, and so is what vanishes meanwhile. Raises NoSuchFile for the directory itself."""
    with _opened(path) as top:
        yield from _walk(top, (), tuple(after), is_recursive=is_recursive)


def _walk(
    directory: int, at: tuple[str, ...], after: tuple[str, ...], *, is_recursive: bool
) -> Generator[tuple[str, ...], None, None]:
    with os.scandir(directory) as entries:
        found = sorted(
            (entry.name, entry.is_dir(follow_symlinks=False))
            for entry in entries
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
        )
    for name, is_directory in found:
        here = (*at, name)
        if here < after[: len(here)]:
            continue
        if not is_directory:
            if here > after:
                yield here
        elif is_recursive:
            try:
                inner = os.open(name, _DIRECTORY, dir_fd=directory)
            except OSError:
                continue
            try:
                yield from _walk(inner, here, after, is_recursive=True)
            finally:
                os.close(inner)


@contextmanager
def _parent(path: LocalPath) -> Iterator[int]:
    if not path.names:
        raise _refused(str(path), "the source is a directory")
    with _opened(LocalPath(path.root, path.names[:-1])) as directory:
        yield directory


@contextmanager
def _opened(path: LocalPath) -> Iterator[int]:
    """A directory, opened name by name so that no link can lead out of the allowed one."""
    try:
        # The allowed directory itself is the administrator's word, links in its path included.
        directory = os.open(path.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _translated(error, path) from error
    try:
        for name in path.names:
            try:
                inner = os.open(name, _DIRECTORY, dir_fd=directory)
            except OSError as error:
                raise _translated(error, path) from error
            os.close(directory)
            directory = inner
        yield directory
    finally:
        os.close(directory)


def _translated(error: OSError, path: LocalPath) -> NoSuchFile | InvalidArgument:
    if error.errno == errno.ELOOP:
        return _refused(str(path), "symbolic links are not followed")
    if error.errno in _ABSENT:
        # A link in the place of a directory is found out as no directory.
        return NoSuchFile(reason=f"{path} does not exist, or is reached through a symbolic link")
    return _refused(str(path), f"the source cannot be read: {error.strerror}")
