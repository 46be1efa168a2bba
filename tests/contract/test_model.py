"""Stores driven by random steps, each compared with the model; LocalNode on real disk and across restarts."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.errors import InvalidRange, NoSuchKey, NoSuchUpload, PreconditionFailed, StoreError
from core.names import UploadId
from core.types import (
    BoundedRange,
    Bucket,
    ByteRange,
    CompletedPart,
    Conditions,
    DeleteItem,
    ListQuery,
    ObjectAttributes,
    ObjectInfo,
    OffsetRange,
    PartRange,
    SuffixRange,
    UploadListQuery,
)
from tests.contract import world as worlds
from tests.contract.local_world import LocalWorld
from tests.contract.memory_world import MemoryWorld
from tests.contract.model import ModelBucket, ModelObject, ModelUpload, list_names, md5_of
from tests.contract.world import USER, Body, World, key, pattern, read

assert worlds.MIN_PART_BYTES == 16

T = TypeVar("T")

_KEYS = st.one_of(
    st.text(st.sampled_from("ab/"), min_size=1, max_size=4),
    st.text(st.sampled_from("a/"), min_size=1, max_size=4),
    st.text(st.sampled_from("a/.\x00\x1f\x7f é￿\U00010000🦆"), min_size=1, max_size=5),
    st.sampled_from(["..", "../a", "//", "a//b", "/a", "a" * 1024, "a" * 1023 + "b", "ü" * 512]),
)
_AFFIXES = st.one_of(st.just(""), st.text(st.sampled_from("ab/￿\U00010000\x00"), max_size=3), _KEYS)
_DELIMITERS = st.sampled_from(["", "", "/", "/", "a", "//", "￿", "\x00"])
_SIZES = st.sampled_from([0, 1, 15, 16, 17, 300, 1024, 1025, 70_000])
_DATA = st.builds(pattern, _SIZES, st.integers(0, 3))
_PLACES = st.integers(0, 1)
_NUMBERS = st.sampled_from([1, 2, 3, 10_000])
_MARKS = st.sampled_from(["", "x", "ü"])


class StoreMachine(RuleBasedStateMachine):
    """Two buckets of a store and of the model."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.models = (ModelBucket(), ModelBucket())
        self.completed: list[tuple[int, str, str, list[CompletedPart]]] = []

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.world.run(coroutine)

    @initialize()
    def make_buckets(self) -> None:
        self.buckets: tuple[Bucket, Bucket] = (
            self.run(self.world.new_bucket()),
            self.run(self.world.new_bucket()),
        )

    # --- objects ---

    @rule(place=_PLACES, name=_KEYS, data=_DATA, mark=_MARKS)
    def put(self, place: int, name: str, data: bytes, mark: str) -> None:
        self.world.clock.advance(1)
        info = self.run(
            self.world.store.put(
                self.buckets[place], key(name), Body(data), attributes=_attributes(mark)
            )
        )
        self.models[place].put(name, data, mark)
        self._check_info(info, self.models[place].objects[name])

    @rule(place=_PLACES, names=st.lists(_KEYS, min_size=4, max_size=12))
    def put_many(self, place: int, names: list[str]) -> None:
        for name in names:
            self.put(place, name, name.encode(), "")

    @rule(place=_PLACES, name=_KEYS, data=_DATA, must=st.sampled_from(["new", "old", "other"]))
    def put_on_condition(self, place: int, name: str, data: bytes, must: str) -> None:
        model = self.models[place]
        current = model.objects.get(name)
        conditions, holds = _condition(must, current)
        error: type[StoreError] = PreconditionFailed
        if current is None and must != "new":
            error = NoSuchKey
        put = self.world.store.put(
            self.buckets[place],
            key(name),
            Body(data),
            attributes=_attributes(""),
            conditions=conditions,
        )
        if holds:
            self.run(put)
            model.put(name, data, "")
        else:
            with pytest.raises(error):
                self.run(put)

    @rule(place=_PLACES, names=st.lists(_KEYS, min_size=1, max_size=5))
    def delete_many(self, place: int, names: list[str]) -> None:
        items = [DeleteItem(key(name)) for name in names]
        outcomes = self.run(self.world.store.delete_many(self.buckets[place], items))
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        for name in names:
            self.models[place].objects.pop(name, None)

    @precondition(lambda self: any(model.objects for model in self.models))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        place, name = self._some_object(data)
        self.run(self.world.store.delete(self.buckets[place], key(name)))
        del self.models[place].objects[name]

    @precondition(lambda self: any(model.objects for model in self.models))
    @rule(data=st.data(), to=_PLACES, name=_KEYS, mark=st.one_of(st.none(), _MARKS))
    def copy(self, data: st.DataObject, to: int, name: str, mark: str | None) -> None:
        place, source = self._some_object(data)
        if data.draw(st.booleans(), label="onto itself"):
            to, name, mark = place, source, mark or "x"
        self.world.clock.advance(1)
        info = self.run(
            self.world.store.copy(
                self.buckets[place],
                key(source),
                self.buckets[to],
                key(name),
                attributes=None if mark is None else _attributes(mark),
            )
        )
        self.models[to].copy(self.models[place].objects[source], name, mark)
        self._check_info(info, self.models[to].objects[name])

    @precondition(lambda self: any(model.objects for model in self.models))
    @rule(data=st.data())
    def read_range(self, data: st.DataObject) -> None:
        place, name = self._some_object(data)
        expected = self.models[place].objects[name]
        byte_range, wanted = data.draw(_ranges(expected), label="range")
        get = read(self.world.store, self.buckets[place], name, byte_range)
        if wanted:
            assert self.run(get) == wanted
        else:
            with pytest.raises(InvalidRange):
                self.run(get)

    @rule(place=_PLACES, name=_KEYS)
    def read_maybe_absent(self, place: int, name: str) -> None:
        expected = self.models[place].objects.get(name)
        if expected is not None:
            self._check_object(place, name, expected)
            return
        with pytest.raises(NoSuchKey):
            self.run(self.world.store.head(self.buckets[place], key(name)))

    # --- uploads ---

    @rule(place=_PLACES, name=_KEYS, mark=_MARKS)
    def create_upload(self, place: int, name: str, mark: str) -> None:
        self.world.clock.advance(1)
        upload = self.run(
            self.world.store.create_upload(
                self.buckets[place], key(name), attributes=_attributes(mark), initiator=USER
            )
        )
        self.models[place].uploads[upload.upload_id] = ModelUpload(name, mark)

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data(), number=_NUMBERS, content=_DATA)
    def upload_part(self, data: st.DataObject, number: int, content: bytes) -> None:
        place, upload_id, upload = self._some_upload(data)
        part = self.run(
            self.world.store.upload_part(
                self.buckets[place], key(upload.key), UploadId(upload_id), number, Body(content)
            )
        )
        assert (part.etag, part.size_bytes) == (md5_of(content), len(content))
        upload.parts[number] = content

    @precondition(
        lambda self: (
            any(model.uploads for model in self.models)
            and any(model.objects for model in self.models)
        )
    )
    @rule(data=st.data(), number=_NUMBERS)
    def upload_part_copy(self, data: st.DataObject, number: int) -> None:
        place, upload_id, upload = self._some_upload(data)
        source_place, source = self._some_object(data)
        content = self.models[source_place].objects[source].data
        byte_range = None
        if len(content) > 1 and data.draw(st.booleans(), label="ranged"):
            byte_range = BoundedRange(1, len(content) - 1)
        self.run(
            self.world.store.upload_part_copy(
                self.buckets[source_place],
                key(source),
                self.buckets[place],
                key(upload.key),
                UploadId(upload_id),
                number,
                source_range=byte_range,
            )
        )
        upload.parts[number] = content if byte_range is None else content[1:]

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data(), is_orderly=st.booleans())
    def complete_upload(self, data: st.DataObject, is_orderly: bool) -> None:
        place, upload_id, upload = self._some_upload(data)
        held = st.sampled_from(sorted(upload.parts)) if upload.parts else _NUMBERS
        numbers = data.draw(st.lists(held if is_orderly else _NUMBERS, min_size=1, max_size=4))
        if is_orderly:
            numbers = sorted(set(numbers))
        named = [CompletedPart(number, md5_of(upload.parts.get(number, b""))) for number in numbers]
        expected = self.models[place].completion_of(upload_id, numbers)
        complete = self.world.store.complete_upload(
            self.buckets[place], key(upload.key), UploadId(upload_id), named
        )
        if isinstance(expected, str):
            with pytest.raises(StoreError) as caught:
                self.run(complete)
            assert type(caught.value).__name__ == expected
            return
        self._check_info(self.run(complete), expected)
        self.models[place].objects[upload.key] = expected
        del self.models[place].uploads[upload_id]
        self.completed.append((place, upload.key, upload_id, named))

    @rule(
        place=_PLACES,
        name=_KEYS,
        parts=st.dictionaries(_NUMBERS, _DATA.filter(lambda part: len(part) >= 16), min_size=2),
        spare=st.booleans(),
    )
    def upload_in_parts(self, place: int, name: str, parts: dict[int, bytes], spare: bool) -> None:
        """The whole way at once, which single steps seldom go; perhaps with a part that is not used."""
        store, bucket = self.world.store, self.buckets[place]
        self.world.clock.advance(1)
        upload = self.run(
            store.create_upload(bucket, key(name), attributes=_attributes("m"), initiator=USER)
        )
        for number, part in parts.items():
            self.run(store.upload_part(bucket, key(name), upload.upload_id, number, Body(part)))
        self.models[place].uploads[upload.upload_id] = ModelUpload(name, "m", parts)
        numbers = sorted(parts)[: -1 if spare else None]
        named = [CompletedPart(number, md5_of(parts[number])) for number in numbers]
        expected = self.models[place].completion_of(upload.upload_id, numbers)
        assert isinstance(expected, ModelObject)
        info = self.run(store.complete_upload(bucket, key(name), upload.upload_id, named))
        self._check_info(info, expected)
        self.models[place].objects[name] = expected
        del self.models[place].uploads[upload.upload_id]
        self.completed.append((place, name, upload.upload_id, named))

    @precondition(lambda self: self.completed)
    @rule(data=st.data())
    def complete_again(self, data: st.DataObject) -> None:
        """Allowed while the object made is the current one; the model only knows that by its ETag, so that a refusal
        is right only where another object, or an equal one made later, has come."""
        place, name, upload_id, named = data.draw(st.sampled_from(self.completed))
        digests = b"".join(bytes.fromhex(part.etag) for part in named)
        etag = f"{md5_of(digests)}-{len(named)}"
        current = self.models[place].objects.get(name)
        again = self.world.store.complete_upload(
            self.buckets[place], key(name), UploadId(upload_id), named
        )
        try:
            info = self.run(again)
        except NoSuchUpload:
            return
        assert current is not None
        assert info.etag == current.etag == etag

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data())
    def abort_upload(self, data: st.DataObject) -> None:
        place, upload_id, upload = self._some_upload(data)
        self.run(
            self.world.store.abort_upload(self.buckets[place], key(upload.key), UploadId(upload_id))
        )
        del self.models[place].uploads[upload_id]

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data(), limit=st.integers(1, 3))
    def list_parts(self, data: st.DataObject, limit: int) -> None:
        place, upload_id, upload = self._some_upload(data)
        found: list[tuple[int, str]] = []
        after = 0
        while True:
            page = self.run(
                self.world.store.list_parts(
                    self.buckets[place],
                    key(upload.key),
                    UploadId(upload_id),
                    after=after,
                    limit=limit,
                )
            )
            found += [(part.part_number, part.etag) for part in page.parts]
            if not page.is_truncated:
                break
            after = page.next_part_number_marker
        assert found == [(number, md5_of(part)) for number, part in sorted(upload.parts.items())]

    # --- listing ---

    @rule(
        data=st.data(), place=_PLACES, delimiter=_DELIMITERS, limit=st.sampled_from([1, 2, 3, 1000])
    )
    def list_objects(self, data: st.DataObject, place: int, delimiter: str, limit: int) -> None:
        names = sorted(self.models[place].objects)
        for _ in range(3):
            prefix = data.draw(_near(names), label="prefix")
            after = data.draw(_near(names), label="after")
            self._check_listing(place, prefix, delimiter, after, limit)

    def _check_listing(
        self, place: int, prefix: str, delimiter: str, after: str, limit: int
    ) -> None:
        expected = self.models[place].listing(prefix, delimiter, after)
        query = ListQuery(prefix, delimiter, after, limit)
        found: list[tuple[str, bool]] = []
        while True:
            page = self.run(self.world.store.list_objects(self.buckets[place], query))
            for entry in page.entries:
                model = self.models[place].objects[entry.key]
                assert (entry.etag, entry.size_bytes) == (model.etag, len(model.data))
            names = [(entry.key, False) for entry in page.entries]
            groups = [(group, True) for group in page.common_prefixes]
            found += sorted([*names, *groups], key=lambda item: item[0].encode())
            assert len(names) + len(groups) <= limit
            if not page.is_truncated:
                break
            assert page.next_after == found[-1][0]
            query = ListQuery(prefix, delimiter, page.next_after, limit)
        assert found == expected

    @rule(
        place=_PLACES, prefix=_AFFIXES, delimiter=_DELIMITERS, limit=st.sampled_from([1, 2, 1000])
    )
    def list_uploads(self, place: int, prefix: str, delimiter: str, limit: int) -> None:
        uploads = self.models[place].uploads
        names = list_names([upload.key for upload in uploads.values()], prefix, delimiter, "")
        single = {name for name, is_group in names if not is_group}
        query = UploadListQuery(prefix, delimiter, limit=limit)
        ids: list[str] = []
        groups: list[str] = []
        while True:
            page = self.run(self.world.store.list_uploads(self.buckets[place], query))
            ids += [upload.upload_id for upload in page.uploads]
            groups += page.common_prefixes
            if not page.is_truncated:
                break
            query = UploadListQuery(
                prefix, delimiter, page.next_key_marker, page.next_upload_id_marker, limit
            )
        assert groups == [name for name, is_group in names if is_group]
        # The model keeps uploads in order of creation, and sorting is stable.
        ours = [upload_id for upload_id, upload in uploads.items() if upload.key in single]
        assert ids == sorted(ours, key=lambda upload_id: uploads[upload_id].key.encode())

    # --- now and then ---

    @rule()
    def restart(self) -> None:
        self.run(self.world.restart())

    def teardown(self) -> None:
        for place, model in enumerate(self.models):
            for name, expected in model.objects.items():
                self._check_object(place, name, expected)
        self.run(self.world.settle())
        assert not self.world.leftovers()

    # --- what the rules share ---

    def _check_object(self, place: int, name: str, expected: ModelObject) -> None:
        info = self.run(self.world.store.head(self.buckets[place], key(name)))
        self._check_info(info, expected)
        assert self.run(read(self.world.store, self.buckets[place], name)) == expected.data

    def _check_info(self, info: ObjectInfo, expected: ModelObject) -> None:
        assert (info.etag, info.size_bytes) == (expected.etag, len(expected.data))
        assert info.attributes.user_metadata == {"mark": expected.mark}
        assert {part.part_number: part.size_bytes for part in info.parts} == expected.parts

    def _some_object(self, data: st.DataObject) -> tuple[int, str]:
        pairs = [(place, name) for place, model in enumerate(self.models) for name in model.objects]
        return data.draw(st.sampled_from(pairs), label="object")

    def _some_upload(self, data: st.DataObject) -> tuple[int, str, ModelUpload]:
        """By its position: ids differ from run to run."""
        found = [
            (place, upload_id, upload)
            for place, model in enumerate(self.models)
            for upload_id, upload in model.uploads.items()
        ]
        return found[data.draw(st.integers(0, len(found) - 1), label="upload")]


