"""Cold reads that the disks have no room for: they stream through, and are not kept."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.remote.cold import MIB, start_cold
from tests.remote.wilful import WilfulS3


def test_what_does_not_fit_is_not_kept(tmp_path: Path, wilful: WilfulS3, key: str) -> None:
    data = secrets.token_bytes(24 * MIB)
    wilful.place(key, data)
    settings = tmp_path / "weir.toml"
    settings.write_text(f"[storage]\nquota_bytes = {16 * MIB}\n")
    cold = start_cold(tmp_path, wilful, ["--config", str(settings)])
    try:
        for _ in range(2):
            assert cold.read(key) == data
            assert not cold.is_cached(key)
    finally:
        cold.front.server.stop()
