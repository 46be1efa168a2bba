"""The process tree: children that die come back, a stop reaches all, and none outlives the parent."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("supervised.py")
REPOSITORY = Path(__file__).parents[3]
DEADLINE_S = 20.0  # how long a busy machine may take

pytestmark = pytest.mark.slow


class Tree:
    """One run of the program."""

    def __init__(self, mode: str, workers: int = 2) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), mode, str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            start_new_session=True,
        )
        self.port = 0

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], DEADLINE_S)[0]
        word, port = self.process.stdout.readline().split()
        assert word == "ready"
        self.port = int(port)

    def ask(self) -> int:
        """The process id of the worker that answers a new connection."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return int(connection.makefile("rb").read().rpartition(b"\r\n")[2])

    def children(self) -> set[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in path.read_text().split()}

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Tree]]:
    trees: list[Tree] = []

    def make(*arguments: object) -> Tree:
        trees.append(Tree(*arguments))  # type: ignore[arg-type]
        return trees[-1]

    yield make
    for tree in trees:
        tree.end()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_all_workers_serve_one_port(start: Callable[..., Tree]) -> None:
    tree = start("serve", 2)
    tree.wait_ready()
    assert len(tree.children()) == 3
    wait_until(lambda: len({tree.ask() for _ in range(10)}) == 2)


def test_killed_worker_comes_back_and_loses_no_connection(start: Callable[..., Tree]) -> None:
    tree = start("serve", 1)
    tree.wait_ready()
    for _ in range(3):
        victim = tree.ask()
        os.kill(victim, signal.SIGKILL)
        # Sent to the dead worker's queue, answered by its successor.
        assert tree.ask() != victim


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(start: Callable[..., Tree], number: signal.Signals) -> None:
    tree = start("serve", 2)
    tree.wait_ready()
    children = tree.children()
    tree.process.send_signal(number)
    assert tree.process.wait(DEADLINE_S) == 0
    assert not any(is_running(pid) for pid in children)
    with pytest.raises(ConnectionRefusedError):
        tree.ask()


def test_ctrl_c_reaches_the_whole_group_and_is_orderly(start: Callable[..., Tree]) -> None:
    tree = start("serve", 2)
    tree.wait_ready()
    os.killpg(tree.process.pid, signal.SIGINT)
    assert tree.process.wait(DEADLINE_S) == 0
    assert tree.process.stderr is not None
    assert "Traceback" not in tree.process.stderr.read()


def test_second_signal_stops_what_hangs(start: Callable[..., Tree]) -> None:
    tree = start("hang", 1)
    tree.wait_ready()
    children = tree.children()
    tree.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not tree.children() or len(tree.children()) == 1)
    assert tree.process.poll() is None
    # One that follows at once is the same request, sent to the process and to its group.
    tree.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        tree.process.wait(0.6)
    tree.process.send_signal(signal.SIGTERM)
    assert tree.process.wait(DEADLINE_S) == 1
    assert not any(is_running(pid) for pid in children)


def test_children_die_with_their_parent(start: Callable[..., Tree]) -> None:
    tree = start("serve", 2)
    tree.wait_ready()
    children = tree.children()
    tree.process.kill()
    tree.process.wait(DEADLINE_S)
    wait_until(lambda: not any(is_running(pid) for pid in children))


def test_workers_that_never_start_end_the_tree(start: Callable[..., Tree]) -> None:
    tree = start("fail", 1)
    assert tree.process.wait(DEADLINE_S) == 1
    assert tree.process.stderr is not None
    said = tree.process.stderr.read()
    assert "cannot start" in said