def _near(names: list[str]) -> st.SearchStrategy[str]:
    """Prefixes and markers: beginnings of names that are there, and others."""
    if not names:
        return _AFFIXES
    cut = st.builds(lambda name, end: name[:end], st.sampled_from(names), st.integers(0, 4))
    return st.one_of(cut, st.sampled_from(names), _AFFIXES)


def _attributes(mark: str) -> ObjectAttributes:
    return ObjectAttributes(user_metadata={"mark": mark}, owner_id=USER.user_id)


def _condition(must: str, current: ModelObject | None) -> tuple[Conditions, bool]:
    """A condition of a kind, and whether it holds."""
    if must == "new":
        return Conditions(if_none_match=("*",)), current is None
    if must == "old" and current is not None:
        return Conditions(if_match=(current.etag,)), True
    return Conditions(if_match=("0" * 32,)), False


@st.composite
def _ranges(draw: st.DrawFn, expected: ModelObject) -> tuple[ByteRange, bytes]:
    """A range and the bytes it names; none if it is not satisfiable."""
    data = expected.data
    kind = draw(st.sampled_from(["bounded", "offset", "suffix", "part"]))
    if kind == "part" and expected.parts:
        number = draw(st.sampled_from(sorted(expected.parts)))
        first = sum(size for other, size in expected.parts.items() if other < number)
        part = data[first : first + expected.parts[number]]
        # A part of no bytes is a body of no bytes, not an error; leave that to the suite.
        return (PartRange(number), part) if part else (SuffixRange(0), b"")
    first = draw(st.integers(0, len(data) + 2))
    if kind == "bounded":
        last = first + draw(st.integers(0, len(data) + 2))
        return BoundedRange(first, last), data[first : last + 1]
    if kind == "suffix":
        return SuffixRange(first), data[-first:] if first else b""
    return OffsetRange(first), data[first:]


def _drive(world: World, examples: int) -> None:
    machine = type("Machine", (StoreMachine,), {"world": world})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        world.close()


@pytest.mark.slow
def test_memory_store_agrees_with_the_model() -> None:
    _drive(MemoryWorld(), 50)


@pytest.mark.slow
@pytest.mark.parametrize("mountpath_count", [1, 3])
def test_local_node_agrees_with_the_model(tmp_path: Path, mountpath_count: int) -> None:
    _drive(LocalWorld(tmp_path, mountpath_count, small_limit_bytes=1024), 10)
