"""The TAR that batches are sent as and shards are made of, read back by tarfile."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import tar

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300
).filter(lambda name: name == name.rstrip("/"))


def read_one(name: str, size_bytes: int, modified_s: int) -> tarfile.TarInfo:
    """The member that a header says."""
    archive = tar.header(name, size_bytes, modified_s) + tar.END
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.next()
    assert member is not None
    return member


@given(NAMES, st.integers(0, 2**45), st.integers(0, 2**33 - 1))
def test_any_name_size_and_time(name: str, size_bytes: int, modified_s: int) -> None:
    member = read_one(name, size_bytes, modified_s)
    assert (member.name, member.size, member.mtime) == (name, size_bytes, modified_s)
    assert member.isfile()
    assert member.mode == 0o644


@given(st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=8))
def test_members_in_order(members: list[tuple[str, bytes]]) -> None:
    parts = [
        tar.header(name, len(data), 7) + data + tar.padding(len(data)) for name, data in members
    ]
    assert tar.members((name, 7, data) for name, data in members) == b"".join(parts)
    assert all(len(part) % tar.BLOCK_BYTES == 0 for part in parts)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts) + tar.END)) as opened:
        found = []
        for member in opened:
            file = opened.extractfile(member)
            assert file is not None
            found.append((member.name, file.read()))
    assert found == members


def test_limits_of_plain_headers() -> None:
    for name in ("x" * 100, "x" * 101, "dir/" * 60 + "leaf", "ü", "a" * 99 + "ü"):
        for size_bytes in (0, 8 * 1024**3 - 1, 8 * 1024**3):
            member = read_one(name, size_bytes, 1)
            assert (member.name, member.size) == (name, size_bytes)
    assert len(tar.header("x" * 100, 8 * 1024**3 - 1, 1)) == tar.BLOCK_BYTES


def test_times_that_no_header_can_say() -> None:
    assert read_one("a", 0, -5).mtime == 0
    assert read_one("a", 0, 2**40).mtime == 8**11 - 1


@pytest.mark.parametrize("name", ["a", "dir/name.txt", "n" * 100, "a b"])
@pytest.mark.parametrize("size_bytes", [0, 5, 8**11 - 1])
def test_plain_headers_are_those_of_tarfile(name: str, size_bytes: int) -> None:
    for modified_s in (0, 1_700_000_000):
        info = tarfile.TarInfo(name)
        info.size, info.mtime = size_bytes, modified_s
        assert tar.header(name, size_bytes, modified_s) == info.tobuf(tarfile.USTAR_FORMAT)
