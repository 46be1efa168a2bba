"""The random steps that read, write, change and remove objects and their versions."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from core.configs.versioning import Retention, RetentionMode, Versioning
from core.deletion import DeleteItem, DeleteResult
from core.errors import InvalidRange
from core.types import (
    BoundedRange,
    ByteRange,
    ObjectChanges,
    OffsetRange,
    PartRange,
    SuffixRange,
)
from tests.contract.machine import (
    DATA,
    KEYS,
    MARKS,
    PLACES,
    StoreMachine,
    Target,
    attributes_of,
    conditions_of,
)
from tests.contract.model import NOTHING_WANTED, ModelVersion, tags_of, version_of
from tests.contract.world import Body, key, read_all

SECOND_NS = 10**9


class ObjectSteps(StoreMachine):
    """Versions, however they come about, but for uploads."""

    # --- writing ---

    @rule(place=PLACES, name=KEYS, content=DATA, mark=MARKS)
    def put(self, place: int, name: str, content: bytes, mark: str) -> None:
        self.world.clock.advance(1)
        self._put(Target(place, name), content, mark, None)

    @rule(data=st.data(), content=DATA, mark=MARKS)
    def put_again(self, data: st.DataObject, content: bytes, mark: str) -> None:
        """Onto a key that is there, at the same time as what came before, and perhaps locked."""
        target = self.some_target(data)
        retention = data.draw(st.sampled_from([None, None, None, 3]), label="retained for")
        until = None
        if retention is not None:
            until = Retention(RetentionMode.GOVERNANCE, self.now() + retention * SECOND_NS)
        self._put(target, content, mark, until)

    def _put(self, target: Target, content: bytes, mark: str, retention: Retention | None) -> None:
        model = self.models[target.place]
        attributes = dataclasses.replace(attributes_of(mark), retention=retention)
        put = self.world.store.put(
            self.bucket(target.place), key(target.name), Body(content), attributes=attributes
        )
        info = self.attempt(put, model.write_error(target.name, NOTHING_WANTED, self.now()))
        if info is None:
            return
        version = dataclasses.replace(version_of(content, mark), retention=retention)
        made = model.write(target.name, version, info.version_id, self.now())
        self.check_info(info, made)

    @rule(place=PLACES, names=st.lists(KEYS, min_size=4, max_size=12))
    def put_many(self, place: int, names: list[str]) -> None:
        for name in names:
            self.put(place, name, name.encode(), "")

    @rule(data=st.data(), content=DATA)
    def put_on_condition(self, data: st.DataObject, content: bytes) -> None:
        target = self.some_target(data)
        model, name = self.models[target.place], target.name
        wanted = self.some_wanted(data, model.current(name))
        put = self.world.store.put(
            self.bucket(target.place),
            key(name),
            Body(content),
            attributes=attributes_of(""),
            conditions=conditions_of(wanted),
        )
        info = self.attempt(put, model.write_error(name, wanted, self.now()))
        if info is not None:
            model.write(name, version_of(content, ""), info.version_id, self.now())

    @rule(data=st.data(), to=PLACES, name=KEYS, mark=st.one_of(st.none(), MARKS))
    def copy(self, data: st.DataObject, to: int, name: str, mark: str | None) -> None:
        source = self.some_target(data)
        if data.draw(st.booleans(), label="onto itself"):
            to, name = source.place, source.name
        self.world.clock.advance(1)
        model = self.models[to]
        found = self.models[source.place].read(source.name, source.version_id)
        error = found if isinstance(found, str) else ""
        copy = self.world.store.copy(
            self.bucket(source.place),
            key(source.name),
            self.bucket(to),
            key(name),
            source_version_id=source.version_id,
            attributes=None if mark is None else attributes_of(mark),
        )
        error = error or model.write_error(name, NOTHING_WANTED, self.now())
        info = self.attempt(copy, error)
        if info is None:
            return
        assert isinstance(found, ModelVersion)
        assert found.data is not None
        version = version_of(found.data, found.mark if mark is None else mark)
        if mark is None:
            version = dataclasses.replace(version, tags=found.tags)
        self.check_info(info, model.write(name, version, info.version_id, self.now()))

    # --- removing ---

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Without a version id, on conditions of the current object."""
        target = dataclasses.replace(self.some_target(data), version_id=None)
        self._delete(data, target, bypasses=False)

    @rule(data=st.data(), bypasses=st.booleans())
    def remove(self, data: st.DataObject, bypasses: bool) -> None:
        self._delete(data, self.some_target(data), bypasses=bypasses)

    def _delete(self, data: st.DataObject, target: Target, *, bypasses: bool) -> None:
        item, error = self._deletion(data, target, bypasses=bypasses)
        delete = self.world.store.delete(
            self.bucket(target.place),
            item.key,
            version_id=item.version_id,
            conditions=item.conditions,
            bypass_governance=bypasses,
        )
        result = self.attempt(delete, error)
        if result is not None:
            self._deleted(target, result)

    @rule(data=st.data(), count=st.integers(1, 5), bypasses=st.booleans())
    def delete_many(self, data: st.DataObject, count: int, bypasses: bool) -> None:
        """Each item meets what those before it have left."""
        place = data.draw(PLACES, label="of")
        targets = [self.some_target(data) for _ in range(count)]
        targets = [dataclasses.replace(target, place=place) for target in targets]
        # A name twice would need the model to know of markers before the store has named them.
        targets = list({target.name: target for target in targets}.values())
        drawn = [self._deletion(data, target, bypasses=bypasses) for target in targets]
        outcomes = self.run(
            self.world.store.delete_many(
                self.bucket(place), [item for item, _ in drawn], bypass_governance=bypasses
            )
        )
        for target, (_, error), outcome in zip(targets, drawn, outcomes, strict=True):
            if isinstance(outcome, DeleteResult):
                assert not error
                self._deleted(target, outcome)
            else:
                assert type(outcome).__name__ == error

    def _deletion(
        self, data: st.DataObject, target: Target, *, bypasses: bool
    ) -> tuple[DeleteItem, str]:
        """A delete as the store is asked for it, and the error to expect."""
        model, name, version_id = self.models[target.place], target.name, target.version_id
        if version_id is None:
            wanted = self.some_wanted(data, model.current(name))
        else:
            wanted = self.some_wanted(data, model.named(name, version_id))
        # A delete on condition that there is nothing makes no sense, and no front lets it through.
        wanted = dataclasses.replace(wanted, is_new=False)
        if version_id is None:
            error = model.delete_error(name, wanted, self.now())
        else:
            error = model.removal_error(name, version_id, wanted, self.now(), bypasses=bypasses)
        return DeleteItem(key(name), version_id, conditions_of(wanted)), error

    def _deleted(self, target: Target, result: DeleteResult) -> None:
        model = self.models[target.place]
        assert result.key == target.name
        if target.version_id is None:
            assert result.is_delete_marker is (model.versioning is not Versioning.OFF)
            model.delete(target.name, result.version_id, self.now())
        else:
            was_marker = model.remove(target.name, target.version_id)
            assert (result.version_id, result.is_delete_marker) == (target.version_id, was_marker)

    # --- changing ---

    @rule(
        data=st.data(), tag=st.one_of(st.none(), MARKS), hold=st.sampled_from([None, True, False])
    )
    def change(self, data: st.DataObject, tag: str | None, hold: bool | None) -> None:
        target = self.some_target(data)
        # Holds would pile up, as nothing but this lifts them.
        hold = hold if data.draw(st.booleans(), label="holds") else False
        self._change(target, ObjectChanges(tags=_tags(tag), legal_hold=hold), bypasses=False)
        self._try_to_remove(target, bypasses=True)

    @rule(
        data=st.data(),
        mode=st.sampled_from([None, *RetentionMode]),
        seconds=st.sampled_from([1, 5, 50]),
        tag=st.one_of(st.none(), MARKS),
        bypasses=st.booleans(),
    )
    def retain(
        self,
        data: st.DataObject,
        mode: RetentionMode | None,
        seconds: int,
        tag: str | None,
        bypasses: bool,
    ) -> None:
        new = None if mode is None else Retention(mode, self.now() + seconds * SECOND_NS)
        changes = ObjectChanges(tags=_tags(tag), retention=new, removes_retention=mode is None)
        target = self.some_target(data)
        self._change(target, changes, bypasses=bypasses)
        self._try_to_remove(target, bypasses=bypasses)

    def _try_to_remove(self, target: Target, *, bypasses: bool) -> None:
        """Of what was just locked, as locks are few and random steps seldom meet them while they hold."""
        found = self.models[target.place].read(target.name, target.version_id)
        if isinstance(found, str) or not found.is_locked(self.now(), bypasses=bypasses):
            return
        remove = self.world.store.delete(
            self.bucket(target.place),
            key(target.name),
            version_id=found.version_id,
            bypass_governance=bypasses,
        )
        self.attempt(remove, "ObjectLocked")

    def _change(self, target: Target, changes: ObjectChanges, *, bypasses: bool) -> None:
        model = self.models[target.place]
        found = model.read(target.name, target.version_id)
        error = found if isinstance(found, str) else ""
        is_about_retention = changes.retention is not None or changes.removes_retention
        if isinstance(found, ModelVersion) and is_about_retention:
            may = found.may_retain(changes.retention, self.now(), bypasses=bypasses)
            error = "" if may else "ObjectLocked"
        update = self.world.store.update_object(
            self.bucket(target.place),
            key(target.name),
            changes,
            version_id=target.version_id,
            bypass_governance=bypasses,
        )
        info = self.attempt(update, error)
        if info is None:
            return
        assert isinstance(found, ModelVersion)
        new = found
        if changes.tags is not None:
            new = dataclasses.replace(new, tags=dict(changes.tags))
        if changes.legal_hold is not None:
            new = dataclasses.replace(new, hold=changes.legal_hold)
        if is_about_retention:
            new = dataclasses.replace(new, retention=changes.retention)
        model.change(target.name, found, new)
        self.check_info(info, new)

    # --- reading ---

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.check(self.some_target(data))

    @precondition(lambda self: any(model.history for model in self.models))
    @rule(data=st.data())
    def read_range(self, data: st.DataObject) -> None:
        target = self.some_target(data)
        found = self.models[target.place].read(target.name, target.version_id)
        if isinstance(found, str):
            return
        byte_range, wanted = data.draw(_ranges(found), label="range")
        get = self.world.store.get(
            self.bucket(target.place),
            key(target.name),
            version_id=target.version_id,
            byte_range=byte_range,
        )
        if wanted:
            assert self.run(read_all(self.run(get))) == wanted
        else:
            with pytest.raises(InvalidRange):
                self.run(get)


def _tags(tag: str | None) -> dict[str, str] | None:
    return None if tag is None else tags_of(f"changed {tag}" if tag else "")


@st.composite
def _ranges(draw: st.DrawFn, expected: ModelVersion) -> tuple[ByteRange, bytes]:
    """A range and the bytes it names; none if it is not satisfiable."""
    data = expected.data
    assert data is not None
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
