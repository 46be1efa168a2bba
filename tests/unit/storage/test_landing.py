"""Objects that come in pieces: side by side, over several disks, small ones, and those that are given up."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from core.errors import NoSuchKey, PreconditionFailed
from core.landing import Landing
from core.types import Conditions, ObjectInfo, RemoteFacts
from storage.layout import open_set_sync
from storage.rebuild import rebuild_index_sync
from tests.unit.storage.box import BUCKET, PLAIN, SMALL, Box, key, opened, pattern

FACTS = RemoteFacts("aws", "etag-there", "v7", bytes(16), bytes(4))


def info_of(name: str, size_bytes: int) -> ObjectInfo:
    return ObjectInfo(key(name), size_bytes, "etag-there", 5 * 10**9, PLAIN, remote=FACTS)


async def fill(landing: Landing, data: bytes) -> None:
    """All pieces side by side, each in odd chunks."""

    async def one(number: int) -> None:
        piece = landing.pieces[number]
        first = number * landing.piece_bytes
        part = data[first : first + piece.size_bytes]
        for at in range(0, len(part), 700):
            await piece.write(part[at : at + 700])
        await piece.flush()

    await asyncio.gather(*(one(number) for number in range(len(landing.pieces))))


def run_in(
    root: Path, work: Callable[[Box], Coroutine[Any, Any, None]], mountpaths: int = 1
) -> None:
    async def go() -> None:
        async with opened(root, mountpaths=mountpaths, options=SMALL) as box:
            await work(box)

    asyncio.run(asyncio.wait_for(go(), 60))


@pytest.mark.parametrize(("size_bytes", "piece_bytes"), [(0, 0), (900, 0), (5000, 0), (5000, 1500)])
def test_what_landed_is_an_object_with_its_backends_facts(
    tmp_path: Path, size_bytes: int, piece_bytes: int
) -> None:
    data = pattern(size_bytes)

    async def work(box: Box) -> None:
        landing = await box.node.land(BUCKET, key("k"), size_bytes, piece_bytes=piece_bytes)
        await fill(landing, data)
        with pytest.raises(NoSuchKey):
            await box.read("k")
        made = await landing.publish(info_of("k", size_bytes))
        assert made.remote == FACTS
        assert await box.read("k") == data
        found = await box.node.head(BUCKET, key("k"))
        assert (found.remote, found.etag, found.modified_ns) == (FACTS, "etag-there", 5 * 10**9)
        await landing.abandon()
        assert await box.read("k") == data

    run_in(tmp_path, work)


def test_pieces_lie_on_all_disks_and_survive_a_lost_index(tmp_path: Path) -> None:
    data = pattern(9000)

    async def work(box: Box) -> None:
        landing = await box.node.land(BUCKET, key("k"), len(data), piece_bytes=2000)
        assert len(landing.pieces) == 5
        await fill(landing, data)
        await landing.publish(info_of("k", len(data)))
        roots = {path.relative_to(box.root).parts[0] for path in [*box.blobs(), *box.guests()]}
        assert len(roots) == 3

    async def again(box: Box) -> None:
        assert await box.read("k") == data
        assert (await box.node.head(BUCKET, key("k"))).remote == FACTS

    run_in(tmp_path, work, 3)
    rebuild(tmp_path)
    run_in(tmp_path, again, 3)


def rebuild(root: Path) -> None:
    specs = open_set_sync([root / str(number) for number in range(3)])
    for spec in specs:
        assert spec.directory is not None
        for path in spec.directory.glob("index.db*"):
            path.unlink()
    rebuild_index_sync(specs)


def test_a_landing_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        landing = await box.node.land(BUCKET, key("k"), 5000, piece_bytes=2000)
        await landing.pieces[0].write(pattern(1500))
        await landing.pieces[0].flush()
        assert os.path.getsize(landing.files[0]) == 1500
        await landing.abandon()
        for _ in range(200):
            if not box.blobs():
                break
            await asyncio.sleep(0.01)
        assert box.blobs() == []

    run_in(tmp_path, work)


def test_conditions_and_promises_are_held(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        await box.put("k", b"old")
        landing = await box.node.land(BUCKET, key("k"), 5000)
        with pytest.raises(ValueError, match="not whole"):
            await landing.publish(info_of("k", 5000))
        await fill(landing, pattern(5000))
        with pytest.raises(ValueError, match="got 5001"):
            await landing.pieces[0].write(b"!")
        with pytest.raises(PreconditionFailed):
            await landing.publish(info_of("k", 5000), conditions=Conditions(if_none_match=("*",)))
        assert await box.read("k") == b"old"
        assert box.blobs() == []

    run_in(tmp_path, work)


def test_digests_of_what_comes_in_order(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        for size_bytes in (500, 5000):
            data = pattern(size_bytes)
            landing = await box.node.land(BUCKET, key("k"), size_bytes, digests=("md5",))
            with pytest.raises(ValueError, match="not whole"):
                landing.digests()
            await fill(landing, data)
            assert landing.digests() == {"md5": hashlib.md5(data).digest()}
            await landing.abandon()

    run_in(tmp_path, work)
