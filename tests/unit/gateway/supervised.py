"""A program for test_supervisor: a real process tree under the supervisor, whose workers are a few lines each.

    python supervised.py MODE WORKERS

A worker answers every connection with its process id, in a response that the supervisor's probe takes for health.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time

from gateway.config import Config
from gateway.listeners import bind_workers
from gateway.supervisor import RunWorker, Supervisor


def _work(_: Config, sockets: list[socket.socket], index: int, parent_alive_fd: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    poll = select.poll()
    poll.register(sockets[0], select.POLLIN)
    while not stop.is_set():
        if poll.poll(20):
            _answer(sockets[0])


def _answer(listener: socket.socket) -> None:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return
    with connection:
        connection.recv(4096)
        body = str(os.getpid()).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _work_and_hang(config: Config, sockets: list[socket.socket], index: int, alive: int) -> None:
    _work(config, sockets, index, alive)
    time.sleep(60)


def _fail(*_: object) -> None:
    raise RuntimeError("cannot start")


def _jobs(_: Config, parent_alive_fd: int) -> None:
    # No threading.Event: its lock may be held by this very thread when the signal comes.
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    while not received:
        time.sleep(0.02)


def main() -> int:
    """Run the tree; the exit status is the supervisor's."""
    mode, workers = sys.argv[1], int(sys.argv[2])
    sockets = bind_workers("127.0.0.1", 0, workers)
    port = sockets[0][0].getsockname()[1]
    modes: dict[str, RunWorker] = {"serve": _work, "hang": _work_and_hang, "fail": _fail}
    config = Config(drain_timeout_s=30)
    return Supervisor(
        config, sockets, modes[mode], _jobs, announce=lambda: print(f"ready {port}", flush=True)
    ).run()


if __name__ == "__main__":
    sys.exit(main())
