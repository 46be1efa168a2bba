"""ZIP archives as programs and attackers make them."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.shards import member_path
from storage.shards.limits import ShardLimits
from storage.shards.tar import BadArchive
from storage.shards.zip import ZipMember, ZipWalk, unpacked
from tests.unit.storage.archives import zipped
from tests.unit.storage.test_shards_tar import InMemory

MEMBERS = {"a.txt": b"alpha" * 100, "d/b": bytes(70_000), "empty": b"", "ü/你好": b"text"}
LIMITS = ShardLimits()


def contents(data: bytes, limits: ShardLimits = LIMITS) -> list[tuple[str, bytes]]:
    source = InMemory(data)
    return [
        (member.path, b"".join(unpacked(source, cast(ZipMember, member))))
        for member in ZipWalk(source, len(data), limits)
        if member is not None
    ]


def test_methods() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert contents(zipped(MEMBERS, method)) == list(MEMBERS.items())
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(BadArchive):
            contents(zipped(MEMBERS, method))


def test_nothing_in_it() -> None:
    assert contents(zipped({})) == []
    for data in (b"", b"PK", b"x" * 1000, b"PK\5\6" + bytes(17)):
        with pytest.raises(BadArchive):
            contents(data)


class Pipe(io.RawIOBase):
    """Not seekable, so that sizes follow the data."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(cast(bytes, data))
        self.data += piece
        return len(piece)


def test_data_descriptors() -> None:
    pipe = Pipe()
    with zipfile.ZipFile(cast(io.BytesIO, pipe), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    assert contents(pipe.data) == list(MEMBERS.items())


def test_zip64() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in MEMBERS.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    assert contents(buffer.getvalue()) == list(MEMBERS.items())


def wide(count: int) -> bytes:
    """An archive with more members than 16 bits can count."""
    return zipped({f"{number}": b"" for number in range(count)})


@pytest.mark.slow
def test_more_members_than_16_bits_count() -> None:
    data = wide(66_000)
    walk = [member for member in ZipWalk(InMemory(data), len(data), LIMITS) if member is not None]
    assert len(walk) == 66_000
    with pytest.raises(BadArchive):
        contents(data, ShardLimits(max_members=65_999))


def test_prefix_and_comment() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"alpha")
        archive.comment = b"a comment with PK\5\6 in it"
    for junk in (b"", b"#!/bin/sh\n" * 100):
        assert contents(junk + buffer.getvalue()) == [("a", b"alpha")]
    with pytest.raises(BadArchive):
        contents(buffer.getvalue() + b"junk behind it")


def test_names_that_are_no_members() -> None:
    names = ["../up", "/abs", "a/../b", "dir/", "./here"]
    found = [path for path, _ in contents(zipped(dict.fromkeys(names, b"")))]
    assert found == ["abs", "here"]


def test_links_are_no_members() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system = 3
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("a", b"x")
    assert contents(buffer.getvalue()) == [("a", b"x")]


def field(data: bytes, place: int, value: bytes) -> bytes:
    return data[:place] + value + data[place + len(value) :]


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (8, b"\1\0"),  # encrypted
        (10, b"\x08\0"),  # deflated, which it is not
        (16, b"\0\0\0\0"),  # the checksum
        (20, b"\1\0\0\0"),  # the packed size
        (24, b"\1\0\0\0"),  # the size
        (20, b"\xff\xff\xff\x7f"),
        (24, b"\xff\xff\xff\x7f"),
        (42, b"\1\0\0\0"),  # where its header lies
        (42, b"\xff\xff\xff\x7f"),
        (28, b"\xff\xff"),  # the length of its name
        (30, b"\xff\xff"),  # of its extra fields
        (20, b"\xff\xff\xff\xff"),  # ZIP64, with no extra field
        (0, b"PK\1\3"),
    ],
)
def test_lies_of_the_directory(offset: int, value: bytes) -> None:
    data = zipped({"name": b"hello"}, zipfile.ZIP_STORED)
    directory = data.index(b"PK\1\2")
    with pytest.raises(BadArchive):
        contents(field(data, directory + offset, value))


@pytest.mark.parametrize(
    ("offset", "value"),
    [(4, b"\1\0"), (8, b"\2\0"), (10, b"\2\0"), (12, b"\xff\0\0\0"), (16, b"\xff\0\0\0")],
)
def test_lies_of_the_end(offset: int, value: bytes) -> None:
    data = zipped({"name": b"hello"}, zipfile.ZIP_STORED)
    with pytest.raises(BadArchive):
        contents(field(data, data.index(b"PK\5\6") + offset, value))


def test_overlapping_entries() -> None:
    """Many entries over the same bytes: what makes small archives unpack to much."""
    data = zipped({"name": bytes(1000)}, zipfile.ZIP_STORED)
    directory, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    entries = data[directory:end] * 5
    tail = field(data[end:], 8, struct.pack("<2HL", 5, 5, len(entries)))
    with pytest.raises(BadArchive):
        contents(data[:directory] + entries + tail)


def test_a_header_of_another_name() -> None:
    data = zipped({"name": b"hello"}, zipfile.ZIP_STORED)
    with pytest.raises(BadArchive):
        contents(field(data, 30, b"mane"))


def test_many_extra_fields() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.extra = struct.pack("<HH", 0x4444, 0) * 16_000
        archive.writestr(info, b"alpha")
    assert contents(buffer.getvalue()) == [("a", b"alpha")]


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        st.binary(max_size=1500),
        max_size=5,
    ),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_agrees_with_zipfile(members: dict[str, bytes], method: int) -> None:
    data = zipped(members, method)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expected = [
            (path, archive.read(info))
            for info in archive.infolist()
            if (path := member_path(info.filename)) is not None
        ]
    assert contents(data) == expected
