"""Many small reads at once: each item's own outcome, true bytes, and no more of them than there is room for."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from core.batches import BatchItem, BatchSender, ItemData, Outcome
from core.errors import Corrupt, InvalidRange, NoSuchKey
from core.shards import NoSuchMember
from storage.bulk import LocalBatchSender
from storage.shards.service import LocalShards
from tests.unit.storage.box import BUCKET, Box, key, opened, pattern

ROOM = 10**7


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def item(name: str, first: int = 0, length: int = 0, member: str = "") -> BatchItem:
    return BatchItem(BUCKET, key(name), member, first, length)


def sender_of(box: Box) -> BatchSender:
    return LocalBatchSender(box.node.mountpaths, box.node, LocalShards(box.node))


def bytes_of(outcomes: Sequence[Outcome]) -> list[bytes | type | None]:
    """Data, and of errors their types."""
    return [
        outcome.data
        if isinstance(outcome, ItemData)
        else None
        if outcome is None
        else type(outcome)
        for outcome in outcomes
    ]


def test_outcomes_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, mountpaths=3) as box:
            made = {f"k{n}": pattern(n * 90, n) for n in range(1, 60)}
            for name, data in made.items():
                await box.put(name, data)
            sender = sender_of(box)
            names = [*made, "none", *reversed(made)]
            for _ in range(2):  # from the index, then from memory
                got = bytes_of(await sender.read([item(name) for name in names], ROOM))
                assert got == [made.get(name, NoSuchKey) for name in names]

    run(story())


def test_what_is_at_hand(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, mountpaths=2) as box:
            for n in range(9):
                await box.put(f"k{n}", pattern(100, n))
            sender, items = sender_of(box), [item(f"k{n}") for n in range(9)]
            assert not sender.at_hand(items[:8], ROOM)
            await sender.read(items[:8], ROOM)
            expected = [pattern(100, n) for n in range(8)]
            assert [each.data for each in sender.at_hand(items[:8], ROOM)] == expected
            assert len(sender.at_hand(items, 150)) == 2
            for other in (item("k0", 1, 2), item("k0", member="m"), item("none"), items[8]):
                assert not sender.at_hand([items[0], other, items[1]], ROOM)
            for n in range(9):
                await box.put(f"k{n}", b"other")
            assert not sender.at_hand(items[:8], ROOM)

    run(story())


def test_ranges(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as box:
            for name, size in (("small", 100), ("file", 5000)):
                data = pattern(size)
                await box.put(name, data)
                sender = sender_of(box)
                wanted = [
                    (item(name, 10, 20), data[10:30]),
                    (item(name, size - 1, -1), data[-1:]),
                    (item(name, 0, -1), data),
                    (item(name, 0, size), data),
                    (item(name, 0, size + 1), InvalidRange),
                    (item(name, size, -1), InvalidRange),
                    (item(name), data),
                ]
                for _ in range(2):
                    got = bytes_of(await sender.read([each for each, _ in wanted], ROOM))
                    assert got == [expected for _, expected in wanted]

    run(story())


def test_large_ones_and_what_has_no_room_are_left(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as box:
            await box.put("large", bytes(600_000))
            for n in range(40):
                await box.put(f"k{n}", bytes(900))
            sender = sender_of(box)
            assert await sender.read([item("large")], ROOM) == [None]
            got = await sender.read([item(f"k{n}") for n in range(40)], 5000)
            found = [outcome is not None for outcome in got]
            # A statement's worth of them may be too many.
            assert found == [True] * 16 + [False] * 24
            reader = await sender.open(item("large", 5, 10))
            assert reader.length == 10
            await reader.close()

    run(story())


def test_new_bytes_are_seen_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as box:
            sender = sender_of(box)
            for data in (b"one", b"two"):
                await box.put("a", data)
                for _ in range(2):
                    assert bytes_of(await sender.read([item("a")], ROOM)) == [data]
            await box.node.delete(BUCKET, key("a"))
            assert bytes_of(await sender.read([item("a")], ROOM)) == [NoSuchKey]

    run(story())


def test_bad_bytes_are_never_sent(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as box:
            await box.put("file", pattern(5000))
            await box.put("good", b"good")
            (blob,) = box.blobs()
            raw = bytearray(blob.read_bytes())
            raw[2000] ^= 1
            blob.write_bytes(raw)
            got = bytes_of(await sender_of(box).read([item("file"), item("good")], ROOM))
            assert got == [Corrupt, b"good"]

    run(story())


def shard(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def test_members_of_a_shard_are_read_by_one_walk(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as box:
            members = {f"m/{n}": pattern(n * 50, n) for n in range(30)}
            await box.put("s.tar", shard(members))
            sender = sender_of(box)
            wanted = [item("s.tar", member=name) for name in reversed(members)]
            wanted += [item("s.tar", member="none"), item("s.tar", 3, 4, member="m/9")]
            wanted += [item("s.tar", 9000, 4, member="m/9")]
            got = bytes_of(await sender.read(wanted, ROOM))
            assert got[:30] == list(members.values())[::-1]
            assert got[30:] == [NoSuchMember, members["m/9"][3:7], InvalidRange]
            # Few are for opening each.
            assert await sender.read(wanted[:2], ROOM) == [None, None]
            reader = await sender.open(wanted[0])
            assert b"".join([piece async for piece in reader]) == members["m/29"]
            await reader.close()

    run(story())
