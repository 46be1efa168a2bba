"""Owns a crash run with a provider behind: a weir in front of another one, a way between them that goes wrong, clients,
kills, and the check of all that was acknowledged once it is quiet.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from tests.counterparts.started import Counterparts, S3Endpoint
from tests.crash.remote_load import CHECKED, KEYS, MIB, PLAIN, STALE, Clients, World
from tests.crash.remote_values import Register, told
from tests.crash.rig import SETTINGS, ViolatedError, leftovers
from tests.remote.front import start_front
from tests.s3compat.boto import status_of
from tests.shaper import Fault, Request, RunningShaper, Shape, Shaper

_QUOTAS = (24 * MIB, 64 * MIB, 256 * MIB)
"""Of which a seed takes one: hardly any copy has room, some have, all have."""
_JOBS = ("blob-download", "evict", "prefetch")
_MOST_BYTES = 500 * MIB
_MOST_DESCRIPTORS = 1500
_PATIENCE_S = 60.0


@dataclass(slots=True)
class _Flip(Fault):
    """Wrong bytes in what can be proven: not in ranges that clients read, nor in what was uploaded in parts, whose ETag
    says nothing of its bytes."""

    def matches(self, request: Request) -> bool:
        if request.method != "GET" or "/soak-" not in request.target:
            return False
        return "/blob-" in request.target or ("/k-" in request.target and not request.range)


class Faults:
    """Switches what goes wrong on and off, one thing after the other."""

    def __init__(self, shaper: RunningShaper, seed: str) -> None:
        self._shaper = shaper
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._kinds: list[Callable[[Shaper], None]] = [
            self._nothing,
            self._nothing,
            self._throttle,
            self._fail,
            self._cut,
            self._truncate,
            self._lie,
            self._flip,
            self._stall,
            self._lose,
            self._revoke,
            self._slow,
        ]
        self.counts: Counter[str] = Counter()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(60)

    def _run(self) -> None:
        shaper = self._shaper.shaper
        while not self._stopped.is_set():
            if self._random.random() < 0.1:
                self.counts["refuse"] += 1
                self._shaper.do(shaper.refuse)
                self._stopped.wait(self._random.uniform(0.1, 1.5))
                self._shaper.do(shaper.listen)
            else:
                kind = self._random.choice(self._kinds)
                self.counts[kind.__name__[1:]] += 1
                kind(shaper)
                # Most are over before the front gives up, and some are not.
                longest_s = self._random.choice((1.0, 1.0, 1.0, 10.0))
                self._stopped.wait(self._random.uniform(0.2, longest_s))
                shaper.release()
                shaper.shape = Shape()
            self._stopped.wait(self._random.uniform(0.0, 1.0))

    def _times(self) -> int:
        return self._random.choice((1, 2, 4, -1))

    def _at(self) -> int:
        return self._random.choice((0, 200, 60_000, MIB - 1, 3 * MIB))

    def _nothing(self, shaper: Shaper) -> None:
        pass

    def _throttle(self, shaper: Shaper) -> None:
        shaper.fail("status", times=self._times())

    def _fail(self, shaper: Shaper) -> None:
        shaper.fail("status", times=self._times(), status=500, code="InternalError")

    def _revoke(self, shaper: Shaper) -> None:
        shaper.fail("status", times=self._times(), status=403, code="AccessDenied")

    def _cut(self, shaper: Shaper) -> None:
        shaper.fail("cut", method="GET", times=self._times(), at_bytes=self._at())

    def _truncate(self, shaper: Shaper) -> None:
        shaper.fail("truncate", method="GET", path="/k-", times=self._times(), at_bytes=self._at())

    def _lie(self, shaper: Shaper) -> None:
        by = self._random.choice((-1, 1, 1000))
        shaper.fail("lie", method="GET", path="/k-", times=self._times(), at_bytes=by)

    def _flip(self, shaper: Shaper) -> None:
        shaper.faults.append(_Flip("flip", times=self._times(), at_bytes=self._at()))

    def _stall(self, shaper: Shaper) -> None:
        method = self._random.choice(("GET", "PUT", "HEAD", "POST", "DELETE"))
        at_bytes = -1 if method != "GET" else self._random.choice((-1, 0, 70_000))
        shaper.fail("stall", method=method, times=self._times(), at_bytes=at_bytes)

    def _lose(self, shaper: Shaper) -> None:
        method = self._random.choice(("PUT", "POST", "DELETE", ""))
        shaper.fail("lose", method=method, times=self._times())

    def _slow(self, shaper: Shaper) -> None:
        shaper.shape = Shape(0.03, 4 * MIB)


@dataclass(slots=True)
class Totals:
    """What a run has done so far."""

    kills: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    most_bytes: int = 0
    most_descriptors: int = 0


class RemoteRig:
    """See this module."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.seed = seed
        self.totals = Totals()
        self.fault_counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._counterparts = Counterparts(directory)
        behind = self._counterparts.weir()
        self._shaper = RunningShaper(Shaper(behind.endpoint))
        settings = {
            **SETTINGS,
            "WEIR_STORAGE_QUOTA_BYTES": str(_QUOTAS[seed % len(_QUOTAS)]),
            "WEIR_SPACE_CHECK_INTERVAL_S": "0.5",
        }
        far = S3Endpoint(self._shaper.shaper.endpoint, behind.keys)
        self.front = start_front(directory, far, settings=settings)
        self.world = World(self.front.server, behind.client())
        for bucket in (PLAIN, CHECKED, STALE):
            self._make(bucket, "versioning.validate_warm_get", bucket == CHECKED)

    def close(self) -> None:
        self.front.server.kill()
        self._shaper.stop()
        self._counterparts.stop()

    def _make(self, bucket: str, name: str, value: bool) -> None:
        self.world.there.create_bucket(Bucket=bucket)
        section, _, field_name = name.partition(".")
        changes = {section: {field_name: value}, "lru": {"dont_evict_time": "0s"}}
        for method, action, said in (
            ("POST", "create-bck", None),
            ("PATCH", "set-bprops", changes),
        ):
            message = {"action": action, "name": "", "value": said}
            reply = self.world.native(method, f"buckets/{bucket}", message)
            assert reply.status_code == 200, reply.text

    # --- rounds ---

    def round(self, kills: int = 3, longest_s: float = 3.0) -> None:
        """Load and faults, with that many kills at random moments; then all is checked."""
        mark = f"{self.seed}/{self.totals.kills}"
        faults = Faults(self._shaper, mark)
        clients = Clients(self.world, mark)
        clients.start()
        try:
            for _ in range(kills):
                time.sleep(self._random.uniform(0.3, longest_s))
                self._kill()
        finally:
            faults.stop()
            clients.stop()
            self.fault_counts += faults.counts
        self._raise()
        self.check()

    def _kill(self) -> None:
        server = self.front.server
        self._measure()
        self.totals.kills += 1
        if self._random.random() < 0.5:
            self.totals.killed["all"] += 1
            server.kill()
            time.sleep(self._random.choice((0, 0.2)))
            server.start()
            return
        pid = self._random.choice(sorted(server.tree() - {server.pid}))
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            name = "nobody"
        self.totals.killed[name] += 1

    def _measure(self) -> None:
        totals, server = self.totals, self.front.server
        totals.most_bytes = max(totals.most_bytes, server.resident_bytes())
        totals.most_descriptors = max(totals.most_descriptors, server.descriptors())
        if totals.most_bytes > _MOST_BYTES or totals.most_descriptors > _MOST_DESCRIPTORS:
            self.world.violated(f"unbounded: {totals}")

    # --- the check ---

    def check(self) -> None:
        """While nobody changes anything: both sides agree on something that may be; what was not acknowledged is
        decided by it, and nothing is left over."""
        self._until("the front answers", lambda: self.front.server.health() == 200)
        time.sleep(max(0.0, self._settled_at() - time.monotonic()))
        self._until("jobs end", self._has_no_jobs)
        for bucket in (PLAIN, CHECKED, STALE):
            self._settle(bucket)
            self._read_all(bucket, "after")
            message: dict[str, object] = {
                "action": "evict-listrange",
                "value": {"objnames": KEYS, "coer": True},
            }
            self.world.native("DELETE", f"buckets/{bucket}", message)
        for bucket in (PLAIN, CHECKED, STALE):
            is_empty = functools.partial(self._has_no_copies, bucket)
            self._until(f"{bucket} is evicted", is_empty)
            self._decide(bucket)
            self._read_all(bucket, "evicted")
        self._abort_uploads()
        self._raise()
        self._check_left()
        self._raise()

    def _settled_at(self) -> float:
        return max(each.settled_at for each in self.world.book.registers.values())

    def _settle(self, bucket: str) -> None:
        """What the provider has must be among what may be; it decides where nobody has written behind the front."""
        if bucket != STALE:
            self._decide(bucket)

    def _decide(self, bucket: str) -> None:
        for register in self._registers(bucket):
            with self.world.book.looking(register) as (look,):
                state = self.world.read(self.world.there, register, look, "there")
            self.world.book.settle(register, state)

    def _read_all(self, bucket: str, what: str) -> None:
        """Through the front. What a client of S3 is refused for a moment it asks for again."""
        deadline = time.monotonic() + _PATIENCE_S
        for register in self._registers(bucket):
            while True:
                with self.world.book.looking(register) as (look,):
                    try:
                        self.world.read(self.world.s3, register, look, what)
                        break
                    except ClientError as error:
                        if status_of(error) != 503 or time.monotonic() > deadline:
                            name = f"{bucket}/{register.key}"
                            self.world.violated(
                                f"{what} {name}: {error}, may be {told(look.states)}"
                            )
                            break
                time.sleep(0.2)

    def _registers(self, bucket: str) -> list[Register]:
        return [each for each in self.world.book.registers.values() if each.bucket == bucket]

    def _has_no_jobs(self) -> bool:
        running = self.front.sdk.cluster().list_running_jobs()
        return not any(job.startswith(_JOBS) for job in running)

    def _has_no_copies(self, bucket: str) -> bool:
        entries = self.front.sdk.bucket(bucket, provider="aws").list_all_objects(
            props="name,cached"
        )
        return not any(entry.is_cached() for entry in entries)

    def _abort_uploads(self) -> None:
        for bucket in (PLAIN, CHECKED, STALE):
            for client in (self.world.s3, self.world.there):
                for each in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                    client.abort_multipart_upload(
                        Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"]
                    )

    def _check_left(self) -> None:
        """No flight goes on, and the doctor finds nothing wrong nor left over once the space cleanup has run."""
        (data,) = self.front.server.options.data_dirs
        self._until("no flights", lambda: not list(data.rglob("*.flight")))
        said = ""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            done = self.front.server.admin("doctor", is_checked=False)
            said = f"{done.stdout}{done.stderr}"
            if done.returncode == 0 and not leftovers(done.stdout):
                return
            time.sleep(0.5)
        self.world.violated(f"doctor: {said}")

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                self.world.violated(f"not within {_PATIENCE_S:.0f} s: {what}")
                return
            time.sleep(0.1)

    def _raise(self) -> None:
        if self.world.seen.violations:
            lines = "\n".join(self.world.seen.violations[:20])
            raise ViolatedError(
                f"seed {self.seed}, {self.said()}:\n{lines}\n--- log ---\n"
                f"{self.front.server.log_tail()}"
            )

    def said(self) -> str:
        """For a line of progress."""
        seen = self.world.seen
        return (
            f"{self.totals}, {sum(seen.done.values())} done {dict(seen.done)}, "
            f"failed {dict(seen.failed)}, faults {dict(self.fault_counts)}"
        )
