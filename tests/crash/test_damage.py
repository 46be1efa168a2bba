"""Lost and damaged files: the index can be made again, and bad bytes are never served as good."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3compat.wire import ConnectionEndedError, exchange
from tests.server import Server, ServerOptions

pytestmark = [pytest.mark.crash, pytest.mark.slow]

BODIES = {
    f"k{number:02}": hashlib.shake_256(b"%d" % number).digest(size)
    for number, size in enumerate([1, 900, 4096, 50_000, 70_000, 300_000, 2_000_000] * 3)
}
PARTS = [hashlib.shake_256(b"part").digest(5 * 1024**2), b"end" * 1000]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A store with small, large and multipart objects on two mountpaths, every read of which is verified."""
    options = ServerOptions(
        [tmp_path / "data0", tmp_path / "data1"], environment={"WEIR_STORAGE_VERIFY_RATE": "1"}
    )
    running = Server(options)
    running.start()
    exchange(running, "PUT", "/damage")
    for key, body in BODIES.items():
        headers = {"x-amz-meta-name": key, "content-type": "text/x-a"}
        assert exchange(running, "PUT", f"/damage/{key}", body=body, headers=headers).status == 200
    upload_parts(running)
    yield running
    running.stop()


def upload_parts(server: Server) -> None:
    begun = exchange(server, "POST", "/damage/parts?uploads")
    upload = begun.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    listed = ""
    for number, data in enumerate(PARTS, 1):
        target = f"/damage/parts?partNumber={number}&uploadId={upload}"
        etag = exchange(server, "PUT", target, body=data).headers["etag"]
        listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    assert exchange(server, "POST", f"/damage/parts?uploadId={upload}", body=body).status == 200


def check_whole(server: Server) -> None:
    for key, body in BODIES.items():
        reply = exchange(server, "GET", f"/damage/{key}")
        assert reply.body == body
        assert reply.headers["etag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert reply.headers["x-amz-meta-name"] == key
        assert reply.headers["content-type"] == "text/x-a"
    assert exchange(server, "GET", "/damage/parts").body == b"".join(PARTS)
    assert exchange(server, "GET", "/damage/parts?partNumber=2").body == PARTS[1]
    listed = exchange(server, "GET", "/damage?list-type=2").body
    assert listed.count(b"<Key>") == len(BODIES) + 1


def files(server: Server, pattern: str) -> list[Path]:
    found = [path for data in server.options.data_dirs for path in data.rglob(pattern)]
    return [path for path in found if path.is_file()]


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))


def refuses(server: Server, key: str) -> bool:
    """Whether a GET ends in an error or a cut connection rather than with all the (bad) bytes."""
    try:
        reply = exchange(server, "GET", f"/damage/{key}")
    except (ConnectionEndedError, ConnectionError):
        return True
    return reply.status >= 500


@pytest.mark.parametrize("mountpaths", [[0], [0, 1]], ids=["one", "all"])
def test_index_is_made_again(server: Server, mountpaths: list[int]) -> None:
    exchange(server, "DELETE", "/damage/k01")
    exchange(server, "PUT", "/damage/k01", body=BODIES["k00"])
    exchange(
        server,
        "PUT",
        "/damage/k01",
        body=BODIES["k01"],
        headers={"x-amz-meta-name": "k01", "content-type": "text/x-a"},
    )
    exchange(server, "PUT", "/damage/gone", body=b"g" * 100_000)
    exchange(server, "DELETE", "/damage/gone")
    server.stop()
    removed = [
        path
        for path in files(server, "index.db*")
        if path.parent in [server.options.data_dirs[number] for number in mountpaths]
    ]
    assert removed
    for path in removed:
        path.unlink()
    assert server.admin("doctor", is_checked=False).returncode != 0
    server.admin("doctor", "--rebuild-index")
    server.admin("doctor")
    server.start()
    check_whole(server)
    assert exchange(server, "GET", "/damage/gone").status == 404


def test_flipped_bit_in_a_file_is_found(server: Server) -> None:
    body = BODIES["k06"]
    hits = [path for path in files(server, "*") if body in path.read_bytes()]
    assert len(hits) == 1
    flip(hits[0], hits[0].read_bytes().index(body) + 1_000_000)
    assert refuses(server, "k06")
    assert exchange(server, "GET", "/damage/k05").body == BODIES["k05"]
    done = server.admin("doctor", is_checked=False)
    assert done.returncode != 0
    assert "k06" in done.stdout
    exchange(server, "PUT", "/damage/k06", body=body)
    assert exchange(server, "GET", "/damage/k06").body == body


def test_flipped_bit_in_a_part_is_found(server: Server) -> None:
    hits = [path for path in files(server, "*") if PARTS[0] in path.read_bytes()]
    assert len(hits) == 1
    flip(hits[0], hits[0].read_bytes().index(PARTS[0]) + 4_000_000)
    assert refuses(server, "parts")
    assert server.admin("doctor", is_checked=False).returncode != 0


def test_flipped_bit_in_a_small_object_is_found(server: Server) -> None:
    server.stop()
    needle = BODIES["k02"][:400]
    # A page may lie in the database and, older or newer, in its log.
    places = [
        (path, match.start())
        for path in files(server, "*.db*")
        for match in re.finditer(re.escape(needle), path.read_bytes())
    ]
    assert places
    for path, at in places:
        flip(path, at + 200)
    assert server.admin("doctor", is_checked=False).returncode != 0
    server.start()
    assert refuses(server, "k02")
    assert exchange(server, "GET", "/damage/k01").body == BODIES["k01"]


def test_truncated_file_is_found(server: Server) -> None:
    body = BODIES["k06"]
    path = next(path for path in files(server, "*") if body in path.read_bytes())
    with path.open("r+b") as file:
        file.truncate(1_000_000)
    assert refuses(server, "k06")
    assert server.admin("doctor", is_checked=False).returncode != 0


def test_removed_file_is_found(server: Server) -> None:
    body = BODIES["k06"]
    next(path for path in files(server, "*") if body in path.read_bytes()).unlink()
    assert refuses(server, "k06")
    assert server.admin("doctor", is_checked=False).returncode != 0
    check = exchange(server, "GET", "/damage/k05")
    assert check.body == BODIES["k05"]
