"""Copies between buckets of which some live elsewhere, and changes of what an object has beside its bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import (
    BackendDenied,
    EntityTooLarge,
    NoSuchKey,
    PreconditionFailed,
    Unsupported,
)
from core.types import CannedAcl, Conditions, ObjectAttributes, ObjectChanges
from tests.unit.backends.through import HERE, OTHER, THERE, Place, run_in
from tests.unit.storage.box import PLAIN, key, pattern

DATA = pattern(200_000)


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_provider_copies_within_an_account(tmp_path: Path, is_cached: bool) -> None:
    async def work(place: Place) -> None:
        if is_cached:
            await place.put(DATA, "s")
        else:
            place.backend.place("there", "s", DATA)
        await place.put(b"old", bucket=OTHER)
        info = await place.cached.copy(THERE, key("s"), OTHER, key("k"))
        assert place.backend.faults.calls["copy"] == 1
        assert not place.backend.faults.reads
        assert place.backend.data("other", "k") == DATA
        there = await place.backend.head("other", key("k"))
        assert info.etag == there.etag
        copy = await place.copy_of(bucket=OTHER)
        # Without the source's bytes here, there is none rather than an old one.
        assert (copy is not None) is is_cached
        if copy is not None:
            assert copy.remote == there.remote
            assert await place.bytes_here(bucket=OTHER) == DATA

    run_in(tmp_path, work)


def test_a_stale_copy_of_the_source_is_not_what_is_copied(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(b"stale", "s")
        place.backend.place("there", "s", DATA)
        await place.cached.copy(THERE, key("s"), OTHER, key("k"))
        assert place.backend.data("other", "k") == DATA
        assert await place.copy_of(bucket=OTHER) is None

    run_in(tmp_path, work)


@pytest.mark.parametrize("can_copy", [True, False])
def test_onto_itself_it_gets_other_metadata(tmp_path: Path, can_copy: bool) -> None:
    async def work(place: Place) -> None:
        place.backend.features = replace(place.backend.features, can_copy=can_copy)
        await place.put(DATA)
        wanted = ObjectAttributes({"content-type": "text/new"}, {"new": "1"}, owner_id=USER_ID)
        await place.cached.copy(THERE, key("k"), THERE, key("k"), attributes=wanted)
        there = await place.backend.head("there", key("k"))
        copy = await place.copy_of()
        assert copy is not None
        for seen in (there, copy):
            assert seen.attributes.headers == {"content-type": "text/new"}
            assert seen.attributes.user_metadata == {"new": "1"}
        assert copy.modified_ns == there.modified_ns
        assert await place.bytes_here() == DATA

    run_in(tmp_path, work)


USER_ID = PLAIN.owner_id


def test_between_here_and_elsewhere_bytes_come_by_way_of_the_node(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.box.put("near", DATA, bucket=HERE)
        await place.cached.copy(HERE, key("near"), THERE, key("k"))
        assert place.backend.data("there", "k") == DATA
        assert await place.bytes_here() == DATA
        info = await place.cached.copy(THERE, key("k"), HERE, key("back"))
        assert info.remote is None
        assert await place.box.read("back", bucket=HERE) == DATA

    run_in(tmp_path, work)


def test_conditions_of_a_copy_are_decided_by_what_is_there(tmp_path: Path) -> None:
    wrong = Conditions(if_match=("wrong",))

    async def work(place: Place) -> None:
        await place.put(DATA, "s")
        await place.put(b"old")
        with pytest.raises(PreconditionFailed):
            await place.cached.copy(THERE, key("s"), THERE, key("k"), source_conditions=wrong)
        with pytest.raises(PreconditionFailed):
            await place.cached.copy(THERE, key("s"), THERE, key("k"), conditions=wrong)
        with pytest.raises(NoSuchKey):
            await place.cached.copy(THERE, key("none"), THERE, key("k"))
        assert place.backend.data("there", "k") == b"old"
        assert not await place.is_in_doubt()

    run_in(tmp_path, work)


def test_what_a_provider_will_not_copy_is_sent(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(DATA, "s")
        place.backend.faults.fail("copy", Unsupported(what="copy", reason="too large"))
        await place.cached.copy(THERE, key("s"), THERE, key("k"))
        assert place.backend.data("there", "k") == DATA
        assert await place.bytes_here() == DATA
        place.backend.features = replace(
            place.backend.features, can_copy=False, max_put_bytes=10, has_multipart=False
        )
        with pytest.raises(EntityTooLarge):
            await place.cached.copy(THERE, key("s"), THERE, key("k"))

    run_in(tmp_path, work)


# --- changes ---


def test_tags_go_to_a_provider_that_has_them(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(DATA)
        tagged = ObjectChanges(tags={"a": "1"})
        await place.cached.update_object(THERE, key("k"), tagged)
        assert await place.backend.get_tags("there", key("k")) == {"a": "1"}
        copy = await place.copy_of()
        assert copy is not None
        assert copy.attributes.tags == {"a": "1"}
        place.backend.place("there", "cold", DATA)
        info = await place.cached.update_object(THERE, key("cold"), tagged)
        assert info.attributes.tags == {"a": "1"}
        assert await place.backend.get_tags("there", key("cold")) == {"a": "1"}
        info = await place.cached.head_with_tags(THERE, key("cold"))
        assert info.attributes.tags == {"a": "1"}
        # What is copied by way of this node takes them along.
        await place.cached.copy(THERE, key("cold"), HERE, key("near"))
        assert (await place.node.head(HERE, key("near"))).attributes.tags == {"a": "1"}
        denied = BackendDenied(provider="aws", bucket="there", reason="no")
        place.backend.faults.fail("set_tags", denied)
        with pytest.raises(BackendDenied):
            await place.cached.update_object(THERE, key("k"), ObjectChanges(tags={}))

    run_in(tmp_path, work)


def test_what_only_a_copy_can_have_needs_one(tmp_path: Path) -> None:
    public = ObjectChanges(acl=CannedAcl.PUBLIC_READ)

    async def work(place: Place) -> None:
        place.backend.features = replace(place.backend.features, has_tags=False)
        await place.put(DATA)
        await place.cached.update_object(THERE, key("k"), public)
        await place.cached.update_object(THERE, key("k"), ObjectChanges(tags={"a": "1"}))
        copy = await place.copy_of()
        assert copy is not None
        assert copy.attributes.acl is CannedAcl.PUBLIC_READ
        assert copy.attributes.tags == {"a": "1"}
        place.backend.place("there", "cold", DATA)
        with pytest.raises(Unsupported):
            await place.cached.update_object(THERE, key("cold"), public)
        with pytest.raises(Unsupported):
            await place.cached.update_object(THERE, key("cold"), ObjectChanges(tags={"a": "1"}))
        with pytest.raises(Unsupported):
            await place.cached.update_object(THERE, key("k"), ObjectChanges(legal_hold=True))

    run_in(tmp_path, work)


def test_user_metadata_is_changed_at_the_provider(tmp_path: Path) -> None:
    changes = ObjectChanges(user_metadata={"b": "2"}, keeps_other_metadata=True)

    async def work(place: Place) -> None:
        await place.put(DATA)
        await place.backend.set_tags("there", key("k"), {"out": "of band"})
        info = await place.cached.update_object(THERE, key("k"), changes)
        assert await place.backend.get_tags("there", key("k")) == {"out": "of band"}
        assert info.attributes.user_metadata == {"color": "blue", "b": "2"}
        there = await place.backend.head("there", key("k"))
        assert there.attributes.user_metadata == {"color": "blue", "b": "2"}
        assert await place.bytes_here() == DATA
        place.backend.features = replace(place.backend.features, can_copy=False)
        with pytest.raises(Unsupported):
            await place.cached.update_object(THERE, key("k"), changes)

    run_in(tmp_path, work)
