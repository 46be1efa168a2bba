"""Disks that vanish, turn read-only or fill up: a clear error for what they hold, and the others serve on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.s3compat.wire import Reply, exchange
from tests.server import Server, ServerOptions

pytestmark = [pytest.mark.crash, pytest.mark.slow]

KEYS = [f"k{number:02}" for number in range(40)]


def body_of(key: str) -> bytes:
    return key.encode() * (10 if int(key[1:]) % 2 else 60_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(ServerOptions([tmp_path / "data0", tmp_path / "data1"]))
    running.start()
    exchange(running, "PUT", "/disks")
    for key in KEYS:
        assert exchange(running, "PUT", f"/disks/{key}", body=body_of(key)).status == 200
    yield running
    running.stop()


def read_all(server: Server) -> dict[str, Reply]:
    return {key: exchange(server, "GET", f"/disks/{key}") for key in KEYS}


def check_all(server: Server) -> None:
    deadline = time.monotonic() + 15
    while True:
        replies = read_all(server)
        if all(reply.status == 200 for reply in replies.values()):
            break
        assert time.monotonic() < deadline, "the disk is back, its objects are not"
        time.sleep(0.5)
    for key, reply in replies.items():
        assert reply.body == body_of(key)


def split(replies: dict[str, Reply]) -> tuple[list[str], list[str]]:
    """Keys that are served and keys that are not; nothing else may be said of a key whose disk is gone."""
    served, refused = [], []
    for key, reply in replies.items():
        if reply.status == 200:
            assert reply.body == body_of(key)
            served.append(key)
        else:
            assert (reply.status, reply.error_code) == (503, "ServiceUnavailable"), reply
            refused.append(key)
    return served, refused


def test_mountpath_missing_at_start(server: Server, tmp_path: Path) -> None:
    server.stop()
    away = tmp_path / "away"
    (tmp_path / "data1").rename(away)
    server.start()
    served, refused = split(read_all(server))
    assert served
    assert refused
    for key in served:
        assert exchange(server, "PUT", f"/disks/{key}", body=body_of(key)).status == 200
    for key in refused:
        assert exchange(server, "PUT", f"/disks/{key}", body=b"other").status == 503
        assert exchange(server, "DELETE", f"/disks/{key}").status == 503
    # A listing without a disk's keys would say that they are gone.
    assert exchange(server, "GET", "/disks").status == 503
    assert exchange(server, "DELETE", "/disks").status in {409, 503}
    server.stop()
    if (tmp_path / "data1").exists():
        (tmp_path / "data1").rmdir()
    away.rename(tmp_path / "data1")
    server.start()
    check_all(server)


@pytest.mark.parametrize("replacement", ["nothing", "file", "empty directory"])
def test_mountpath_vanishes_while_serving(server: Server, tmp_path: Path, replacement: str) -> None:
    data, away = tmp_path / "data1", tmp_path / "away"
    data.rename(away)
    if replacement == "file":
        data.write_bytes(b"not a directory")
    elif replacement == "empty directory":
        data.mkdir()
    served, _ = split(read_all(server))
    assert served
    stored = {}
    for number in range(20):
        # Open databases may still be reached by the workers that hold them; what is acknowledged must last.
        reply = exchange(server, "PUT", f"/disks/new{number}", body=b"n" * 100_000)
        assert reply.status in {200, 503}
        stored[number] = reply.status == 200
    assert any(stored.values())
    if replacement == "file":
        data.unlink()
    elif replacement == "empty directory":
        for path in sorted(data.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        data.rmdir()
    away.rename(data)
    check_all(server)
    for number, is_stored in stored.items():
        status = exchange(server, "GET", f"/disks/new{number}").status
        assert status == 200 if is_stored else status in {200, 404}
    server.kill()
    server.start()
    check_all(server)
    server.admin("doctor")


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Mounts a small tmpfs on a directory, or changes its options; unmounts all at the end."""
    mounted: list[Path] = []

    def do(directory: Path, options: str) -> None:
        is_new = directory not in mounted
        directory.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "weir-test", str(directory)]
        if not is_new:
            command = ["mount", "-o", f"remount,{options}", str(directory)]
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
        if is_new:
            mounted.append(directory)

    yield do
    for directory in mounted:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_mountpath_turns_read_only(tmp_path: Path, mount: Callable[..., None]) -> None:
    data = tmp_path / "data1"
    mount(data, "size=64m")
    server = Server(ServerOptions([tmp_path / "data0", data]))
    server.start()
    try:
        exchange(server, "PUT", "/disks")
        for key in KEYS:
            exchange(server, "PUT", f"/disks/{key}", body=body_of(key))
        server.stop()
        mount(data, "ro")
        server.start()
        statuses = {
            key: exchange(server, "PUT", f"/disks/{key}", body=body_of(key)).status for key in KEYS
        }
        assert set(statuses.values()) == {200, 503}
        split(read_all(server))
        mount(data, "rw")
        check_all(server)
        deadline = time.monotonic() + 15
        for key in KEYS:
            while exchange(server, "PUT", f"/disks/{key}", body=body_of(key)).status != 200:
                assert time.monotonic() < deadline, "writable again, and still refused"
                time.sleep(0.5)
    finally:
        server.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_disk_full(tmp_path: Path, mount: Callable[..., None]) -> None:
    data = tmp_path / "data0"
    mount(data, "size=24m")
    environment = {
        "WEIR_JOBS_SPACE_CLEANUP_INTERVAL_S": "1",
        "WEIR_JOBS_SPACE_CLEANUP_AGE_S": "0",
    }
    server = Server(ServerOptions([data], environment=environment))
    server.start()
    try:
        exchange(server, "PUT", "/disks")
        stored: dict[str, bytes] = {}
        for number in range(2000):
            body = bytes([number % 256]) * (500_000 if number < 200 else 3000)
            reply = exchange(server, "PUT", f"/disks/{number}", body=body)
            if reply.status == 200:
                stored[str(number)] = body
            else:
                assert reply.status == 507, reply
                if number > 200:
                    break
        assert len(stored) > 20
        server.kill()
        # A full disk must not keep the server from starting, nor from letting go.
        server.start()
        for key, body in stored.items():
            assert exchange(server, "GET", f"/disks/{key}").body == body
        for key in list(stored)[:10]:
            assert exchange(server, "DELETE", f"/disks/{key}").status == 204
            del stored[key]
        deadline = time.monotonic() + 15
        while exchange(server, "PUT", "/disks/again", body=b"a" * 500_000).status != 200:
            assert time.monotonic() < deadline, "no room although objects were deleted"
            time.sleep(0.5)
        for key, body in stored.items():
            assert exchange(server, "GET", f"/disks/{key}").body == body
        server.admin("doctor")
    finally:
        server.kill()
