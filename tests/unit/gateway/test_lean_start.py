"""What a process does not load before it needs it: the libraries of providers and HTTP clients cost time and memory."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("aiobotocore", "aiohttp", "azure", "boto3", "botocore", "redis")


def test_workers_load_no_clients_of_others() -> None:
    code = (
        "import sys, gateway.worker, gateway.job_worker;"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
