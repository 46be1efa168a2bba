"""Batches that do not come to a good end: clients that go, stall or come in crowds, shards that are replaced, workers
that die. The server goes on, and holds nothing back."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from mypy_boto3_s3 import S3Client

from tests.s3compat import boto
from tests.server import Server, ServerOptions

MIB = 1024**2
DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that gives slow clients up soon."""
    data = tmp_path_factory.mktemp("faults") / "data"
    settings = ("--no-auth", "--set", "get_batch.send_timeout_s=3", "--set", "log.level=info")
    running = Server(ServerOptions([data], workers=1, arguments=settings))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def s3(server: Server) -> S3Client:
    client = boto.connect(server)
    client.create_bucket(Bucket="batch")
    for n in range(20):
        client.put_object(Bucket="batch", Key=f"s/{n}", Body=b"%02d" % n * 2048)
    client.put_object(Bucket="batch", Key="large", Body=bytes(8 * MIB))
    return client


def worker_of(server: Server) -> int:
    """The process that serves requests: it alone has the port and is not the first."""
    found = []
    for pid in server.tree() - {server.pid}:
        names = {path.name for path in Path(f"/proc/{pid}/fd").iterdir()}
        links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in names if name.isdigit()]
        found.append((sum(link.startswith("socket:") for link in links), pid))
    return max(found)[1]


def message(keys: list[str]) -> bytes:
    return json.dumps(
        {"in": [{"objname": key} for key in keys], "strm": True, "coer": True}
    ).encode()


