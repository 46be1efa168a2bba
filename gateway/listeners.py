"""Owns the listening sockets: one set for each worker on the same port, so that the kernel spreads connections.

The parent keeps every socket open: connections that wait at a worker that has died are served by its successor.
"""

from __future__ import annotations

import socket

_BACKLOG = 4096


class CannotListenError(Exception):
    """The address cannot be served on. The message says why."""


def bind_workers(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """For each worker, one listening socket for each address that `host` stands for; port 0 takes a free one."""
    try:
        addresses = _resolve(host, port)
        _refuse_taken(addresses)
        sockets: list[list[socket.socket]] = []
        for _ in range(workers):
            mine = []
            for family, address in addresses:
                mine.append(_listen(family, address[0], port or address[1]))
                port = mine[0].getsockname()[1]
            sockets.append(mine)
    except OSError as error:
        raise CannotListenError(
            f"cannot listen on {host}:{port}: {error.strerror or error}"
        ) from None
    return sockets


def _resolve(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = [(int(family), (str(at[0]), int(at[1]))) for family, _, _, _, at in found]
    if len(addresses) > 1 and port == 0:
        return addresses[:1]  # a free port of one family need not be free in the other
    return list(dict.fromkeys(addresses))


def _refuse_taken(addresses: list[tuple[int, tuple[str, int]]]) -> None:
    """Sockets that share a port would let a second server take half of the connections; this bind does not share."""
    for family, address in addresses:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _only_own_family(probe)
            probe.bind(address)


def _listen(family: int, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    _only_own_family(listener)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _only_own_family(unbound: socket.socket) -> None:
    if unbound.family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
