"""What is noted of the use of copies: when each was read last, and whether its file is read now, by any process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backends.cache.access_times import AccessTimes
from backends.cache.flights import Flights, place_of
from backends.cache.usage import Usage
from core.names import ObjectKey
from core.protocols import ObjectReader
from tests.unit.backends.cached import BUCKET, cloud
from tests.unit.storage.box import pattern, read_all

SMALL, LARGE = ObjectKey("small"), ObjectKey("large")


def test_reads_are_noted_and_kept(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "access.db"
        one, other = AccessTimes(path), AccessTimes(path)
        one.note(1, ObjectKey("b"))
        one.note(1, ObjectKey("c"))
        one.note(2, ObjectKey("b"))
        assert set(await one.times(1, ObjectKey("a"), ObjectKey("b"))) == {"b"}
        assert await other.times(1, ObjectKey("a"), ObjectKey("z")) == {}
        await one.close()
        found = await other.times(1, ObjectKey("a"), ObjectKey("z"))
        assert set(found) == {"b", "c"}
        await other.forget(1, [ObjectKey("b")])
        await other.close()
        again = AccessTimes(path)
        assert set(await again.times(1, ObjectKey("a"), ObjectKey("z"))) == {"c"}
        await again.close()

    asyncio.run(work())


def test_times_that_cannot_be_kept_fail_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        times = AccessTimes(tmp_path / "gone" / "access.db")
        times.note(1, ObjectKey("b"))
        assert set(await times.times(1, ObjectKey("a"), ObjectKey("z"))) == {"b"}
        await times.close()

    asyncio.run(work())
    assert "access times cannot be kept" in caplog.text


def test_who_reads_a_file_is_known_to_all(tmp_path: Path) -> None:
    async def work() -> None:
        async with cloud(tmp_path) as place:
            flights, others = Flights(tmp_path / "flights"), Flights(tmp_path / "flights")
            times = AccessTimes(tmp_path / "access.db")
            usage = Usage(flights, times)

            async def get(key: ObjectKey) -> ObjectReader:
                return usage.begin(BUCKET, key, await place.node.get(BUCKET, key))

            place.place(SMALL)
            place.place(LARGE, data=pattern(5000))
            await place.keep(SMALL, LARGE)
            small = await get(SMALL)
            first, second = await get(LARGE), await get(LARGE)
            for each in (flights, others):
                assert not each.is_in_use(place_of(BUCKET, SMALL))
                assert each.is_in_use(place_of(BUCKET, LARGE))
            assert await read_all(first) == pattern(5000)
            await first.close()
            assert others.is_in_use(place_of(BUCKET, LARGE))
            assert usage.in_use(BUCKET, [LARGE, SMALL]) == [LARGE]
            await second.close()
            await second.close()
            assert not others.is_in_use(place_of(BUCKET, LARGE))
            assert set(await usage.times(BUCKET, [LARGE, SMALL])) == {LARGE, SMALL}
            await small.close()
            await times.close()
            flights.close()
            others.close()

    asyncio.run(work())
