"""Cold reads in whose middle weir dies."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import ClientError

from tests.remote.cold import CUT, MIB, Cold, start_cold
from tests.remote.wilful import WilfulS3


@contextmanager
def started(root: Path, wilful: WilfulS3) -> Iterator[Cold]:
    cold = start_cold(root, wilful)
    try:
        yield cold
    finally:
        cold.front.server.stop()


def test_killed_in_mid_read(tmp_path: Path, wilful: WilfulS3, key: str) -> None:
    data = secrets.token_bytes(6 * MIB)
    wilful.place(key, data)
    with started(tmp_path, wilful) as cold:
        with wilful.holding(key, 3 * MIB) as hold:
            with cold.open_raw(key) as reply:
                assert reply.raw.read(MIB) == data[:MIB]
                cold.front.server.kill()
            hold.go_on.set()
        cold.front.server.start()
        assert not cold.is_cached(key)
        assert cold.read(key) == data
        assert cold.is_cached(key)


def test_one_worker_killed_in_mid_read(tmp_path: Path, wilful: WilfulS3, key: str) -> None:
    """Readers at the other worker get it all; those at the dead one are cut."""
    data = secrets.token_bytes(6 * MIB)
    wilful.place(key, data)
    ends: list[bytes | None] = []

    def drain(cold: Cold) -> None:
        try:
            ends.append(cold.read(key))
        except (*CUT, ClientError):
            ends.append(None)

    with started(tmp_path, wilful) as cold:
        with wilful.holding(key, 3 * MIB) as hold:
            readers = [threading.Thread(target=drain, args=(cold,)) for _ in range(12)]
            for each in readers:
                each.start()
            assert hold.reached.wait(20)
            time.sleep(0.3)  # for all to have joined; it holds whoever has
            cold.kill_fetcher()
            hold.go_on.set()
            for each in readers:
                each.join(60)
        assert len(ends) == 12
        assert all(each in (data, None) for each in ends)
        assert cold.read(key) == data
        assert cold.is_cached(key)
