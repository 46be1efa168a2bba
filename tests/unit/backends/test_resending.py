"""Copies that are sent to their backend again after they were cut anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.chunks import made_rule
from core.errors import BackendDenied
from tests.unit.backends.cache_box import BUCKET, far_bucket, run
from tests.unit.storage.box import key, pattern

DATA = pattern(100_000)


def test_a_copy_is_sent_in_parts_as_it_lies(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            assert not await far.one.store.resend(BUCKET, key("k")), "it is not here"
            await far.one.read()
            kept = await far.one.kept()
            assert kept is not None
            await far.one.box.node.rechunk(BUCKET, key("k"), kept.version_id, made_rule(1, 30_000))
            assert await far.one.store.resend(BUCKET, key("k"))
            there = await far.backend.head("far", key("k"))
            assert far.backend.faults.calls["upload_part"] == 4
            sent = await far.other.kept()
            assert sent is not None
            assert (sent.remote, sent.etag, sent.modified_ns) == (
                there.remote,
                there.etag,
                there.modified_ns,
            )
            assert sent.etag.endswith("-4")
            assert sent.chunks is not None
            opens = far.opens
            assert await far.one.read() == DATA
            assert far.opens == opens

    run(work())


def test_another_object_at_the_backend_is_left_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            await far.one.read()
            far.place(b"newer")
            assert not await far.one.store.resend(BUCKET, key("k"))
            assert far.backend.data("far", "k") == b"newer"
            far.place(DATA)
            await far.one.doubt()
            assert not await far.one.store.resend(BUCKET, key("k"))

    run(work())


def test_a_backend_that_refuses_leaves_both_sides(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            there = far.place(DATA)
            await far.one.read()
            denied = BackendDenied(provider="aws", bucket="far", reason="made to")
            far.backend.faults.fail("put", denied)
            with pytest.raises(BackendDenied):
                await far.one.store.resend(BUCKET, key("k"))
            kept = await far.one.kept()
            assert kept is not None
            assert kept.remote is not None
            assert there.remote is not None
            assert replace(kept.remote, in_doubt=False) == there.remote
            assert far.backend.data("far", "k") == DATA
            assert await far.one.read() == DATA

    run(work())