def begin(server: Server, keys: list[str]) -> socket.socket:
    """A batch of which only the beginning is taken."""
    body = message(keys)
    sock = socket.create_connection((server.host, server.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    sock.sendall(
        b"GET /v1/ml/moss/batch HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n"
        % len(body)
        + body
    )
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


def multipart_message(keys: list[str]) -> bytes:
    body = json.loads(message(keys))
    return json.dumps({**body, "strm": False}).encode()


def is_whole(sock: socket.socket) -> bool:
    """Whether what is left of an answer has the end that it should. Closes the connection."""
    sock.settimeout(DEADLINE_S)
    tail = b""
    try:
        while piece := sock.recv(MIB):
            tail = (tail + piece)[-5:]
    except ConnectionResetError:
        pass
    sock.close()
    return tail == b"0\r\n\r\n"


def soon(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def ended(server: Server) -> int:
    """How many batches are over, as the log says."""
    return server.log_path.read_text().count("batch job=gbt-")


def memory_of(pid: int) -> int:
    """The resident memory of a process that is its own."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


def test_client_that_goes_and_client_that_stalls(server: Server, s3: S3Client) -> None:
    for stalls in (False, True):
        before = ended(server)
        sock = begin(server, ["large"] * 500)
        if not stalls:
            sock.close()
        soon(lambda count=before: ended(server) > count, "the batch goes on")  # type: ignore[misc]
        if stalls:
            # What was in the buffers is still there, and then the connection is cut.
            assert not is_whole(sock)
    assert requests.get(f"{server.endpoint}/-/health", timeout=5).status_code == 200


@pytest.mark.parametrize("is_half", [True, False])
def test_client_that_goes_while_a_multipart_answer_is_made(
    server: Server, s3: S3Client, *, is_half: bool
) -> None:
    """Nothing is sent then. Of 2 GB that the answer would come to, little is read before the end is noticed."""
    before = ended(server)
    body = multipart_message(["large"] * 2000)
    head = b"POST /v1/ml/moss/batch HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n"
    with socket.create_connection((server.host, server.port)) as sock:
        sock.settimeout(DEADLINE_S)
        sock.sendall(head % len(body) + body)
        if is_half:
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(12) == b"HTTP/1.1 400"
    soon(lambda: ended(server) > before, "the batch goes on")
    assert int(re.findall(r"object_bytes=(\d+)", server.log_path.read_text())[-1]) < 1000 * MIB


def test_many_at_once(server: Server, s3: S3Client) -> None:
    """200 batches, half of whose clients stall: the others end well, and the memory is that of windows."""
    worker = worker_of(server)
    keys = [f"s/{n % 20}" for n in range(500)]
    expected = [(f"batch/s/{n % 20}", b"%02d" % (n % 20) * 2048) for n in range(500)]
    requests.get(f"{server.endpoint}/v1/ml/moss/batch", data=message(keys), timeout=30)
    before, most = memory_of(worker), 0
    is_over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not is_over.wait(0.01):
            most = max(most, memory_of(worker))

    def whole(_: int) -> bool:
        reply = requests.get(f"{server.endpoint}/v1/ml/moss/batch", data=message(keys), timeout=60)
        with tarfile.open(fileobj=io.BytesIO(reply.content)) as archive:
            found = []
            for member in archive:
                file = archive.extractfile(member)
                assert file is not None
                found.append((member.name, file.read()))
        return found == expected

    watcher = threading.Thread(target=watch)
    watcher.start()
    over = ended(server)
    stalled = [begin(server, ["large"] * 100) for _ in range(100)]
    try:
        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(whole, range(100)))
    finally:
        for sock in stalled:
            sock.close()
        is_over.set()
        watcher.join()
    soon(lambda: ended(server) >= over + 200, "batches are left")
    assert most - before < 200 * MIB


def test_large_batch_takes_little_memory(server: Server, s3: S3Client) -> None:
    worker = worker_of(server)
    keys = [f"s/{n % 20}" for n in range(10_000)]
    keys[5000:5000] = ["large"] * 5
    url = f"{server.endpoint}/v1/ml/moss/batch"
    before, most, total = memory_of(worker), 0, 0
    with requests.get(url, data=message(keys), timeout=30, stream=True) as reply:
        for piece in reply.iter_content(MIB):
            total += len(piece)
            most = max(most, memory_of(worker))
    assert total > 10_000 * 4096 + 5 * 8 * MIB
    assert most - before < 64 * MIB


def test_shard_replaced_in_mid_read(server: Server, s3: S3Client) -> None:
    """Every member is of the shard as it was or as it is, whole."""

    def shard(mark: bytes, count: int) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            for n in range(count):
                # Members lie elsewhere in each.
                info = tarfile.TarInfo(f"m/{n:03}")
                info.size = 3000 + 200 * mark[0]
                archive.addfile(info, io.BytesIO(mark * info.size))
        return file.getvalue()

    shards = [shard(b"\x01", 200), shard(b"\x02", 200), shard(b"\x03", 200)]
    s3.put_object(Bucket="batch", Key="x.tar", Body=shards[0])
    items = [{"objname": "x.tar", "archpath": f"m/{n % 200:03}"} for n in range(600)]
    asked = json.dumps({"in": items, "strm": True, "coer": True}).encode()
    is_over = threading.Event()

    def replace() -> None:
        turn = 0
        while not is_over.is_set():
            turn += 1
            s3.put_object(Bucket="batch", Key="x.tar", Body=shards[turn % 3])

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(5):
            reply = requests.get(
                f"{server.endpoint}/v1/ml/moss/batch", data=asked, timeout=DEADLINE_S
            )
            with tarfile.open(fileobj=io.BytesIO(reply.content)) as archive:
                members = archive.getmembers()
                assert len(members) == len(items)
                for member in members:
                    file = archive.extractfile(member)
                    data = b"" if file is None else file.read()
                    # One that vanished between two looks may be missing, but never mixed.
                    if not member.name.startswith("__404__/"):
                        assert data in [bytes([m]) * (3000 + 200 * m) for m in (1, 2, 3)]
    finally:
        is_over.set()
        writer.join()


def test_objects_deleted_in_mid_batch(server: Server, s3: S3Client) -> None:
    keys = [f"gone/{n}" for n in range(60)]
    for key in keys:
        s3.put_object(Bucket="batch", Key=key, Body=b"x" * 4096)
    url = f"{server.endpoint}/v1/ml/moss/batch"
    # Nobody reads that far ahead.
    asked = message([*(["large"] * 8), *(["s/1"] * 1000), *keys])
    with requests.get(url, data=asked, timeout=30, stream=True) as reply:
        s3.delete_objects(Bucket="batch", Delete={"Objects": [{"Key": key} for key in keys]})
        with tarfile.open(fileobj=reply.raw, mode="r|") as archive:
            sizes = [(member.name.startswith("__404__/"), member.size) for member in archive]
    assert sizes == [*([(False, 8 * MIB)] * 8), *([(False, 4096)] * 1000), *([(True, 0)] * 60)]


@pytest.mark.parametrize("goes_on", [True, False])
def test_bucket_destroyed_in_mid_batch(server: Server, s3: S3Client, goes_on: bool) -> None:
    """Its objects are missing, which ends the batch if they may not be; nothing else is sent in their place."""
    s3.create_bucket(Bucket="doomed")
    for n in range(30):
        s3.put_object(Bucket="doomed", Key=f"d/{n}", Body=b"x" * 4096)
    doomed = [{"objname": f"d/{n}", "bucket": "doomed"} for n in range(30)]
    others = [{"objname": "large"}] * 8 + [{"objname": "s/1"}] * 1000
    asked = json.dumps({"in": [*others, *doomed], "strm": True, "coer": goes_on})
    before = ended(server)
    url = f"{server.endpoint}/v1/ml/moss/batch"
    with requests.get(url, data=asked, timeout=30, stream=True) as reply:
        destroyed = requests.delete(
            f"{server.endpoint}/v1/buckets/doomed", json={"action": "destroy-bck"}, timeout=30
        )
        assert destroyed.status_code == 200
        if goes_on:
            with tarfile.open(fileobj=reply.raw, mode="r|") as archive:
                found = [(member.name, member.size) for member in archive]
            assert found[:8] == [("batch/large", 8 * MIB)] * 8
            assert found[8:1008] == [("batch/s/1", 4096)] * 1000
            assert found[1008:] == [(f"__404__/doomed/d/{n}", 0) for n in range(30)]
        else:
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                for _ in reply.iter_content(MIB):
                    pass
    soon(lambda: ended(server) > before, "the batch goes on")


def test_worker_killed_in_mid_batch(server: Server, s3: S3Client) -> None:
    """The client sees a cut, and the next batch is served."""
    sock = begin(server, ["large"] * 500)
    os.kill(worker_of(server), signal.SIGKILL)
    assert not is_whole(sock)

    def serves() -> bool:
        try:
            reply = requests.get(
                f"{server.endpoint}/v1/ml/moss/batch", data=message(["s/1"]), timeout=5
            )
        except requests.ConnectionError:
            return False
        return reply.status_code == 200

    soon(serves, "no worker takes over")
