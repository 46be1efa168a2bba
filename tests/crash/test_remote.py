"""The short crash run with a provider behind; `python -m tests.crash.soak_remote` is the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.remote_rig import RemoteRig

pytestmark = [pytest.mark.crash, pytest.mark.slow]

_SEED = 5


@pytest.mark.timeout(300)
def test_kills_while_the_way_to_the_provider_goes_wrong(tmp_path: Path) -> None:
    rig = RemoteRig(tmp_path, int(os.environ.get("CRASH_SEED", _SEED)))
    try:
        rig.round(kills=3)
    finally:
        rig.close()
