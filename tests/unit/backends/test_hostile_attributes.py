"""What somebody chose at a provider as an object's headers does not become a header of our answers, nor is it kept."""

from __future__ import annotations

from pathlib import Path

from core.names import ObjectKey
from tests.unit.backends.cache_box import BUCKET, far_bucket, run
from tests.unit.storage.box import pattern

DATA = pattern(5000)
HOSTILE = {
    "content_length": "3",
    "set_cookie": "a=b",
    "content_type": "a/b\r\nx: y",
    "expires": "0",
}


def test_reads_tell_and_keep_what_clients_may_be_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.backend.place("far", "k", DATA, **HOSTILE)
            assert (await far.one.head()).attributes.headers == {"expires": "0"}
            assert await far.one.read() == DATA
            kept = await far.other.kept()
            assert kept is not None
            assert kept.attributes.headers == {"expires": "0"}

    run(work())


def test_copies_that_the_provider_made_are_kept_so_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.backend.place("far", "k", DATA, **HOSTILE)
            await far.one.store.copy(BUCKET, ObjectKey("k"), BUCKET, ObjectKey("k2"))
            assert (await far.one.head("k2")).attributes.headers == {"expires": "0"}

    run(work())
