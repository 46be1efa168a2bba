"""Objects as files of the SDK: written piece by piece, appended to, and read on where a stream broke off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, ErrObjNotFound
from mypy_boto3_s3 import S3Client

from tests.contract.world import pattern
from tests.native.sdk import TIMEOUT_S
from tests.server import Server

# --- writing -------------------------------------------------------------------------------------------------------


def test_append_to_nothing(bucket: Bucket) -> None:
    writer = bucket.object("k").get_writer()
    handle = writer.append_content(b"one ")
    assert handle
    handle = writer.append_content(b"two ", handle=handle)
    with pytest.raises(ErrObjNotFound):
        bucket.object("k").get_reader().read_all()
    assert writer.append_content(b"", handle=handle, flush=True) == ""
    assert bucket.object("k").get_reader().read_all() == b"one two "
    assert bucket.object("k").props.checksum_value


@pytest.mark.parametrize("size_bytes", [0, 10, 300_000])
def test_append_to_what_is_there(bucket: Bucket, s3: S3Client, size_bytes: int) -> None:
    old = pattern(size_bytes)
    s3.put_object(Bucket=bucket.name, Key="k", Body=old, Metadata={"a": "b"}, ContentType="x/y")
    writer = bucket.object("k").get_writer()
    handle = writer.append_content(b"more")
    assert bucket.object("k").get_reader().read_all() == old
    writer.append_content(b"", handle=handle, flush=True)
    assert bucket.object("k").get_reader().read_all() == old + b"more"
    assert bucket.object("k").props.custom_metadata == {"a": "b"}
    assert s3.head_object(Bucket=bucket.name, Key="k")["ContentType"] == "x/y"
    assert bucket.object("k").props.obj_version == "2"


def test_piece_sent_again_counts_once(bucket: Bucket) -> None:
    writer = bucket.object("k").get_writer()
    first = writer.append_content(b"one ")
    again = [writer.append_content(b"two ", handle=first) for _ in range(3)]
    writer.append_content(b"three", handle=again[-1], flush=True)
    assert bucket.object("k").get_reader().read_all() == b"one two three"


def test_handles_that_are_none(bucket: Bucket) -> None:
    writer = bucket.object("k").get_writer()
    handle = writer.append_content(b"x")
    other = bucket.object("other").get_writer()
    for bad in ("nonesuch", "nonesuch.1", f"{handle}9999", handle.replace(".", ",")):
        for flush in (False, True):
            with pytest.raises(AISError) as caught:
                writer.append_content(b"y", handle=bad, flush=flush)
            assert caught.value.status_code in (400, 404)
    with pytest.raises(AISError) as caught:
        other.append_content(b"y", handle=handle)
    assert caught.value.status_code == 404
    with pytest.raises(AISError) as caught:
        writer.append_content(b"", flush=True)
    assert caught.value.status_code == 400
    writer.append_content(b"", handle=handle, flush=True)
    with pytest.raises(AISError) as caught:
        writer.append_content(b"", handle=handle, flush=True)
    assert caught.value.status_code == 404


def test_handle_survives_every_process(bucket: Bucket, server: Server) -> None:
    """Whatever worker answers, after any death."""
    writer = bucket.object("k").get_writer()
    handle = writer.append_content(b"before ")
    server.kill()
    server.start()
    handle = writer.append_content(b"after", handle=handle)
    writer.append_content(b"", handle=handle, flush=True)
    assert bucket.object("k").get_reader().read_all() == b"before after"


def test_concatenation(bucket: Bucket, tmp_path: Path) -> None:
    """Files appended one after the other, and flushed once."""
    handle, writer = "", bucket.object("whole").get_writer()
    for number in range(20):
        (tmp_path / f"{number:02}").write_bytes(pattern(number * 1000, number))
    for path in sorted(tmp_path.iterdir()):
        handle = writer.append_content(path.read_bytes(), handle=handle)
    writer.append_content(b"", handle=handle, flush=True)
    expected = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert bucket.object("whole").get_reader().read_all() == expected


def test_append_of_nothing(bucket: Bucket) -> None:
    writer = bucket.object("k").get_writer()
    handle = writer.append_content(b"")
    writer.append_content(b"", handle=handle, flush=True)
    assert bucket.object("k").get_reader().read_all() == b""


def test_abandoned_append_is_seen_as_an_upload(bucket: Bucket, s3: S3Client) -> None:
    """So what reclaims abandoned uploads reclaims it."""
    bucket.object("k").get_writer().append_content(b"x")
    (upload,) = s3.list_multipart_uploads(Bucket=bucket.name)["Uploads"]
    assert upload["Key"] == "k"


def test_file_writer_w(bucket: Bucket) -> None:
    bucket.object("k").get_writer().put_content(b"old")
    with bucket.object("k").get_writer().as_file("w") as file:
        assert file.write(b"new ") == 4
        assert bucket.object("k").get_reader().read_all() == b""
        file.flush()
        assert bucket.object("k").get_reader().read_all() == b"new "
        file.write(b"content")
    assert bucket.object("k").get_reader().read_all() == b"new content"


def test_file_writer_a(bucket: Bucket) -> None:
    bucket.object("k").get_writer().put_content(b"old ")
    with bucket.object("k").get_writer().as_file("a") as file:
        for number in range(5):
            file.write(b"%d" % number)
        assert bucket.object("k").get_reader().read_all() == b"old "
    assert bucket.object("k").get_reader().read_all() == b"old 01234"
    with bucket.object("new").get_writer().as_file("a") as file:
        file.write(b"x")
    assert bucket.object("new").get_reader().read_all() == b"x"


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_size", [-1, 1000, 70_000])
def test_file_reader(bucket: Bucket, read_size: int) -> None:
    data = pattern(200_000)
    bucket.object("k").get_writer().put_content(data)
    found = b""
    with bucket.object("k").get_reader(chunk_size=16_384).as_file() as file:
        while piece := file.read(read_size):
            found += piece
    assert found == data


class CuttingProxy:
    """Passes connections on to a server, and cuts off an answer after so many bytes of it, a number of times."""

    def __init__(self, server: Server, cut_after: int, cuts: int) -> None:
        self._target = (server.host, server.port)
        self._cut_after = cut_after
        self.cuts_left = cuts
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as target:
            threading.Thread(target=self._upstream, args=(client, target), daemon=True).start()
            passed = 0
            while data := _received(target):
                room = self._cut_after - passed
                if self.cuts_left and len(data) >= room:
                    self.cuts_left -= 1
                    _send(client, data[:room])
                    break
                _send(client, data)
                passed += len(data)
            # Closing alone would wait for the thread that reads from it.
            _shut(client)
            _shut(target)

    def _upstream(self, client: socket.socket, target: socket.socket) -> None:
        while data := _received(client):
            self.requests.append(data)
            _send(target, data)


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def _send(to: socket.socket, data: bytes) -> None:
    try:
        to.sendall(data)
    except OSError:
        pass


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@contextmanager
def cutting(server: Server, cut_after: int, cuts: int) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(server, cut_after, cuts)
    try:
        yield proxy
    finally:
        proxy.close()


def test_file_reader_resumes(bucket: Bucket, server: Server) -> None:
    data = pattern(3_000_000)
    bucket.object("k").get_writer().put_content(data)
    with cutting(server, 1_000_000, cuts=2) as proxy:
        obj = Client(proxy.endpoint, timeout=TIMEOUT_S).bucket(bucket.name).object("k")
        with obj.get_reader(chunk_size=32_768).as_file() as file:
            assert file.read() == data
        assert proxy.cuts_left == 0
        asked = [head for head in proxy.requests if head.lower().find(b"range: bytes=") > 0]
        assert len(asked) == 2


def test_file_reader_of_a_range_resumes(bucket: Bucket, server: Server) -> None:
    data = pattern(3_000_000)
    bucket.object("k").get_writer().put_content(data)
    with cutting(server, 1_000_000, cuts=1) as proxy:
        obj = Client(proxy.endpoint, timeout=TIMEOUT_S).bucket(bucket.name).object("k")
        with obj.get_reader(byte_range="bytes=5-", chunk_size=32_768).as_file() as file:
            assert file.read() == data[5:]
        assert proxy.cuts_left == 0


def test_answer_that_is_cut_is_seen(bucket: Bucket, server: Server) -> None:
    bucket.object("k").get_writer().put_content(pattern(3_000_000))
    with cutting(server, 1_000_000, cuts=1) as proxy, requests.Session() as session:
        session.trust_env = False
        url = f"{proxy.endpoint}/v1/objects/{bucket.name}/k"
        with pytest.raises(requests.exceptions.RequestException):
            session.get(url, timeout=10)
