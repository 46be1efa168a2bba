"""Owns the form of a blob file: the bytes, then a trailer that says what they are; and its making, in threads.

    data | description (storage.records) | footer: data size, xxh3_64 of the description, its length, format, magic

The name is given at creation; a blob is unfinished until its footer is there and whole.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from core.errors import Corrupt
from storage.layout import Layout, sync_directory

_FOOTER = struct.Struct("<QQII8s")
_FORMAT = 1
_MAGIC = b"weirblob"
_IOV_MAX = 512
_MAX_DESCRIPTION_BYTES = 16 * 1024**2

# Dirty pages are handed to the disk this often, so that the fsync at the end has little left to write.
_WRITEBACK_BYTES = 8 * 1024**2
_SYNC_FILE_RANGE_WRITE = 2
_FICLONE = 0x40049409
# The same number on every architecture (Linux: include/uapi/asm-generic/unistd.h).
_SYS_OPENAT2 = 437
_AT_FDCWD = -100
_RESOLVE_CACHED = 0x20
# tmpfs and ramfs (Linux: include/uapi/linux/magic.h).
_MEMORY_FILESYSTEMS = frozenset({0x01021994, 0x858458F6})

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_HOW_CACHED = _OpenHow(os.O_RDONLY | os.O_CLOEXEC, 0, _RESOLVE_CACHED)
# Kernels before 5.12 and some sandboxes do not have it; then every open goes to a thread.
_REFUSALS = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EAGAIN, errno.E2BIG})


def open_cached(path: str) -> int:
    """Open a file for reading if the kernel need not ask the disk for its name, else raise BlockingIOError. OSError for
    what is wrong with the file."""
    fd: int = _libc.syscall(
        _SYS_OPENAT2,
        _AT_FDCWD,
        os.fsencode(path),
        ctypes.byref(_HOW_CACHED),
        ctypes.c_size_t(ctypes.sizeof(_HOW_CACHED)),
    )
    if fd >= 0:
        return fd
    number = ctypes.get_errno()
    if number in _REFUSALS:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
    raise OSError(number, os.strerror(number), path)


def pread_cached(fd: int, offset: int, size_bytes: int) -> bytes | None:
    """Bytes that are in the kernel's memory; None if not all are, or if the filesystem cannot tell."""
    buffer = bytearray(size_bytes)
    try:
        count = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
    except OSError as error:
        # tmpfs knows no such read: what it has is in memory anyway.
        if error.errno != errno.EOPNOTSUPP or not _lies_in_memory(fd):
            return None
        count = os.preadv(fd, [buffer], offset)
    return bytes(buffer) if count == size_bytes else None


def _lies_in_memory(fd: int) -> bool:
    """Whether the file is of a filesystem that has no disk under it."""
    # The kernel's struct is of 120 bytes and begins with the type.
    answer = (ctypes.c_long * 32)()
    return _libc.fstatfs(fd, answer) == 0 and answer[0] in _MEMORY_FILESYSTEMS


