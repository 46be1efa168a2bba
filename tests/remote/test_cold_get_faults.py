"""Cold reads that meet a backend gone wrong: the answer is right, or a clear error, and nothing wrong is kept."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.remote.cold import CUT, MIB, Cold, start_cold
from tests.remote.wilful import WilfulS3

MAX_UNREAD_BYTES = MIB // 2


def test_cut_answers_are_gone_on_with(cold: Cold, key: str) -> None:
    data = secrets.token_bytes(4 * MIB)
    cold.wilful.place(key, data).cuts = [MIB, 2 * MIB]
    assert cold.read(key) == data
    assert cold.is_cached(key)
    assert cold.wilful.reads[key] == 3
    # Each cut may cost what was received, but not yet read: the HTTP client gives that up with the connection.
    assert cold.wilful.sent_bytes[key] < len(data) + 2 * MAX_UNREAD_BYTES


def test_wrong_bytes_are_never_whole(cold: Cold, key: str) -> None:
    data = secrets.token_bytes(4 * MIB)
    held = cold.wilful.place(key, data)
    held.sent = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(CUT):
        cold.read(key)
    assert not cold.is_cached(key)
    held.sent = None
    assert cold.read(key) == data


def test_small_wrong_bytes_are_an_error(cold: Cold, key: str) -> None:
    held = cold.wilful.place(key, b"right")
    held.sent = b"wrong"
    reply = cold.front.ask("GET", f"/{cold.bucket}/{key}")
    assert reply.status_code == 503
    held.sent = None
    assert cold.read(key) == b"right"


@pytest.mark.parametrize("change", ["deleted", "replaced", "revoked"])
def test_changes_in_mid_read_cut_the_reader(cold: Cold, key: str, change: str) -> None:
    data = secrets.token_bytes(4 * MIB)
    held = cold.wilful.place(key, data)
    held.cuts = [2 * MIB]
    try:
        with cold.wilful.holding(key, MIB) as hold, cold.open_raw(key) as reply:
            assert reply.raw.read(10) == data[:10]
            assert hold.reached.wait(20)
            if change == "deleted":
                del cold.wilful.objects[key]
            elif change == "replaced":
                cold.wilful.place(key, data[::-1])
            else:
                cold.wilful.refuses_all = True
            hold.go_on.set()
            with pytest.raises(CUT):
                reply.raw.read()
    finally:
        cold.wilful.refuses_all = False
    if change == "deleted":
        with pytest.raises(ClientError, match="NoSuchKey"):
            cold.read(key)
    else:
        assert not cold.is_cached(key)
        assert cold.read(key) == cold.wilful.objects[key].data


def test_throttling_is_waited_out_or_passed_on(cold: Cold, key: str) -> None:
    held = cold.wilful.place(key, b"data")
    held.fails = [(503, "SlowDown")]
    assert cold.read(key) == b"data"
    held = cold.wilful.place(f"{key}-s3", b"data")
    other = cold.wilful.place(f"{key}-native", b"data")
    held.fails, other.fails = [(503, "SlowDown")] * 50, [(503, "SlowDown")] * 50
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(cold.front.ask, "GET", f"/{cold.bucket}/{key}-s3")
        native = pool.submit(cold.front.ask, "GET", cold.path(f"{key}-native"))
        assert (asked.result().status_code, "SlowDown" in asked.result().text) == (503, True)
        assert native.result().status_code == 429


def test_absent_and_refused(cold: Cold, key: str) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        cold.read(key)
    assert cold.front.ask("GET", cold.path(key)).status_code == 404
    cold.wilful.place(key, b"data").fails = [(403, "AccessDenied")] * 3
    with pytest.raises(ClientError) as caught:
        cold.read(key)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 503)


def test_a_slow_backend_is_waited_for(cold: Cold, key: str) -> None:
    data = secrets.token_bytes(MIB)
    cold.wilful.place(key, data).wait_s = 0.03
    with ThreadPoolExecutor(4) as pool:
        assert all(got == data for got in pool.map(cold.read, [key] * 4))
    assert cold.wilful.reads[key] == 1


def test_copies_are_served_while_the_backend_is_away(tmp_path: Path, key: str) -> None:
    wilful = WilfulS3()
    wilful.start()
    try:
        cold = start_cold(tmp_path, wilful)
    except BaseException:
        wilful.stop()
        raise
    try:
        wilful.place(key, b"data")
        assert cold.read(key) == b"data"
        wilful.stop()
        assert cold.read(key) == b"data"
        paths = [f"{cold.path(key)}&latest-ver=true", cold.path(f"{key}-other")]
        with ThreadPoolExecutor(2) as pool:
            replies = list(pool.map(lambda path: cold.front.ask("GET", path), paths))
        assert [reply.status_code for reply in replies] == [503, 503]
        assert cold.is_cached(key)
    finally:
        cold.front.server.stop()
