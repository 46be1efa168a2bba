"""The walk over TAR headers: what real programs write is read as they meant it, what contradicts itself is refused."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.shards import Member, member_path
from storage.shards.limits import ShardLimits
from storage.shards.tar import BadArchive, TarWalk
from tests.unit.storage.archives import header, octal, padded, pax, tar

END = bytes(1024)
LIMITS = ShardLimits()


class InMemory:
    is_forward_only = False

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_at(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]

    def reaches(self, end: int) -> bool:
        return end <= len(self.data)


def walk(data: bytes, limits: ShardLimits = LIMITS) -> list[Member]:
    return [each for each in TarWalk(InMemory(data), limits) if each is not None]


def contents(data: bytes) -> list[tuple[str, bytes]]:
    members = walk(data)
    assert all(member.offset is not None for member in members)
    return [(m.path, data[m.offset or 0 : (m.offset or 0) + m.size_bytes]) for m in members]


FORMS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
MEMBERS = {"a.txt": b"alpha", "dir/b.bin": bytes(70_000), "dir/empty": b"", "z": b"z" * 512}


@pytest.mark.parametrize("form", FORMS)
def test_members_of_every_form(form: int) -> None:
    assert contents(tar(MEMBERS, form)) == list(MEMBERS.items())


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(form: int) -> None:
    members = {"d/" + "n" * 300: b"long", "ü/你好.txt": b"text", "l" * 101: b""}
    assert contents(tar(members, form)) == list(members.items())


def test_ustar_prefix() -> None:
    members = {"d" * 80 + "/" + "n" * 80: b"x"}
    assert contents(tar(members, tarfile.USTAR_FORMAT)) == list(members.items())


def test_times() -> None:
    for form in FORMS:
        assert [m.modified_ns for m in walk(tar({"a": b""}, form))] == [7_000_000_000]
    exact = walk(tar({"a": b""}, tarfile.PAX_FORMAT, modified_s=1.5))
    assert [m.modified_ns for m in exact] == [1_500_000_000]


def test_what_is_no_member_is_passed_over() -> None:
    data = (
        header(b"dir/", octal(0), b"5")
        + header(b"link", octal(900), b"2")
        + header(b"hard", octal(900), b"1")
        + header(b"device", octal(0), b"3")
        + header(b"pipe", octal(900), b"6")
        + header(b"old-dir/", octal(0), b"\0")
        + header(b"unknown", octal(5), b"Q")
        + padded(b"12345")
        + header(b"file", octal(3))
        + padded(b"yes")
        + END
    )
    assert contents(data) == [("file", b"yes")]


def test_sparse_files_are_passed_over() -> None:
    sparse = header(b"s", octal(512), b"S", {482: b"\1"})
    more = bytes(504) + b"\1" + bytes(7)
    last = bytes(512)
    pax_sparse = pax(("GNU.sparse.major", "1"), ("GNU.sparse.name", "s")) + header(b"x", octal(4))
    data = sparse + more + last + bytes(512) + pax_sparse + padded(b"1234")
    assert contents(data + header(b"f", octal(1)) + padded(b"f") + END) == [("f", b"f")]


def test_names_that_reach_out_are_no_members() -> None:
    names = ["../up", "a/../b", "..", "/abs", "./here", "~/home", "a/./b", ".hidden", "..."]
    assert [path for path, _ in contents(tar(dict.fromkeys(names, b"")))] == [
        "abs",
        "here",
        ".hidden",
        "...",
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "a"),
        ("/a", "a"),
        ("//a", "a"),
        ("././/a", "a"),
        ("a/", None),
        ("", None),
        ("/", None),
        ("./", None),
        (".", None),
        ("a/..", None),
        ("a..b/c.", "a..b/c."),
        ("~a", "~a"),
        ("/~/a", None),
        ("a\0b", None),
        ("n" * 4096, "n" * 4096),
        ("n" * 4097, None),
        ("ü" * 2049, None),
    ],
)
def test_member_path(name: str, path: str | None) -> None:
    assert member_path(name) == path


def test_base_256_sizes() -> None:
    data = header(b"f", b"\x80" + (3).to_bytes(11, "big")) + padded(b"abc") + END
    assert contents(data) == [("f", b"abc")]
    for size in (
        b"\x80" + b"\xff" * 11,
        b"\xff" * 12,
        b"\x81" + bytes(11),
        b"9" * 11,
        b"1_0",
        b"-1",
    ):
        with pytest.raises(BadArchive):
            walk(header(b"f", size) + padded(b"abc") + END)


def test_pax_overrides() -> None:
    data = pax(("path", "real"), ("size", "3")) + header(b"fake", octal(0)) + padded(b"abc") + END
    assert contents(data) == [("real", b"abc")]
    data = pax(("path", "")) + header(b"own", octal(0)) + END
    assert contents(data) == [("own", b"")]


@pytest.mark.parametrize(
    "start",
    [
        pax(("size", "-1")),
        pax(("size", "9" * 30)),
        pax(("size", "1e3")),
        pax(("size", "9" * 18)),
        pax(("path", "x"), kind=b"g"),
        pax(("size", "1"), kind=b"g"),
        pax(("path", "x")) * 9,
        header(b"pax", octal(9), b"x") + padded(b"999999 a="),
        header(b"pax", octal(6), b"x") + padded(b"0 a=b\n"),
        header(b"pax", octal(6), b"x") + padded(b"5 a=b\n"),
        header(b"pax", octal(5), b"x") + padded(b"5 ab\n"),
        header(b"pax", octal(2 * 1024**2), b"x") + bytes(2 * 1024**2),
        header(b"name", octal(2**32), b"L"),
    ],
)
def test_bad_descriptions(start: bytes) -> None:
    with pytest.raises(BadArchive):
        walk(start + header(b"f", octal(1)) + padded(b"f") + END)


def test_global_headers_may_have_comments() -> None:
    data = pax(("comment", "0123abcd"), kind=b"g") * 20 + header(b"f", octal(0)) + END
    assert contents(data) == [("f", b"")]


def test_what_describes_nothing() -> None:
    with pytest.raises(BadArchive):
        walk(pax(("path", "x")) + END)


def test_no_header() -> None:
    for data in (b"junk" * 200, header(b"f", octal(0)) + b"\1" * 512, b"x", b"x" * 511):
        with pytest.raises(BadArchive):
            walk(data)


def test_nothing_is_an_archive_of_nothing() -> None:
    assert walk(b"") == walk(END) == walk(bytes(512)) == walk(bytes(100)) == []


def test_a_signed_checksum() -> None:
    block = bytearray(header("ü".encode(), octal(0)))
    block[148:156] = b" " * 8
    total = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    assert contents(bytes(block) + END) == [("ü", b"")]


def test_too_many_entries() -> None:
    limits = ShardLimits(max_members=2)
    assert len(walk(tar({"a": b"", "b": b""}), limits)) == 2
    with pytest.raises(BadArchive):
        walk(tar({"a": b"", "b": b"", "c": b""}), limits)


@given(cut=st.integers(0, 20_000), form=st.sampled_from(FORMS))
def test_cut_anywhere(cut: int, form: int) -> None:
    members = {
        "a": b"alpha",
        "b/" + "n" * 90: bytes(range(256)) * 20,
        "c" * 99: b"",
        "d": b"d" * 512,
    }
    data = tar(members, form)[:cut]
    try:
        found = contents(data)
    except BadArchive:
        return
    assert found == list(members.items())[: len(found)]


@given(place=st.integers(0, 5000), value=st.integers(0, 255), form=st.sampled_from(FORMS))
def test_a_changed_byte_is_never_a_fault(place: int, value: int, form: int) -> None:
    data = bytearray(tar({"a": b"alpha", "n" * 60 + "/" + "m" * 60: b"beta"}, form))
    data[place % len(data)] = value
    try:
        contents(bytes(data))
    except BadArchive:
        pass


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        st.binary(max_size=1500),
        max_size=5,
    ),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_agrees_with_tarfile(members: dict[str, bytes], form: int) -> None:
    data = tar(members, form)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = []
        for info in archive:
            path = member_path(info.name)
            file = archive.extractfile(info)
            if path is not None and file is not None:
                expected.append((path, file.read()))
    found = contents(data)
    # tarfile strips slashes from the ends of names.
    assert [each for each in expected if each in found] == found