class BlobWriter:
    """A blob in the making; the file comes into being with the first bytes. Blocking; one thread at a time."""

    def __init__(self, layout: Layout, blob_id: str) -> None:
        self.blob_id = blob_id
        self.size_bytes = 0
        self._layout = layout
        self._path = layout.blob(blob_id)
        self._checksum = xxhash.xxh3_64()
        self._written_back = 0
        self._fd = -1

    @property
    def path(self) -> str:
        """Of its file, which is there from the first bytes on."""
        return str(self._path)

    @property
    def checksum(self) -> int:
        """xxh3_64 of the bytes so far."""
        return self._checksum.intdigest()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append."""
        self._open()
        for first in range(0, len(chunks), _IOV_MAX):
            _write_all(self._fd, chunks[first : first + _IOV_MAX], self.size_bytes)
            self.size_bytes += sum(map(len, chunks[first : first + _IOV_MAX]))
        for chunk in chunks:
            self._checksum.update(chunk)
        if self.size_bytes - self._written_back >= _WRITEBACK_BYTES:
            self._start_writeback()

    def clone(self, source_fd: int, size_bytes: int) -> None:
        """Take an empty file's bytes from another blob's, unread: `checksum` is then not this writer's to say."""
        self._open()
        clone_data(source_fd, self._fd, size_bytes)
        self.size_bytes = size_bytes

    def finish(self, description: bytes, *, is_durable: bool = True) -> None:
        """Append the trailer, make bytes and name durable, and close."""
        self._open()
        footer = _FOOTER.pack(
            self.size_bytes,
            xxhash.xxh3_64_intdigest(description),
            len(description),
            _FORMAT,
            _MAGIC,
        )
        _write_all(self._fd, [description, footer], self.size_bytes)
        os.ftruncate(self._fd, self.size_bytes + len(description) + len(footer))
        if is_durable:
            os.fdatasync(self._fd)
            sync_directory(os.path.dirname(self._path))
        self.close()

    def abandon(self) -> None:
        """Remove the file: nothing names it."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        if self._fd < 0:
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            try:
                self._fd = os.open(self._path, flags, 0o600)
            except FileNotFoundError:
                if self._layout.is_own(self.blob_id):
                    raise
                self._layout.make_lodging_sync(self.blob_id)
                self._fd = os.open(self._path, flags, 0o600)

    def _start_writeback(self) -> None:
        start = ctypes.c_int64(self._written_back)
        count = ctypes.c_int64(self.size_bytes - self._written_back)
        # Only a hint: its failure costs time, not safety.
        _libc.sync_file_range(self._fd, start, count, _SYNC_FILE_RANGE_WRITE)
        self._written_back = self.size_bytes


@dataclass(frozen=True, slots=True)
class Trailer:
    """What a finished blob says of itself."""

    size_bytes: int
    description: bytes


def read_trailer_sync(path: Path | str) -> Trailer:
    """Raises Corrupt for an unfinished or damaged blob, OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        total = os.fstat(fd).st_size
        raw = os.pread(fd, _FOOTER.size, max(0, total - _FOOTER.size))
        if len(raw) < _FOOTER.size:
            raise Corrupt(what="blob without a footer", where=str(path))
        size_bytes, checksum, length, number, magic = _FOOTER.unpack(raw)
        if magic != _MAGIC or length > _MAX_DESCRIPTION_BYTES:
            raise Corrupt(what="blob without a footer", where=str(path))
        if number != _FORMAT:
            raise Corrupt(what=f"blob of format {number}", where=str(path))
        description = os.pread(fd, length, total - _FOOTER.size - length)
        if size_bytes + length + _FOOTER.size != total:
            raise Corrupt(what="blob size", where=str(path))
        if xxhash.xxh3_64_intdigest(description) != checksum:
            raise Corrupt(what="blob description", where=str(path))
        return Trailer(size_bytes, description)
    finally:
        os.close(fd)


def clone_data(source_fd: int, target_fd: int, size_bytes: int) -> None:
    """Fill an empty file with another's first bytes, sharing them where the filesystem can. Blocking."""
    try:
        # Takes the source's trailer along; finish() overwrites it.
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError:
        _copy_range(source_fd, target_fd, size_bytes)
    else:
        os.ftruncate(target_fd, size_bytes)


def _copy_range(source_fd: int, target_fd: int, size_bytes: int) -> None:
    done = 0
    while done < size_bytes:
        count = min(size_bytes - done, _WRITEBACK_BYTES)
        try:
            copied = os.copy_file_range(source_fd, target_fd, count, done, done)
        except OSError:
            copied = _copy_block(source_fd, target_fd, min(count, 1024**2), done)
        if copied == 0:
            raise Corrupt(what="blob shorter than its record", where=f"offset {done}")
        done += copied


def _copy_block(source_fd: int, target_fd: int, count: int, offset: int) -> int:
    block = os.pread(source_fd, count, offset)
    if block:
        _write_all(target_fd, [block], offset)
    return len(block)


def _write_all(fd: int, chunks: Sequence[bytes], offset: int) -> None:
    total = sum(map(len, chunks))
    written = os.pwritev(fd, chunks, offset)
    if written == total:
        return
    rest = memoryview(b"".join(chunks))[written:]
    while rest:
        # A short write is how a filling disk begins; the next call raises its reason.
        written = os.pwrite(fd, rest, offset + total - len(rest))
        rest = rest[written:]
