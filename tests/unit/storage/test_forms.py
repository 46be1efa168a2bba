"""The stored forms: layout, records, blobs; and what is refused of them."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.placement import HrwPlacement
from core.errors import Corrupt, InvalidArgument
from core.names import ObjectKey, UserId
from core.types import (
    CannedAcl,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    ObjectAttributes,
    ObjectInfo,
    ObjectPart,
)
from storage.blobs import BlobWriter, read_trailer_sync
from storage.database import Writer
from storage.layout import (
    IDENTITY_FILE,
    Layout,
    WorkerLock,
    live_workers_sync,
    open_set_sync,
    worker_of,
)
from storage.records import (
    Description,
    FileSegment,
    InlineSegment,
    Refs,
    StoredObject,
    decode_description,
    decode_record,
    decode_refs,
    encode_description,
    encode_record,
    encode_refs,
    summary_of,
)

KEY = ObjectKey("a/../b\x00é")
_text = st.text(max_size=20)
_checksums = st.none() | st.builds(
    Checksum, st.sampled_from(ChecksumAlgorithm), st.binary(min_size=4, max_size=32)
)
_numbers = st.integers(0, 2**63 - 1)
_infos = st.builds(
    ObjectInfo,
    st.just(KEY),
    _numbers,
    _text,
    _numbers,
    st.builds(
        ObjectAttributes,
        st.dictionaries(_text, _text, max_size=3),
        st.dictionaries(_text, _text, max_size=3),
        _text,
        st.builds(UserId, _text),
        st.sampled_from(CannedAcl),
    ),
    _checksums,
    parts=st.lists(st.builds(ObjectPart, _numbers, _numbers, _checksums), min_size=1, max_size=3),
)
_segments = st.one_of(
    st.builds(InlineSegment, _numbers, _numbers, st.integers(0, 2**64 - 1)),
    st.builds(FileSegment, _text, _numbers, st.integers(0, 2**64 - 1)),
)


@given(st.builds(StoredObject, _infos, _numbers, st.lists(_segments), st.none() | _numbers))
def test_records_come_back_as_they_were(stored: StoredObject) -> None:
    assert decode_record(encode_record(stored), KEY) == stored
    summary = summary_of(stored)
    assert decode_record(encode_record(summary), KEY) == summary


def test_composite_checksums_come_back() -> None:
    checksum = Checksum(ChecksumAlgorithm.CRC32, b"abcd", ChecksumType.COMPOSITE, 3)
    info = ObjectInfo(KEY, 1, "e-3", 2, ObjectAttributes(), checksum)
    stored = StoredObject(info, 5)
    assert decode_record(encode_record(stored), KEY) == replace(stored, segments=[])


@pytest.mark.parametrize("raw", [b"", b"\xc1", msgpack.packb([99]), msgpack.packb([1, 2]), b"\x07"])
def test_what_is_no_form_is_corrupt(raw: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_record(raw, KEY)
    with pytest.raises(Corrupt):
        decode_description(raw, "here")
    with pytest.raises(Corrupt):
        decode_refs(raw)


def test_descriptions_and_refs_come_back() -> None:
    description = Description("object", 7, b"\x00key", b"record")
    assert decode_description(encode_description(description), "here") == description
    refs = Refs(["a", "b"], [1, 2])
    assert decode_refs(encode_refs(refs)) == refs
    assert refs.without(Refs(["a"], [2])) == Refs(["b"], [1])


# --- blobs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    open_set_sync([tmp_path / "m"])
    return Layout(tmp_path / "m")


def test_a_blob_describes_itself_or_is_unfinished(layout: Layout) -> None:
    blob = BlobWriter(layout, "worker-1")
    blob.write([b"abc", b"def"] * 1000)
    path = layout.blob("worker-1")
    with pytest.raises(Corrupt):
        read_trailer_sync(path)
    blob.finish(b"description")
    trailer = read_trailer_sync(path)
    assert (trailer.size_bytes, trailer.description) == (6000, b"description")
    whole = Path(path).read_bytes()
    for damage in (whole[:-1], whole[:6005], b"x" + whole, whole[:6002] + b"X" + whole[6003:]):
        Path(path).write_bytes(damage)
        with pytest.raises(Corrupt):
            read_trailer_sync(path)
    number = struct.pack("<I", 2)
    Path(path).write_bytes(whole[:-12] + number + whole[-8:])
    with pytest.raises(Corrupt, match="format 2"):
        read_trailer_sync(path)


def test_an_abandoned_blob_is_gone(layout: Layout) -> None:
    blob = BlobWriter(layout, "worker-1")
    blob.abandon()
    blob = BlobWriter(layout, "worker-2")
    blob.write([b"x"])
    blob.abandon()
    assert not os.path.exists(layout.blob("worker-2"))


# --- layout ------------------------------------------------------------------------------------------------------


def test_the_set_is_fixed_when_the_store_is_made(tmp_path: Path) -> None:
    places = [tmp_path / name for name in "abc"]
    made = open_set_sync(places[:2])
    assert open_set_sync(list(reversed(places[:2]))) == made
    with pytest.raises(InvalidArgument):
        open_set_sync(places)
    alone = open_set_sync(places[:1])
    assert [spec.uuid for spec in alone] == [spec.uuid for spec in made]
    assert sorted(spec.directory is None for spec in alone) == [False, True]
    other = open_set_sync(places[2:])
    assert len(other) == 1
    with pytest.raises(InvalidArgument):
        open_set_sync([places[0], places[2]])


def test_an_interrupted_making_goes_on(tmp_path: Path) -> None:
    places = [tmp_path / name for name in "ab"]
    made = open_set_sync(places)
    identity = places[1] / IDENTITY_FILE
    text = identity.read_text()
    identity.write_text(text[: text.index('"members"')] + '"members": []}')
    assert open_set_sync(places) == made
    identity.write_text("{}")
    with pytest.raises(Corrupt):
        open_set_sync(places)


def test_live_and_dead_workers(layout: Layout) -> None:
    first, second = WorkerLock(layout), WorkerLock(layout)
    blob_ids = {first.next_blob_id(), first.next_blob_id(), second.next_blob_id()}
    assert {worker_of(blob_id) for blob_id in blob_ids} == {first.worker_id, second.worker_id}
    assert live_workers_sync(layout) == {first.worker_id, second.worker_id}
    (layout.workers / "dead.lock").touch()
    second.close()
    assert live_workers_sync(layout) == {first.worker_id}
    assert len(list(layout.workers.iterdir())) == 1
    first.close()


@pytest.mark.parametrize("lost", ["index.db", "small.db"])
def test_a_lost_database_is_not_made_anew_silently(layout: Layout, lost: str) -> None:
    Writer(layout).close()
    (layout.directory / lost).unlink()
    with pytest.raises(Corrupt):
        Writer(layout)


@given(st.sets(st.text("abcdef", min_size=4), min_size=2, max_size=6), st.binary(max_size=8))
def test_a_member_that_leaves_moves_only_its_own(members: set[str], key: bytes) -> None:
    names = sorted(members)
    owner = names[HrwPlacement(names).mountpath_index(7, key)]
    backwards = names[::-1]
    assert backwards[HrwPlacement(backwards).mountpath_index(7, key)] == owner
    for gone in set(names) - {owner}:
        left = [name for name in names if name != gone]
        assert left[HrwPlacement(left).mountpath_index(7, key)] == owner
