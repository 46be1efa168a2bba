"""Listening sockets: shared between our workers, never with another server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.listeners import CannotListenError, bind_workers


@contextmanager
def bound(host: str, port: int, workers: int) -> Iterator[list[list[socket.socket]]]:
    sockets = bind_workers(host, port, workers)
    try:
        yield sockets
    finally:
        for mine in sockets:
            for listener in mine:
                listener.close()


def test_free_port_is_the_same_for_all_workers() -> None:
    with bound("127.0.0.1", 0, 3) as sockets:
        assert len({mine[0].getsockname() for mine in sockets}) == 1
        assert len(sockets) == 3


def test_port_of_another_server_is_refused() -> None:
    with bound("127.0.0.1", 0, 1) as sockets:
        port = sockets[0][0].getsockname()[1]
        with pytest.raises(CannotListenError, match=f"127.0.0.1:{port}.*in use"):
            bind_workers("127.0.0.1", port, 1)


def test_unknown_host() -> None:
    with pytest.raises(CannotListenError):
        bind_workers("no-such-host.invalid", 0, 1)


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with bound("::1", 0, 2) as sockets:
            assert sockets[0][0].family == socket.AF_INET6
    except CannotListenError:
        pytest.skip("no IPv6 loopback here")
