"""What a job on many objects works on, and where it goes on; and how copies are called and made."""

from __future__ import annotations

import pytest

from backends.memory import MemoryStore
from core.configs.versioning import Versioning
from core.errors import InvalidKey, KeyTooLong, NoSuchKey
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.types import Bucket, BucketProps, ObjectAttributes, User
from jobs import selection as selecting
from jobs.copying import Copier, NameMap
from jobs.selection import Piece, Selection, pieces
from tests.contract.world import USER, Body, FakeClock, key, put

OTHER = User(UserId("other"), "other", "Other")


async def filled(*names: str) -> tuple[MemoryStore, Bucket]:
    store = MemoryStore(FakeClock())
    props = BucketProps(versioning=Versioning.OFF)
    bucket = await store.create_bucket(
        BucketRef(BucketName("source")), owner=USER, region="", props=props
    )
    for name in names:
        await put(store, bucket, name, name.encode())
    return store, bucket


async def all_pieces(
    store: MemoryStore, bucket: Bucket, selection: Selection, cursor: str = ""
) -> list[Piece]:
    return [piece async for piece in pieces(store, bucket, selection, cursor)]


def keys_of(found: list[Piece]) -> list[str]:
    return [name for piece in found for name in piece.keys]


NAMES = [f"k{index:03}" for index in range(250)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), NAMES),
        (Selection(template="k00"), NAMES[:10]),
        (Selection(template="k{010..012}"), NAMES[10:13]),
        (Selection(template="k{010..250}", prefix="k24"), NAMES[240:250]),
        (Selection(template="k0", prefix="k"), NAMES[:100]),
        (Selection(template="k", prefix="j"), []),
        (Selection(template="%03d"), []),
        (Selection(template="k%03d"), NAMES),
        (Selection(template="k{000..999999..3}"), NAMES[::3]),
        (Selection([key("b"), key("a")]), ["b", "a"]),
        (Selection([key("b"), key("a")], prefix="a"), ["a"]),
        (Selection([]), []),
    ],
)
async def test_pieces(selection: Selection, expected: list[str]) -> None:
    store, bucket = await filled(*NAMES)
    found = await all_pieces(store, bucket, selection)
    assert keys_of(found) == expected
    assert all(piece.must_exist is (selection.names is not None) for piece in found)
    # From each place on there is just what was left.
    done = 0
    for piece in found:
        done += len(piece.keys)
        rest = await all_pieces(store, bucket, selection, piece.cursor)
        assert keys_of(rest) == expected[done:]


async def test_templates_of_many_names_have_no_cost_of_their_own() -> None:
    store, bucket = await filled(*NAMES)
    found = await all_pieces(store, bucket, Selection(template="k{000..999999999999}"))
    assert keys_of(found) == NAMES


async def test_templates_of_few_names_list_nothing() -> None:
    store, bucket = await filled()
    found = await all_pieces(store, bucket, Selection(template="k{1..150}"))
    assert keys_of(found) == [f"k{n}" for n in range(1, 151)]


async def test_pages_without_matches_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "_PAGE", 100)
    store, bucket = await filled(*NAMES)
    found = await all_pieces(store, bucket, Selection(template="k{240..999999999}"))
    assert [piece.cursor for piece in found] == ["k099", "k199", "k249"]
    assert keys_of(found) == NAMES[240:]


def test_a_selection_survives_its_fields() -> None:
    for selection in (Selection(), Selection([key("a")]), Selection(template="x", prefix="y")):
        assert Selection.of_fields(selection.fields()) == selection


@pytest.mark.parametrize(
    ("names", "source", "expected"),
    [
        (NameMap(), "a.b", "a.b"),
        (NameMap("p-"), "a", "p-a"),
        (NameMap("d/", {"jpg": "txt"}), "x/a.jpg", "d/x/a.txt"),
        (NameMap("", {"jpg": "txt"}), "ajpg", "ajpg"),
        (NameMap("", {"gz": "a", "tar.gz": "tgz"}), "s.tar.gz", "s.tgz"),
        (NameMap("", {"jpg": ""}), "a.jpg", "a"),
    ],
)
def test_names_of_copies(names: NameMap, source: str, expected: str) -> None:
    assert names.name(key(source)) == expected


def test_names_of_copies_have_limits() -> None:
    with pytest.raises(KeyTooLong):
        NameMap("p" * 1024).name(key("a"))
    with pytest.raises(InvalidKey):
        NameMap("", {"jpg": ""}).name(ObjectKey(".jpg"))


async def test_copies_keep_what_was_said_and_belong_to_the_copier() -> None:
    store, bucket = await filled()
    target = await store.create_bucket(
        BucketRef(BucketName("target")), owner=USER, region="", props=BucketProps()
    )
    attributes = ObjectAttributes(
        {"content-type": "a/b"}, {"c": "d"}, owner_id=USER.user_id, tags={"e": "f"}
    )
    await store.put(bucket, key("k"), Body(b"data"), attributes=attributes)
    info = await Copier(store, bucket, target, OTHER).copy(key("k"), key("to"))
    assert info is not None
    assert info.size_bytes == 4
    made = (await store.head(target, key("to"))).attributes
    assert (made.headers, made.user_metadata, made.tags, made.owner_id) == (
        attributes.headers,
        attributes.user_metadata,
        attributes.tags,
        OTHER.user_id,
    )
    with pytest.raises(NoSuchKey):
        await Copier(store, bucket, target, OTHER).copy(key("absent"), key("to"))


async def test_large_objects_are_copied_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.copying.MAX_PUT_BYTES", 10)
    monkeypatch.setattr("jobs.copying._PART_BYTES", 6)
    store, bucket = await filled()
    store = MemoryStore(FakeClock(), min_part_bytes=5)
    bucket = await store.create_bucket(bucket.ref, owner=USER, region="", props=BucketProps())
    attributes = ObjectAttributes({}, {"c": "d"}, owner_id=USER.user_id, tags={"e": "f"})
    await store.put(bucket, key("k"), Body(b"0123456789abc"), attributes=attributes)
    info = await Copier(store, bucket, bucket, OTHER).copy(key("k"), key("to"))
    assert info is not None
    assert (info.size_bytes, len(info.parts)) == (13, 3)
    reader = await store.get(bucket, key("to"))
    assert b"".join([chunk async for chunk in reader]) == b"0123456789abc"
    await reader.close()
    assert reader.info.attributes.tags == {"e": "f"}
