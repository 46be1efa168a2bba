"""The random steps of callers that look first and delete later, as the lifecycle job does."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from core.deletion import DeleteItem, DeleteResult
from core.listing import ObjectVersion, VersionListQuery
from tests.contract.machine import PLACES, StoreMachine
from tests.contract.model import NOTHING_WANTED, ModelVersion
from tests.contract.world import key

_REMEMBERED = 12


@dataclass(frozen=True)
class Seen:
    """A version as it was listed, and as the model had it then."""

    place: int
    listed: ObjectVersion
    version: ModelVersion

    def is_still(self, now: ModelVersion | None, *, is_latest: bool) -> bool:
        """Whether nothing has changed of what a caller may have judged by. Locks are judged by the store."""
        was = self.version
        return (
            now is not None
            and is_latest is self.listed.is_latest
            and (now.version_id, now.modified_ns) == (was.version_id, was.modified_ns)
            and (now.etag, now.tags) == (was.etag, was.tags)
            and (now.data is None) is (was.data is None)
        )


class JudgedSteps(StoreMachine):
    """Deletes of what was seen: they remove that, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Seen] = []

    @precondition(lambda self: any(model.history for model in self.models))
    @rule(place=PLACES)
    def look(self, place: int) -> None:
        page = self.run(self.world.store.list_versions(self.bucket(place), VersionListQuery()))
        for listed in page.versions[:4]:
            version = self.models[place].named(listed.info.key, listed.info.version_id)
            assert version is not None
            self.seen.append(Seen(place, listed, version))
        self.seen = self.seen[-_REMEMBERED:]

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), by_id=st.booleans())
    def delete_what_was_seen(self, data: st.DataObject, by_id: bool) -> None:
        seen = self.seen[data.draw(st.integers(0, len(self.seen) - 1), label="seen")]
        model, name = self.models[seen.place], seen.listed.info.key
        version_id = seen.listed.info.version_id
        if by_id:
            found = model.named(name, version_id)
            error = model.removal_error(
                name, version_id, NOTHING_WANTED, self.now(), bypasses=False
            )
        else:
            found = model.current(name)
            error = model.delete_error(name, NOTHING_WANTED, self.now())
        if not seen.is_still(found, is_latest=found is model.latest(name)):
            error = "PreconditionFailed"
        item = DeleteItem(key(name), version_id if by_id else None, seen=seen.listed)
        (outcome,) = self.run(self.world.store.delete_many(self.bucket(seen.place), [item]))
        if not isinstance(outcome, DeleteResult):
            assert type(outcome).__name__ == error
            return
        assert not error
        if by_id:
            assert outcome.is_delete_marker is model.remove(name, version_id)
        else:
            model.delete(name, outcome.version_id, self.now())
