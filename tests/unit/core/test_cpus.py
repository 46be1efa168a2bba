"""Threads of a worker keep to a CPU where each worker can have one; what moves bytes runs anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CPUS = sorted(os.sched_getaffinity(0))

SCRIPT = """
import json, os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from core import cpus

index, workers = map(int, sys.argv[1:])
cpus.keep_to_one(index, workers)

def mask():
    return sorted(os.sched_getaffinity(0))

def mask_at_home():
    cpus.join_main_thread()
    return mask()

def ask(pool, question):
    return pool.submit(question).result()

plain, roaming = ThreadPoolExecutor(1), cpus.pool(1, "roaming")
distant = cpus.distant_pool(1, "distant")
patient = cpus.patient_pool(1, "patient")
assert ask(patient, lambda: os.sched_getscheduler(0)) == os.SCHED_BATCH
print(json.dumps({
    "main": mask(),
    "plain": ask(plain, mask),
    "roaming": ask(roaming, mask),
    "patient": ask(patient, mask),
    "distant": ask(distant, mask),
    "joined": ask(roaming, mask_at_home),
}))
"""


def masks(index: int, workers: int) -> dict[str, list[int]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(index), str(workers)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    answer: dict[str, list[int]] = json.loads(done.stdout)
    return answer


def test_as_many_workers_as_cpus_have_one_each() -> None:
    for index, cpu in enumerate(CPUS[:4]):
        assert masks(index, len(CPUS)) == {
            "main": [cpu],
            "plain": [cpu],
            "roaming": CPUS,
            "patient": CPUS,
            "distant": [each for each in CPUS if each != cpu] or CPUS,
            "joined": [cpu],
        }


def test_other_numbers_of_workers_run_anywhere() -> None:
    everywhere = dict.fromkeys(("main", "plain", "roaming", "patient", "distant", "joined"), CPUS)
    assert masks(0, len(CPUS) + 1) == everywhere
