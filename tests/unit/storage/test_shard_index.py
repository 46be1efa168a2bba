"""The form of shard indexes: what is written is found, and bytes of whatever kind harm nobody."""

from __future__ import annotations

import struct

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from core.names import BucketName, BucketRef, ObjectKey
from core.shard_indexes import index_key, shard_of
from core.shards import Member
from core.types import Bucket, ObjectAttributes, ObjectInfo
from storage.shards import index as form
from storage.shards.index import BadIndexError, IndexWriter, ShardIndex, TooManyMembersError
from storage.shards.indexes import IndexMemory
from tests.contract.world import USER, FakeClock

SHARD_BYTES = 10**12
ETAG = "0123456789abcdef0123456789abcdef-7"
PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


def made(members: list[Member], shard_bytes: int = SHARD_BYTES) -> bytes:
    writer = IndexWriter()
    for member in members:
        writer.add(member)
    return writer.finish(ETAG, shard_bytes)


def info(key: str = "a.tar", etag: str = ETAG, size_bytes: int = SHARD_BYTES) -> ObjectInfo:
    return ObjectInfo(ObjectKey(key), size_bytes, etag, 1, ObjectAttributes())


@given(st.lists(st.tuples(PATHS, st.integers(0, 10**9)), max_size=40))
def test_what_was_written_is_found(entries: list[tuple[str, int]]) -> None:
    members = [
        Member(path, size_bytes, 512 + 1024 * place, place * 10**9)
        for place, (path, size_bytes) in enumerate(entries)
    ]
    first: dict[str, Member] = {}
    for member in members:
        first.setdefault(member.path, member)
    index = ShardIndex(made(members))
    assert index.count == len(first)
    assert index.total_bytes() == sum(member.size_bytes for member in first.values())
    for path, member in first.items():
        assert index.find(path) == member
        assert index.find(path + "\0") is None
    assert index.find("") is None
    assert list(index.in_order()) == list(first.values())
    ordered = [first[path] for path in sorted(first, key=str.encode)]
    assert index.page("", "", 1000) == (ordered, False)


@given(st.sets(PATHS, max_size=30), PATHS | st.just(""), PATHS | st.just(""), st.integers(1, 5))
def test_page_of_members(paths: set[str], prefix: str, after: str, limit: int) -> None:
    index = ShardIndex(made([Member(path, 1, 0) for path in paths]))
    wanted = sorted(
        path.encode()
        for path in paths
        if path.startswith(prefix) and path.encode() > after.encode()
    )
    found, is_truncated = index.page(prefix, after, limit)
    assert [member.path.encode() for member in found] == wanted[:limit]
    assert is_truncated == (len(wanted) > limit)


def test_index_is_of_one_content() -> None:
    index = ShardIndex(made([Member("x", 1, 512)]))
    assert index.is_of(info())
    assert not index.is_of(info(etag="0" * 32))
    assert not index.is_of(info(size_bytes=SHARD_BYTES + 1))


@given(st.data())
def test_damage_is_noticed(data: st.DataObject) -> None:
    raw = bytearray(made([Member(f"m{n}", n, 512 * n) for n in range(5)]))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadIndexError):
        ShardIndex(bytes(raw))
    with pytest.raises(BadIndexError):
        ShardIndex(bytes(raw[:place]))


@given(
    st.binary(max_size=300),
    st.tuples(
        st.integers(0, 2**64 - 1), st.integers(0, 20), st.integers(0, 300), st.integers(0, 300)
    ),
)
def test_hostile_bytes_with_a_good_checksum(rest: bytes, head: tuple[int, ...]) -> None:
    payload = struct.pack("=QIIQ", *head) + rest
    raw = struct.pack("=8sQ", b"weirtar\x01", xxhash.xxh3_64_intdigest(payload)) + payload
    try:
        index = ShardIndex(raw)
        for path in ("", "a", "m1"):
            found = index.find(path)
            assert found is None or (found.offset or 0) + found.size_bytes <= index.shard_bytes
        index.page("", "", 10)
        list(index.in_order())
    except BadIndexError:
        pass


def test_member_outside_of_the_shard_is_refused() -> None:
    index = ShardIndex(made([Member("x", 1000, 512)], shard_bytes=1000))
    with pytest.raises(BadIndexError):
        index.find("x")
    with pytest.raises(BadIndexError):
        index.page("", "", 10)


def test_limits_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "MAX_MEMBERS", 3)
    with pytest.raises(TooManyMembersError):
        made([Member(str(n), 1, 0) for n in range(4)])
    monkeypatch.setattr(form, "MAX_NAMES_BYTES", 5)
    with pytest.raises(TooManyMembersError):
        made([Member("name", 1, 0), Member("more", 1, 0)])


def test_names_of_indexes() -> None:
    for ref in (
        BucketRef(BucketName("bck")),
        BucketRef(BucketName("bck"), "aws"),
        BucketRef(BucketName("bck"), "ais", "@uuid#ns"),
    ):
        assert shard_of(index_key(ref, ObjectKey("a/b.tar"))) == (ref, "a/b.tar")
    plain = BucketRef(BucketName("bck"))
    assert index_key(plain, ObjectKey("a/b.tar")) == "ais/@#/bck/a/b.tar.idx"
    longest = index_key(plain, ObjectKey("ü" * 512))
    assert len(longest.encode()) <= 1024
    assert shard_of(longest) == (plain, None)
    assert shard_of(ObjectKey("nothing.idx")) is None


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    index = ShardIndex(made([Member("x" * 100, 1, 512)]))
    memory = IndexMemory(max_bytes=3 * index.raw_bytes)
    bucket = _bucket()
    for number in range(4):
        memory.keep(bucket, info(f"{number}.tar"), index)
        memory.find(bucket, info("1.tar"))
    kept = [n for n in range(4) if memory.find(bucket, info(f"{n}.tar")) is not None]
    assert kept == [1, 2, 3]
    assert memory.find(bucket, info("1.tar", etag="other")) is None
    tiny = IndexMemory(max_bytes=1)
    tiny.keep(bucket, info(), index)
    assert tiny.find(bucket, info()) is index


def _bucket() -> Bucket:
    return Bucket(BucketRef(BucketName("bck")), 1, USER, FakeClock().now_ns())
