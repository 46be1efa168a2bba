"""Archives for the tests of shards, made by Python's own libraries."""

from __future__ import annotations

import asyncio
import functools
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec

import lz4.frame

from core.shards import ShardFormat


def tar(
    members: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT, *, modified_s: float = 7
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = modified_s
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def packed(shard_format: ShardFormat, members: Mapping[str, bytes]) -> bytes:
    if shard_format is ShardFormat.ZIP:
        return zipped(members)
    plain = tar(members)
    if shard_format is ShardFormat.TGZ:
        return gzip.compress(plain, 1)
    if shard_format is ShardFormat.TAR_LZ4:
        return bytes(lz4.frame.compress(plain))
    return plain


def header(name: bytes, size: bytes, kind: bytes = b"0", extra: Mapping[int, bytes] = {}) -> bytes:
    """A TAR header with any fields, its checksum right. `extra`: what else is put at which offset."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108] = b"0000644\0"
    block[124 : 124 + len(size)] = size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    for offset, value in extra.items():
        block[offset : offset + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def octal(size_bytes: int) -> bytes:
    return b"%011o\0" % size_bytes


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(*records: tuple[str, str], kind: bytes = b"x") -> bytes:
    data = b""
    for keyword, value in records:
        rest = f" {keyword}={value}\n".encode()
        length = len(rest)
        while length != len(rest) + len(str(length)):
            length = len(rest) + len(str(length))
        data += str(length).encode() + rest
    return header(b"pax", octal(len(data)), kind) + padded(data)


P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, run in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run
