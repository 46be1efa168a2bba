"""The random steps that list objects and versions."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from core.listing import ListQuery, VersionListQuery
from tests.contract.machine import DELIMITERS, PLACES, StoreMachine, near
from tests.contract.model import NULL, Item

LIMITS = st.sampled_from([1, 2, 3, 1000])


class ListSteps(StoreMachine):
    """Listings, page by page."""

    @rule(data=st.data(), place=PLACES, delimiter=DELIMITERS, limit=LIMITS)
    def list_objects(self, data: st.DataObject, place: int, delimiter: str, limit: int) -> None:
        names = sorted(self.models[place].history)
        for _ in range(3):
            prefix = data.draw(near(names), label="prefix")
            after = data.draw(near(names), label="after")
            self._check_objects(place, ListQuery(prefix, delimiter, after, limit))

    def _check_objects(self, place: int, query: ListQuery) -> None:
        model = self.models[place]
        expected = model.listing(query.prefix, query.delimiter, query.after)
        found: list[tuple[str, bool]] = []
        while True:
            page = self.run(self.world.store.list_objects(self.bucket(place), query))
            for entry in page.entries:
                current = model.current(entry.key)
                assert current is not None
                assert (entry.etag, entry.version_id) == (current.etag, current.version_id)
                assert entry.size_bytes == len(current.data or b"")
            names = [(entry.key, False) for entry in page.entries]
            groups = [(group, True) for group in page.common_prefixes]
            found += sorted([*names, *groups], key=lambda item: item[0].encode())
            assert len(names) + len(groups) <= query.limit
            if not page.is_truncated:
                break
            assert page.next_after == found[-1][0]
            query = ListQuery(query.prefix, query.delimiter, page.next_after, query.limit)
        assert found == expected

    @rule(data=st.data(), place=PLACES, delimiter=DELIMITERS, limit=LIMITS)
    def list_versions(self, data: st.DataObject, place: int, delimiter: str, limit: int) -> None:
        model = self.models[place]
        names = sorted(model.history)
        prefix = data.draw(near(names), label="prefix")
        after = (data.draw(near(names), label="after"), "")
        # With the id of a version that is there, or of one that was.
        ids = [version.version_id for version in model.history.get(after[0], [])]
        ids += [each for name, each in model.removed if name == after[0] and each != NULL]
        if ids:
            chosen = data.draw(st.integers(0, len(ids)), label="after version")
            after = (after[0], ["", *ids][chosen])
        self._check_versions(place, VersionListQuery(prefix, delimiter, *after, limit))

    @rule(place=PLACES, limit=LIMITS)
    def list_all_versions(self, place: int, limit: int) -> None:
        self._check_versions(place, VersionListQuery(limit=limit))

    def _check_versions(self, place: int, query: VersionListQuery) -> None:
        model = self.models[place]
        after = (query.key_marker, query.version_id_marker)
        expected = model.version_listing(query.prefix, query.delimiter, after)
        found: list[Item] = []
        while True:
            page = self.run(self.world.store.list_versions(self.bucket(place), query))
            for version in page.versions:
                info = version.info
                known = model.named(info.key, info.version_id)
                assert known is not None
                self.check_listed(info, known)
                assert version.is_latest is (known == model.latest(info.key))
            items = [(each.info.key, each.info.version_id) for each in page.versions]
            groups = [(group, "") for group in page.common_prefixes]
            found += sorted([*items, *groups], key=lambda item: item[0].encode())
            assert len(items) + len(groups) <= query.limit
            if not page.is_truncated:
                break
            query = VersionListQuery(
                query.prefix,
                query.delimiter,
                page.next_key_marker,
                page.next_version_id_marker,
                query.limit,
            )
        assert found == expected

    @rule(place=PLACES)
    def is_empty(self, place: int) -> None:
        is_empty = self.run(self.world.store.is_empty(self.bucket(place)))
        assert is_empty is not bool(self.models[place].history)
