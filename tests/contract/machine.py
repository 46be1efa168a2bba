"""What the random steps of tests.contract.test_model share: a store and its model, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from core.configs.versioning import DefaultRetention, ObjectLock, RetentionMode, Versioning
from core.errors import StoreError
from core.types import (
    Bucket,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
)
from core.uploads import CompletedPart
from tests.contract.model import NULL, ModelBucket, ModelUpload, ModelVersion, Wanted, tags_of
from tests.contract.world import USER, World, key, pattern, read_all

T = TypeVar("T")

KEYS = st.one_of(
    st.text(st.sampled_from("ab/"), min_size=1, max_size=4),
    st.text(st.sampled_from("a/"), min_size=1, max_size=4),
    st.text(st.sampled_from("a/.\x00\x1f\x7f é￿\U00010000🦆"), min_size=1, max_size=5),
    st.sampled_from(["..", "../a", "//", "a//b", "/a", "a" * 1024, "a" * 1023 + "b", "ü" * 512]),
)
AFFIXES = st.one_of(st.just(""), st.text(st.sampled_from("ab/￿\U00010000\x00"), max_size=3), KEYS)
DELIMITERS = st.sampled_from(["", "", "/", "/", "a", "//", "￿", "\x00"])
SIZES = st.sampled_from([0, 1, 15, 16, 17, 300, 1024, 1025, 70_000])
DATA = st.builds(pattern, SIZES, st.integers(0, 3))
PLACES = st.integers(0, 1)
MARKS = st.sampled_from(["", "x", "ü"])


@dataclasses.dataclass(frozen=True)
class Target:
    """A key and perhaps a version of it, that may or may not be there."""

    place: int
    name: str
    version_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Completed:
    """A finished upload and the serial of what it made; `is_sure`: nothing has made the store forget it."""

    place: int
    name: str
    upload_id: str
    parts: list[CompletedPart]
    serial: int
    is_sure: bool = True


class StoreMachine(RuleBasedStateMachine):
    """Two buckets of a store and of the model."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.models = (ModelBucket(), ModelBucket())
        self.completed: list[Completed] = []

    @initialize(
        versioning=st.lists(st.sampled_from(Versioning), min_size=2, max_size=2),
    )
    def make_buckets(self, versioning: list[Versioning]) -> None:
        self.plain = [self.run(self.world.new_bucket()) for _ in versioning]
        for model, state in zip(self.models, versioning, strict=True):
            model.versioning = state

    # --- driving the store ---

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.world.run(coroutine)

    def attempt(self, coroutine: Coroutine[Any, Any, T], error: str) -> T | None:
        """What a call returns, or None where it raised the error expected of it."""
        if not error:
            return self.run(coroutine)
        with pytest.raises(StoreError) as caught:
            self.run(coroutine)
        assert type(caught.value).__name__ == error
        return None

    def bucket(self, place: int) -> Bucket:
        """The bucket with the properties that its model has now."""
        model = self.models[place]
        lock = None
        if model.default_days:
            lock = ObjectLock(DefaultRetention(RetentionMode.GOVERNANCE, days=model.default_days))
        props = dataclasses.replace(
            self.plain[place].props, versioning=model.versioning, object_lock=lock
        )
        return dataclasses.replace(self.plain[place], props=props)

    def now(self) -> int:
        return self.world.clock.now_ns()

    # --- comparing ---

    def check_all(self) -> None:
        """Every version of the model is in the store, and every key is as its latest version says."""
        for place, model in enumerate(self.models):
            for name, versions in model.history.items():
                self.check(Target(place, name))
                for version in versions:
                    self.check(Target(place, name, version.version_id))

    def check(self, target: Target) -> None:
        expected = self.models[target.place].read(target.name, target.version_id)
        bucket, name, named = self.bucket(target.place), key(target.name), target.version_id
        head = self.world.store.head(bucket, name, version_id=named)
        if isinstance(expected, str):
            self.attempt(head, expected)
            return
        self.check_info(self.run(head), expected)
        reader = self.run(self.world.store.get(bucket, name, version_id=named))
        self.check_info(reader.info, expected)
        assert self.run(read_all(reader)) == expected.data

    def check_info(self, info: ObjectInfo, expected: ModelVersion) -> None:
        self.check_listed(info, expected)
        assert {part.part_number: part.size_bytes for part in info.parts} == expected.parts

    def check_listed(self, info: ObjectInfo, expected: ModelVersion) -> None:
        """A version or delete marker as a listing of versions has it."""
        assert (info.version_id, info.etag) == (expected.version_id, expected.etag)
        assert info.modified_ns == expected.modified_ns
        assert info.is_delete_marker is (expected.data is None)
        assert info.size_bytes == len(expected.data or b"")
        known = info.attributes
        assert known.user_metadata == ({"mark": expected.mark} if expected.data is not None else {})
        assert known.tags == expected.tags
        assert (known.retention, known.legal_hold) == (expected.retention, expected.hold)

    # --- choosing ---

    def some_target(self, data: st.DataObject) -> Target:
        """Mostly what is there, by its position: ids differ from run to run."""
        names = [(place, name) for place, model in enumerate(self.models) for name in model.history]
        if not names or data.draw(st.integers(0, 9), label="any key") == 0:
            place, name = data.draw(PLACES, label="place"), data.draw(KEYS, label="name")
        else:
            place, name = data.draw(st.sampled_from(names), label="key")
        model = self.models[place]
        ids = [version.version_id for version in model.history.get(name, [])]
        ids += [version_id for known, version_id in model.removed if known == name][:1]
        # The latest without its id is what most callers ask for.
        choices: list[str | None] = [None, None, *ids, NULL, "unknown"]
        chosen = data.draw(st.integers(0, len(choices) - 1), label="version")
        return Target(place, name, choices[chosen])

    def some_wanted(self, data: st.DataObject, version: ModelVersion | None) -> Wanted:
        """A precondition on a version, that holds or not."""
        must = data.draw(st.sampled_from(["", "", "", "new", "same", "other"]), label="must")
        if must == "new":
            return Wanted(is_new=True)
        if must == "same" and version is not None:
            return Wanted(etag=version.etag)
        return Wanted(etag="0" * 32) if must else Wanted()

    def some_upload(self, data: st.DataObject) -> tuple[int, str, ModelUpload]:
        found = [
            (place, upload_id, upload)
            for place, model in enumerate(self.models)
            for upload_id, upload in model.uploads.items()
        ]
        return found[data.draw(st.integers(0, len(found) - 1), label="upload")]


def conditions_of(wanted: Wanted) -> Conditions:
    return Conditions(
        if_match=() if wanted.etag is None else (wanted.etag,),
        if_none_match=("*",) if wanted.is_new else (),
    )


def attributes_of(mark: str) -> ObjectAttributes:
    return ObjectAttributes(user_metadata={"mark": mark}, owner_id=USER.user_id, tags=tags_of(mark))


def near(names: list[str]) -> st.SearchStrategy[str]:
    """Prefixes and markers: beginnings of names that are there, and others."""
    if not names:
        return AFFIXES
    cut = st.builds(lambda name, end: name[:end], st.sampled_from(names), st.integers(0, 4))
    return st.one_of(cut, st.sampled_from(names), AFFIXES)
