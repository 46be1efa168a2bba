"""The conformance suite of versions: what writes and deletes make of a key's history, in each state of its bucket.

Source: AWS, How S3 Versioning works; Working with delete markers; Adding objects to versioning-suspended buckets.
tests.contract.version_writes has copies, uploads and writers at once, tests.contract.version_listing the listings.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.deletion import DeleteItem, DeleteResult
from core.errors import (
    IncompleteBody,
    KeyIsDeleted,
    NoSuchKey,
    NoSuchVersion,
    NotModified,
    PreconditionFailed,
    VersionIsDeleteMarker,
)
from core.listing import ListQuery
from core.types import (
    NULL_VERSION,
    BoundedRange,
    Bucket,
    Conditions,
)
from tests.contract.world import (
    PLAIN,
    START_NS,
    Body,
    World,
    as_listed,
    enabled,
    etag_of,
    history,
    key,
    mark_deleted,
    pattern,
    put,
    put_version,
    read,
    read_all,
    read_version,
    suspended,
)

SIZES = [10, 200_000]
ANY = Conditions(if_match=("*",))
ABSENT = Conditions(if_none_match=("*",))
UNKNOWN_IDS = ["", "other", "é", "\x00", "0" * 32, "A" * 32, "/" * 32, "v" * 2000, "Null"]


class VersionContract:
    """Versions of plain objects."""

    # --- enabled ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_each_put_makes_a_version(self, world: World, size_bytes: int) -> None:
        bucket = enabled(await world.new_bucket())
        bodies = [pattern(size_bytes, seed) for seed in range(4)]
        infos = []
        for body in bodies:
            world.clock.advance(1)
            infos.append(await put_version(world.store, bucket, "k", body))
        ids = [info.version_id for info in infos]
        assert len({*ids, NULL_VERSION}) == 5
        for _ in range(2):
            assert await history(world.store, bucket, "k") == ids[::-1]
            assert await world.store.head(bucket, key("k")) == infos[-1]
            for info, body in zip(infos, bodies, strict=True):
                found = await world.store.head(bucket, key("k"), version_id=info.version_id)
                assert found == info
                assert await read_version(world.store, bucket, "k", info.version_id) == body
            await world.restart()
        await world.settle()
        assert not world.leftovers()

    async def test_equal_puts_make_versions_too(self, world: World) -> None:
        """Nor do they need time to pass."""
        bucket = enabled(await world.new_bucket())
        made = [await put_version(world.store, bucket, "k", b"same") for _ in range(20)]
        ids = [info.version_id for info in made]
        assert await history(world.store, bucket, "k") == ids[::-1]

    async def test_version_ids_are_plain_text(self, world: World) -> None:
        """They go into URLs and headers as they are, and AWS's are never longer than 1,024 bytes."""
        bucket = enabled(await world.new_bucket())
        version_id = (await put_version(world.store, bucket, "k", b"x")).version_id
        assert version_id.isascii()
        assert version_id.replace("-", "").replace("_", "").replace(".", "").isalnum()
        assert len(version_id) <= 1024

    async def test_versions_are_their_keys_and_buckets_own(self, world: World) -> None:
        one, other = enabled(await world.new_bucket()), enabled(await world.new_bucket())
        version_id = (await put_version(world.store, one, "k", b"x")).version_id
        await put_version(world.store, one, "k2", b"x")
        await put_version(world.store, other, "k", b"x")
        for bucket, name in ((one, "k2"), (other, "k"), (one, "absent")):
            with pytest.raises(NoSuchVersion):
                await world.store.head(bucket, key(name), version_id=version_id)
            result = await world.store.delete(bucket, key(name), version_id=version_id)
            assert result == DeleteResult(key(name), version_id)
        assert await read(world.store, one, "k2") == await read(world.store, other, "k") == b"x"

    @pytest.mark.parametrize("version_id", UNKNOWN_IDS)
    async def test_unknown_version(self, world: World, version_id: str) -> None:
        bucket = enabled(await world.new_bucket())
        await put_version(world.store, bucket, "k", b"x")
        for name in ("k", "absent"):
            with pytest.raises(NoSuchVersion) as caught:
                await world.store.head(bucket, key(name), version_id=version_id)
            assert (caught.value.key, caught.value.version_id) == (name, version_id)
            with pytest.raises(NoSuchVersion):
                await world.store.get(bucket, key(name), version_id=version_id)
            result = await world.store.delete(bucket, key(name), version_id=version_id)
            assert result == DeleteResult(key(name), version_id)
        assert len(await history(world.store, bucket, "k")) == 1

    async def test_no_null_version_where_none_was_written(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put_version(world.store, bucket, "k", b"x")
        with pytest.raises(NoSuchVersion):
            await world.store.get(bucket, key("k"), version_id=NULL_VERSION)
        result = await world.store.delete(bucket, key("k"), version_id=NULL_VERSION)
        assert result == DeleteResult(key("k"), NULL_VERSION)
        assert await read(world.store, bucket, "k") == b"x"

    async def test_read_of_a_version_has_ranges_and_conditions(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"0123456789")
        await put_version(world.store, bucket, "k", b"newer")
        named = old.version_id
        reader = await world.store.get(
            bucket, key("k"), version_id=named, byte_range=BoundedRange(3, 5)
        )
        assert (reader.first, reader.length) == (3, 3)
        assert await read_all(reader) == b"345"
        current = Conditions(if_match=(etag_of(b"newer"),))
        with pytest.raises(PreconditionFailed):
            await world.store.head(bucket, key("k"), version_id=named, conditions=current)
        unchanged = Conditions(if_none_match=(old.etag,))
        with pytest.raises(NotModified):
            await world.store.get(bucket, key("k"), version_id=named, conditions=unchanged)
        await world.store.head(bucket, key("k"), conditions=unchanged)

    async def test_bad_bodies_make_no_version(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", b"x")
        for size_bytes in SIZES:
            short = Body(pattern(size_bytes), declared=size_bytes + 1)
            with pytest.raises(IncompleteBody):
                await world.store.put(bucket, key("k"), short, attributes=PLAIN)
        assert await history(world.store, bucket, "k") == [made.version_id]
        await world.settle()
        assert not world.leftovers()

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_reader_keeps_its_version(self, world: World, size_bytes: int) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", pattern(size_bytes))
        reader = await world.store.get(bucket, key("k"))
        await world.store.delete(bucket, key("k"), version_id=made.version_id)
        await world.settle(0.1)
        assert await read_all(reader) == pattern(size_bytes)

    # --- the null version ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_null_version_from_before(self, world: World, size_bytes: int) -> None:
        plain = await world.new_bucket()
        bucket = enabled(plain)
        null = await put_version(world.store, plain, "k", pattern(size_bytes))
        assert null.version_id == NULL_VERSION
        assert await history(world.store, bucket, "k") == [NULL_VERSION]
        made = await put_version(world.store, bucket, "k", b"newer")
        assert await history(world.store, bucket, "k") == [made.version_id, NULL_VERSION]
        assert await read(world.store, bucket, "k") == b"newer"
        found = await read_version(world.store, bucket, "k", NULL_VERSION)
        assert found == pattern(size_bytes)
        assert await world.store.head(bucket, key("k"), version_id=NULL_VERSION) == null

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_suspended_puts_replace_the_null_version(
        self, world: World, size_bytes: int
    ) -> None:
        bucket = enabled(await world.new_bucket())
        off = suspended(bucket)
        first = await put_version(world.store, bucket, "k", pattern(size_bytes))
        for seed in (1, 2):
            null = await put_version(world.store, off, "k", pattern(size_bytes, seed))
            assert null.version_id == NULL_VERSION
            assert await history(world.store, off, "k") == [NULL_VERSION, first.version_id]
            assert await read(world.store, off, "k") == pattern(size_bytes, seed)
        await world.settle()
        assert not world.leftovers()
        found = await read_version(world.store, off, "k", first.version_id)
        assert found == pattern(size_bytes)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_null_version_is_replaced_wherever_it_stands(
        self, world: World, size_bytes: int
    ) -> None:
        plain = await world.new_bucket()
        await put_version(world.store, plain, "k", pattern(size_bytes))
        made = await put_version(world.store, enabled(plain), "k", b"version")
        await put_version(world.store, suspended(plain), "k", b"null again")
        assert await history(world.store, plain, "k") == [NULL_VERSION, made.version_id]
        assert await read_version(world.store, plain, "k", NULL_VERSION) == b"null again"
        await world.settle()
        assert not world.leftovers()

    async def test_versions_after_a_suspension(self, world: World) -> None:
        plain = await world.new_bucket()
        states = [plain, enabled(plain), suspended(plain), enabled(plain), suspended(plain)]
        ids = []
        for place, state in enumerate(states):
            info = await put_version(world.store, state, "k", str(place).encode())
            ids.append(info.version_id)
        assert await history(world.store, plain, "k") == [NULL_VERSION, ids[3], ids[1]]
        assert await read(world.store, plain, "k") == b"4"
        assert await read_version(world.store, plain, "k", ids[3]) == b"3"

    # --- delete markers ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_delete_puts_a_marker_on_top(self, world: World, size_bytes: int) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", pattern(size_bytes))
        world.clock.advance(5)
        result = await world.store.delete(bucket, key("k"))
        marker = result.version_id
        assert marker not in (None, NULL_VERSION, made.version_id)
        assert result == DeleteResult(key("k"), marker, is_delete_marker=True)
        for _ in range(2):
            assert await history(world.store, bucket, "k") == [marker, made.version_id]
            with pytest.raises(KeyIsDeleted) as deleted:
                await world.store.head(bucket, key("k"))
            assert deleted.value.version_id == marker
            assert deleted.value.modified_ns == START_NS + 5 * 10**9
            with pytest.raises(KeyIsDeleted):
                await world.store.get(bucket, key("k"))
            with pytest.raises(VersionIsDeleteMarker) as named:
                await world.store.head(bucket, key("k"), version_id=marker)
            assert (named.value.key, named.value.version_id) == ("k", marker)
            assert named.value.modified_ns == START_NS + 5 * 10**9
            with pytest.raises(VersionIsDeleteMarker):
                await world.store.get(bucket, key("k"), version_id=marker)
            found = await read_version(world.store, bucket, "k", made.version_id)
            assert found == pattern(size_bytes)
            await world.restart()

    async def test_deleted_key_is_an_absent_one(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put(world.store, bucket, "k", b"x")
        await mark_deleted(world.store, bucket, "k")
        with pytest.raises(NoSuchKey):
            await world.store.head(bucket, key("k"))
        with pytest.raises(NoSuchKey):
            # Not a matter of conditions: there is nothing to compare with.
            await world.store.get(bucket, key("k"), conditions=ANY)

    async def test_delete_of_an_absent_key_makes_a_marker(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        marker = await mark_deleted(world.store, bucket, "k")
        assert await history(world.store, bucket, "k") == [marker]
        assert not await world.store.is_empty(bucket)
        null = await mark_deleted(world.store, suspended(bucket), "other")
        assert null == NULL_VERSION
        assert await history(world.store, bucket, "other") == [NULL_VERSION]
        await world.store.delete(bucket, key("k"), version_id=marker)
        await world.store.delete(bucket, key("other"), version_id=NULL_VERSION)
        assert await world.store.is_empty(bucket)
        await world.settle()
        assert not world.leftovers()

    async def test_deletes_without_versions_make_none(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", b"x")
        for _ in range(2):
            assert await world.store.delete(bucket, key("k")) == DeleteResult(key("k"))
        assert await history(world.store, bucket, "k") == []
        await put(world.store, bucket, "k", b"x")
        result = await world.store.delete(bucket, key("k"), version_id=NULL_VERSION)
        assert result == DeleteResult(key("k"), NULL_VERSION)
        assert await world.store.is_empty(bucket)

    async def test_markers_pile_up_where_versions_are_kept(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        first = await mark_deleted(world.store, bucket, "k")
        second = await mark_deleted(world.store, bucket, "k")
        assert await history(world.store, bucket, "k") == [second, first]
        for _ in range(2):
            null = await mark_deleted(world.store, suspended(bucket), "k")
            assert null == NULL_VERSION
            assert await history(world.store, bucket, "k") == [NULL_VERSION, second, first]
        await world.settle()
        assert not world.leftovers()

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_suspended_delete_replaces_the_null_version(
        self, world: World, size_bytes: int
    ) -> None:
        plain = await world.new_bucket()
        await put_version(world.store, plain, "k", pattern(size_bytes))
        made = await put_version(world.store, enabled(plain), "k", b"version")
        off = suspended(plain)
        result = await world.store.delete(off, key("k"))
        assert result == DeleteResult(key("k"), NULL_VERSION, is_delete_marker=True)
        assert await history(world.store, off, "k") == [NULL_VERSION, made.version_id]
        with pytest.raises(VersionIsDeleteMarker):
            await world.store.head(off, key("k"), version_id=NULL_VERSION)
        await world.settle()
        assert not world.leftovers()
        await put_version(world.store, off, "k", b"null again")
        assert await history(world.store, off, "k") == [NULL_VERSION, made.version_id]
        assert await read(world.store, off, "k") == b"null again"

    async def test_put_after_a_delete(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"old")
        marker = await mark_deleted(world.store, bucket, "k")
        new = await put_version(world.store, bucket, "k", b"new")
        ids = [new.version_id, marker, old.version_id]
        assert await history(world.store, bucket, "k") == ids
        assert await read(world.store, bucket, "k") == b"new"

    # --- removal ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_removing_the_marker_brings_the_object_back(
        self, world: World, size_bytes: int
    ) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", pattern(size_bytes))
        for state in (bucket, suspended(bucket)):
            marker = await mark_deleted(world.store, state, "k")
            result = await world.store.delete(state, key("k"), version_id=marker)
            assert result == DeleteResult(key("k"), marker, is_delete_marker=True)
            assert await world.store.head(bucket, key("k")) == made
            assert await read(world.store, bucket, "k") == pattern(size_bytes)
            page = await world.store.list_objects(bucket, ListQuery())
            assert [as_listed(entry) for entry in page.entries] == [as_listed(made)]
        await world.settle()
        assert not world.leftovers()

    async def test_removing_one_marker_of_two(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put_version(world.store, bucket, "k", b"x")
        lower = await mark_deleted(world.store, bucket, "k")
        upper = await mark_deleted(world.store, bucket, "k")
        await world.store.delete(bucket, key("k"), version_id=upper)
        with pytest.raises(KeyIsDeleted) as caught:
            await world.store.head(bucket, key("k"))
        assert caught.value.version_id == lower
        await world.store.delete(bucket, key("k"), version_id=lower)
        assert await read(world.store, bucket, "k") == b"x"

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_removing_the_current_version_promotes_the_next(
        self, world: World, size_bytes: int
    ) -> None:
        bucket = enabled(await world.new_bucket())
        made = [
            await put_version(world.store, bucket, "k", pattern(size_bytes, seed))
            for seed in range(4)
        ]
        while made:
            last = made.pop()
            result = await world.store.delete(bucket, key("k"), version_id=last.version_id)
            assert result == DeleteResult(key("k"), last.version_id)
            ids = [info.version_id for info in made[::-1]]
            assert await history(world.store, bucket, "k") == ids
            if made:
                assert await world.store.head(bucket, key("k")) == made[-1]
                found = await read(world.store, bucket, "k")
                assert found == pattern(size_bytes, len(made) - 1)
        with pytest.raises(NoSuchKey) as caught:
            await world.store.head(bucket, key("k"))
        assert not isinstance(caught.value, KeyIsDeleted)
        assert await world.store.is_empty(bucket)
        await world.settle()
        assert not world.leftovers()

    async def test_removing_the_current_version_down_to_a_marker(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"old")
        marker = await mark_deleted(world.store, bucket, "k")
        new = await put_version(world.store, bucket, "k", b"new")
        await world.store.delete(bucket, key("k"), version_id=new.version_id)
        with pytest.raises(KeyIsDeleted) as caught:
            await world.store.head(bucket, key("k"))
        assert caught.value.version_id == marker
        assert not (await world.store.list_objects(bucket, ListQuery())).entries
        await world.store.delete(bucket, key("k"), version_id=old.version_id)
        assert await history(world.store, bucket, "k") == [marker]
        assert not await world.store.is_empty(bucket)

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_removing_what_is_not_current(self, world: World, size_bytes: int) -> None:
        plain = await world.new_bucket()
        bucket = enabled(plain)
        await put_version(world.store, plain, "k", pattern(size_bytes))
        marker = await mark_deleted(world.store, bucket, "k")
        middle = await put_version(world.store, bucket, "k", pattern(size_bytes, 1))
        top = await put_version(world.store, bucket, "k", b"top")
        for version_id in (marker, NULL_VERSION, middle.version_id):
            result = await world.store.delete(bucket, key("k"), version_id=version_id)
            assert result == DeleteResult(key("k"), version_id, version_id == marker)
            with pytest.raises(NoSuchVersion):
                await world.store.head(bucket, key("k"), version_id=version_id)
            assert await read(world.store, bucket, "k") == b"top"
        assert await history(world.store, bucket, "k") == [top.version_id]
        await world.settle()
        assert not world.leftovers()

    async def test_removal_while_versions_are_suspended(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"old")
        new = await put_version(world.store, bucket, "k", b"new")
        await world.store.delete(suspended(bucket), key("k"), version_id=new.version_id)
        assert await history(world.store, bucket, "k") == [old.version_id]

    # --- conditions ---

    async def test_write_conditions_are_those_of_the_current_object(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"old")
        new = await put_version(world.store, bucket, "k", b"new")

        async def write(conditions: Conditions) -> None:
            body = Body(b"x")
            await world.store.put(bucket, key("k"), body, attributes=PLAIN, conditions=conditions)

        for refused in (ABSENT, Conditions(if_match=(old.etag,))):
            with pytest.raises(PreconditionFailed):
                await write(refused)
        assert await history(world.store, bucket, "k") == [new.version_id, old.version_id]
        await write(Conditions(if_match=(new.etag,)))
        assert len(await history(world.store, bucket, "k")) == 3

    @pytest.mark.parametrize("state", [enabled, suspended])
    async def test_conditions_below_a_marker_meet_no_object(
        self, world: World, state: Callable[[Bucket], Bucket]
    ) -> None:
        bucket = state(await world.new_bucket())
        made = await put_version(world.store, bucket, "k", b"x")
        marker = await mark_deleted(world.store, bucket, "k")
        for conditions in (ANY, Conditions(if_match=(made.etag,))):
            with pytest.raises(NoSuchKey):
                await world.store.put(
                    bucket, key("k"), Body(b"y"), attributes=PLAIN, conditions=conditions
                )
            with pytest.raises(NoSuchKey):
                await world.store.delete(bucket, key("k"), conditions=conditions)
        assert (await history(world.store, bucket, "k"))[0] == marker
        await world.store.put(bucket, key("k"), Body(b"y"), attributes=PLAIN, conditions=ABSENT)
        assert await read(world.store, bucket, "k") == b"y"

    async def test_conditional_delete_of_the_current_object(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put_version(world.store, bucket, "k", b"old")
        world.clock.advance(1)
        new = await put_version(world.store, bucket, "k", b"newer")
        for refused in (
            Conditions(if_match=(etag_of(b"old"),)),
            Conditions(if_size=3),
            Conditions(if_modified_at_ns=START_NS),
        ):
            with pytest.raises(PreconditionFailed):
                await world.store.delete(bucket, key("k"), conditions=refused)
        assert len(await history(world.store, bucket, "k")) == 2
        right = Conditions(if_match=(new.etag,), if_size=5, if_modified_at_ns=new.modified_ns)
        result = await world.store.delete(bucket, key("k"), conditions=right)
        assert result.is_delete_marker
        with pytest.raises(NoSuchKey):
            await world.store.delete(bucket, key("absent"), conditions=ANY)
        assert await history(world.store, bucket, "absent") == []

    async def test_conditional_removal_of_a_version(self, world: World) -> None:
        """The conditions are those of the version that is named, wherever it stands."""
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "k", b"old")
        world.clock.advance(1)
        new = await put_version(world.store, bucket, "k", b"newer")

        async def remove(version_id: str, conditions: Conditions) -> DeleteResult:
            return await world.store.delete(
                bucket, key("k"), version_id=version_id, conditions=conditions
            )

        for refused in (
            Conditions(if_match=(new.etag,)),
            Conditions(if_size=5),
            Conditions(if_modified_at_ns=new.modified_ns),
        ):
            with pytest.raises(PreconditionFailed):
                await remove(old.version_id, refused)
        with pytest.raises(NoSuchKey):
            await remove("other", ANY)
        right = Conditions(if_match=(old.etag,), if_size=3, if_modified_at_ns=old.modified_ns)
        assert await remove(old.version_id, right) == DeleteResult(key("k"), old.version_id)
        marker = await mark_deleted(world.store, bucket, "k")
        assert await remove(marker, ANY) == DeleteResult(key("k"), marker, is_delete_marker=True)
        assert await history(world.store, bucket, "k") == [new.version_id]

    # --- many at once ---

    async def test_delete_many(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        old = await put_version(world.store, bucket, "a", b"old")
        new = await put_version(world.store, bucket, "a", b"new")
        for name in ("b", "c", "d"):
            await put_version(world.store, bucket, name, pattern(70_000))
        marker = await mark_deleted(world.store, bucket, "c")
        items = [
            DeleteItem(key("a"), old.version_id),
            DeleteItem(key("b")),
            DeleteItem(key("b")),
            DeleteItem(key("c"), marker),
            DeleteItem(key("d"), conditions=Conditions(if_match=("other",))),
            DeleteItem(key("absent")),
            DeleteItem(key("absent"), "other"),
            DeleteItem(key("absent"), conditions=ANY),
        ]
        outcomes = await world.store.delete_many(bucket, items)
        assert outcomes[0] == DeleteResult(key("a"), old.version_id)
        assert outcomes[3] == DeleteResult(key("c"), marker, is_delete_marker=True)
        assert isinstance(outcomes[4], PreconditionFailed)
        assert outcomes[6] == DeleteResult(key("absent"), "other")
        assert isinstance(outcomes[7], NoSuchKey)
        made = []
        for place in (1, 2, 5):
            outcome = outcomes[place]
            assert isinstance(outcome, DeleteResult)
            assert (outcome.key, outcome.is_delete_marker) == (items[place].key, True)
            made.append(outcome.version_id)
        assert await history(world.store, bucket, "a") == [new.version_id]
        assert (await history(world.store, bucket, "b"))[:2] == [made[1], made[0]]
        assert await read(world.store, bucket, "c") == pattern(70_000)
        assert await history(world.store, bucket, "absent") == [made[2]]
        page = await world.store.list_objects(bucket, ListQuery())
        assert [entry.key for entry in page.entries] == ["a", "c", "d"]
        await world.settle()
        assert not world.leftovers()
