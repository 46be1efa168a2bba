"""Owns the process tree of a node: request workers and one job worker, forked from one parent that serves nothing.

The parent runs one thread and no event loop, waits for signals, starts dead children again and stops all of them
together. A child dies with its parent: the kernel kills it, and the end of a pipe tells it.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from gateway.config import Config
from gateway.probe import is_healthy

logger = logging.getLogger(__name__)

RunWorker = Callable[[Config, list[socket.socket], int, int], None]
"""(config, sockets, worker index, descriptor that ends when the parent does); returns after a graceful stop."""
RunJobs = Callable[[Config, int], None]
"""(config, descriptor that ends when the parent does)."""

_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_STOP_SIGNALS = _SIGNALS - {signal.SIGCHLD}
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15

_FIRST_BACKOFF_S = 0.05
_MAX_BACKOFF_S = 5.0
_STABLE_AFTER_S = 10.0
_DEATHS_BEFORE_READY = 4
_PROBE_INTERVAL_S = 0.05
_PROBE_TIMEOUT_S = 0.5
_SAME_REQUEST_S = 0.5
"""A signal sent to the process and to its group (as `timeout` does) arrives twice but asks once."""
_KILL_GRACE_S = 5.0
"""Beyond the drain timeout, before SIGKILL."""


@dataclass(slots=True)
class _Child:
    """A process that should always run."""

    name: str
    run: Callable[[], None]
    sockets: list[socket.socket] = field(default_factory=list)
    pid: int = 0
    started_s: float = 0.0
    backoff_s: float = _FIRST_BACKOFF_S
    start_at_s: float | None = 0.0


class Supervisor:
    """Runs a node until it is told to stop. Fork-safe only while the calling process has one thread."""

    def __init__(
        self,
        config: Config,
        sockets: list[list[socket.socket]],
        run_worker: RunWorker,
        run_jobs: RunJobs,
        announce: Callable[[], None],
    ) -> None:
        self._config = config
        self._announce = announce
        self._is_ready = False
        self._deaths_before_ready = 0
        self._parent_alive_read, self._parent_alive_write = os.pipe()
        alive = self._parent_alive_read
        self._children = [
            _Child(
                f"weir-worker-{index}",
                partial(run_worker, config, mine, index, alive),
                mine,
            )
            for index, mine in enumerate(sockets)
        ]
        self._children.append(_Child("weir-jobs", partial(run_jobs, config, alive)))

    def run(self) -> int:
        """Start everything, keep it running, and return the exit status after a stop."""
        signal.signal(signal.SIGCHLD, _take_note)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.collect()
        gc.freeze()
        while True:
            self._start_due()
            if not self._is_ready:
                self._probe()
            received = signal.sigtimedwait(_SIGNALS, self._wait_s())
            self._reap()
            if received is not None and received.si_signo in _STOP_SIGNALS:
                logger.info("stopping, %s received", signal.Signals(received.si_signo).name)
                return self._stop()
            if self._deaths_before_ready >= _DEATHS_BEFORE_READY:
                logger.error("giving up: workers do not start, see above")
                self._stop()
                return 1

    # --- children ---

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.start_at_s is not None and child.start_at_s <= now:
                self._fork(child)

    def _fork(self, child: _Child) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be(child, parent_pid)
        child.pid = pid
        child.started_s = time.monotonic()
        child.start_at_s = None

    def _be(self, child: _Child, parent_pid: int) -> None:
        """The life of a child. Never returns."""
        status = 1
        try:
            _tie_to_parent(child.name, parent_pid)
            os.close(self._parent_alive_write)
            for other in self._children:
                for listener in other.sockets:
                    if listener not in child.sockets:
                        listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # SIGINT stays blocked: Ctrl-C reaches the whole group, and the parent alone decides what it means.
            signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT})
            child.run()
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            logger.exception("%s failed", child.name)
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def _reap(self) -> None:
        """Collect the dead, and plan their return."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._plan_restart(child, os.waitstatus_to_exitcode(wait_status))

    def _plan_restart(self, child: _Child, status: int) -> None:
        now = time.monotonic()
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        if now - child.started_s > _STABLE_AFTER_S:
            child.backoff_s = _FIRST_BACKOFF_S
        child.start_at_s = now + child.backoff_s
        logger.log(
            logging.DEBUG if status == 0 else logging.ERROR,
            "%s (process %d) ended: %s",
            child.name,
            child.pid,
            how,
        )
        child.pid = 0
        child.backoff_s = min(child.backoff_s * 2, _MAX_BACKOFF_S)
        if not self._is_ready:
            self._deaths_before_ready += 1

    # --- waiting ---

    def _wait_s(self) -> float:
        """Until the next restart or probe; a day if there is none."""
        now = time.monotonic()
        due = [child.start_at_s - now for child in self._children if child.start_at_s is not None]
        if not self._is_ready:
            due.append(_PROBE_INTERVAL_S)
        return max(0.0, min(due, default=86400.0))

    def _probe(self) -> None:
        """Announce the node once it answers. The probe's connection waits in a worker's queue, so no time is lost."""
        address = self._children[0].sockets[0].getsockname()
        if is_healthy(
            address[0],
            address[1],
            is_tls=self._config.scheme == "https",
            timeout_s=_PROBE_TIMEOUT_S,
        ):
            self._is_ready = True
            self._announce()

    # --- stopping ---

    def _stop(self) -> int:
        """Let the children finish what they have begun; kill what outlasts the drain timeout or a second signal."""
        for child in self._children:
            child.start_at_s = None
            for listener in child.sockets:
                listener.close()
        self._signal_all(signal.SIGTERM)
        asked_at = time.monotonic()
        deadline = asked_at + self._config.drain_timeout_s + _KILL_GRACE_S
        status = 0
        while True:
            self._reap()
            for child in self._children:
                child.start_at_s = None
            if not any(child.pid for child in self._children):
                return status
            left = deadline - time.monotonic()
            received = signal.sigtimedwait(_SIGNALS, max(0.0, left))
            is_second = (
                received is not None
                and received.si_signo in _STOP_SIGNALS
                and time.monotonic() - asked_at > _SAME_REQUEST_S
            )
            if left <= 0 or is_second:
                logger.warning("killing what still runs")
                self._signal_all(signal.SIGKILL)
                deadline = time.monotonic() + _KILL_GRACE_S
                status = 1

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid:
                try:
                    os.kill(child.pid, number)
                except ProcessLookupError:
                    pass


def _take_note(_number: int, _frame: object) -> None:
    """SIGCHLD needs a handler so that it is kept while blocked; sigtimedwait takes it."""


def _tie_to_parent(name: str, parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies, and show its name in ps."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the first call took effect
        os._exit(1)
