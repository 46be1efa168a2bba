"""One store seen from two sides: whatever either does, S3 and native clients see the same names, bytes and metadata."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.contract.world import MIN_PART_BYTES, pattern
from tests.native.fronts import Fronts, NativeSide, S3Side, Seen

NAMES = st.sampled_from(["a", "a/b", "a/b c", "a%2Fb", "é", "z+1", "z?x=1&y#"])
SIZES = st.sampled_from([0, 1, 100, 5_000, 200_000])
METADATA = st.dictionaries(
    st.sampled_from(["k", "key-2", "x"]), st.sampled_from(["1", "two", "a=b"])
)
TAGS = st.dictionaries(st.sampled_from(["t", "u"]), st.sampled_from(["1", "v w"]), max_size=2)
SIDES = st.sampled_from(["s3", "native"])
_numbers = itertools.count()


class TwoFronts(RuleBasedStateMachine):
    """The model is what a reader must see, by name."""

    fronts: ClassVar[Fronts]

    def __init__(self) -> None:
        super().__init__()
        self.bucket = f"bucket-{next(_numbers)}"
        self.fronts.ok("PUT", f"/{self.bucket}")
        self.s3 = S3Side(self.fronts, self.bucket)
        self.native = NativeSide(self.fronts, self.bucket)
        self.model: dict[str, Seen] = {}
        self.versions: dict[str, int] = {}
        self.seed = 0

    def _data(self, size: int) -> bytes:
        self.seed += 1
        return pattern(size, self.seed)

    def _wrote(self, name: str, seen: Seen) -> None:
        self.model[name] = seen
        self.versions[name] = self.versions.get(name, 0) + 1

    def _forget(self, name: str) -> None:
        del self.model[name]
        del self.versions[name]

    @rule(name=NAMES, size=SIZES, metadata=METADATA, side=SIDES)
    def put(self, name: str, size: int, metadata: dict[str, str], side: str) -> None:
        data = self._data(size)
        client = self.s3 if side == "s3" else self.native
        client.put(name, data, metadata)
        self._wrote(name, Seen(data, "", metadata, {}))

    @rule(name=NAMES, count=st.integers(1, 3), side=SIDES)
    def upload(self, name: str, count: int, side: str) -> None:
        smallest = MIN_PART_BYTES if side == "s3" else 10
        parts = [self._data(smallest) for _ in range(count - 1)] + [self._data(20)]
        client = self.s3 if side == "s3" else self.native
        client.upload(name, parts)
        self._wrote(name, Seen(b"".join(parts), "", {}, {}))

    @rule(data=st.data(), side=SIDES)
    def delete(self, data: st.DataObject, side: str) -> None:
        if not self.model:
            return
        name = data.draw(st.sampled_from(sorted(self.model)))
        client = self.s3 if side == "s3" else self.native
        client.delete(name)
        self._forget(name)

    @rule(data=st.data(), to=NAMES, side=st.sampled_from(["s3", "native", "rename"]))
    def copy(self, data: st.DataObject, to: str, side: str) -> None:
        if not self.model:
            return
        name = data.draw(st.sampled_from(sorted(self.model)))
        if name == to:
            return
        seen = self.model[name]
        if side == "rename":
            self.native.rename(name, to)
            self._forget(name)
        else:
            client = self.s3 if side == "s3" else self.native
            client.copy(name, to)
        self._wrote(to, Seen(seen.data, "", dict(seen.metadata), dict(seen.tags or {})))

    @rule(data=st.data(), metadata=METADATA, how=st.sampled_from(["s3", "replace", "merge"]))
    def set_metadata(self, data: st.DataObject, metadata: dict[str, str], how: str) -> None:
        if not self.model:
            return
        name = data.draw(st.sampled_from(sorted(self.model)))
        seen = self.model[name]
        if how == "s3":
            self.s3.set_metadata(name, metadata)
            self._wrote(name, Seen(seen.data, "", metadata, seen.tags))
            return
        self.native.set_metadata(name, metadata, merges=how == "merge")
        kept = seen.metadata if how == "merge" else {}
        seen.metadata = {**kept, **metadata}

    @rule(data=st.data(), tags=TAGS)
    def set_tags(self, data: st.DataObject, tags: dict[str, str]) -> None:
        if self.model:
            name = data.draw(st.sampled_from(sorted(self.model)))
            self.s3.set_tags(name, tags)
            self.model[name].tags = tags

    @rule(prefix=st.sampled_from(["a", "a/", "z"]), page_size=st.integers(1, 3))
    def list_pages(self, prefix: str, page_size: int) -> None:
        expected = [name for name in sorted(self.model) if name.startswith(prefix)]
        assert list(self.s3.list(prefix, page_size)) == expected
        assert list(self.native.list(prefix, page_size)) == expected

    @invariant()
    def both_see_the_same(self) -> None:
        by_s3, natively = self.s3.list("", 1000), self.native.list("", 0)
        assert list(by_s3) == list(natively) == sorted(self.model)
        for name, expected in self.model.items():
            s3, native = self.s3.look(name), self.native.look(name)
            assert s3 is not None
            assert native is not None
            assert s3.data == native.data == expected.data
            assert s3.etag == native.etag == by_s3[name][1]
            assert s3.metadata == native.metadata == expected.metadata
            assert s3.tags == expected.tags
            entry = natively[name]
            assert by_s3[name][0] == entry["s"] == len(expected.data)
            if "-" not in s3.etag:
                assert entry["cs"] == s3.etag
            assert entry["v"] == str(self.versions[name])
            pairs = " ".join(f"{key}:{value}" for key, value in native.metadata.items())
            assert sorted(entry.get("m", "[]")[1:-1].split()) == sorted(pairs.split())


@pytest.fixture
def fronts() -> Iterator[Fronts]:
    with tempfile.TemporaryDirectory() as directory:
        opened = Fronts(Path(directory))
        try:
            yield opened
        finally:
            opened.close()


def test_both_fronts_show_one_store(fronts: Fronts) -> None:
    TwoFronts.fronts = fronts
    run_state_machine_as_test(
        TwoFronts,
        settings=settings(
            max_examples=5,
            stateful_step_count=10,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_both_fronts_miss_the_same(fronts: Fronts) -> None:
    fronts.ok("PUT", "/bucket")
    assert S3Side(fronts, "bucket").look("absent") is None
    assert NativeSide(fronts, "bucket").look("absent") is None
