"""Inventories over the death of weir."""

from __future__ import annotations

from pathlib import Path

from tests.counterparts.started import S3Endpoint
from tests.remote.front import start_front

NAMES = [f"k{number:03}" for number in range(20)]
WAIT_S = 60


def test_names_outlive_a_kill(tmp_path: Path, moto: S3Endpoint) -> None:
    """Killed while an inventory is taken: the job goes on after the restart, and what it makes is whole."""
    front = start_front(tmp_path, moto)
    try:
        name = front.new_bucket()
        for key in NAMES:
            front.put_there(name, key, b"")
        bucket = front.bucket(name)
        first = bucket.create_inventory(name="inv")
        assert front.sdk.job(first).wait(timeout=WAIT_S).success
        front.put_there(name, "zzz", b"")
        second = bucket.create_inventory(name="inv", force=True)
        front.server.kill()
        front.server.start()
        assert front.sdk.job(second).wait(timeout=WAIT_S).success
        found = bucket.list_all_objects(inventory_name="inv")
        assert [entry.name for entry in found] == [*NAMES, "zzz"]
    finally:
        front.server.stop()
