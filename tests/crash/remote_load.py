"""Owns the clients of a crash run with a provider behind: they write, read, copy, delete, list, evict and bring objects
by way of a weir that is killed under them, and a few write at the provider itself."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef
from urllib3.exceptions import HTTPError

from tests.crash.remote_values import Book, Look, Register, State, Value, describe, name_of, told
from tests.s3compat.boto import connect, status_of
from tests.server import Server

KIB, MIB = 1024, 1024**2
PART_BYTES = 5 * MIB
PLAIN, CHECKED, STALE = "soak-plain", "soak-checked", "soak-stale"
"""Changed by way of the front alone; compared with the provider at each read; changed behind a front that does not
compare."""

KEYS = (
    [f"k-{number:02}" for number in range(14)]
    + [f"blob-{number}" for number in range(4)]
    + [f"parts-{number}" for number in range(4)]
)
"""Of each bucket. Ranges of those of `blob` are read by nobody but jobs, and only `parts` are uploaded in parts."""

_GONE = (BotoCoreError, HTTPError, requests.RequestException)
_CLEAR = {403, 404, 409, 412, 416, 429, 503, 507}
"""Errors that say what is wrong."""


@dataclass(slots=True)
class Seen:
    """What the clients of a run saw."""

    violations: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class World:
    """What all clients share."""

    def __init__(self, front: Server, there: S3Client) -> None:
        self.front = front
        self.there = there
        self.book = Book(dict.fromkeys((PLAIN, CHECKED, STALE), KEYS), STALE)
        self.seen = Seen()
        self.s3 = connect(
            front,
            config=Config(read_timeout=90, response_checksum_validation="when_required"),
        )

    def violated(self, what: str) -> None:
        self.seen.violations.append(what)

    def native(self, method: str, path: str, message: Mapping[str, object]) -> requests.Response:
        """A request of AIStore's API."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.front.endpoint}/v1/{path}?provider=aws"
            return session.request(method, url, json=message, timeout=90)

    def judge(self, register: Register, look: Look, state: State, what: str) -> None:
        """What was seen must be what the key had at some time of the look."""
        if state not in look.states:
            self.violated(
                f"{what} {register.bucket}/{register.key}: saw {name_of(state)}, may be {told(look.states)}"
            )
        else:
            self.book.saw(register, look, state)

    def read(self, client: S3Client, register: Register, look: Look, what: str) -> State:
        """An object's whole, judged. Raises ClientError, and what ends a body early."""
        try:
            answer = client.get_object(Bucket=register.bucket, Key=register.key)
        except ClientError as error:
            if status_of(error) != 404:
                raise
            self.judge(register, look, None, what)
            return None
        with answer["Body"] as body:
            data = body.read()
        for state in list(look.states):
            if state is not None and state.size_bytes == len(data) and state.content() == data:
                if not state.is_seen(answer["ETag"], len(data)):
                    self.violated(f"{what} {register.key}: {name_of(state)} has {answer['ETag']}")
                self.judge(register, look, state, what)
                return state
        name = f"{register.bucket}/{register.key}"
        self.violated(f"{what} {name}: read {describe(data)}, may be {told(look.states)}")
        return None


class Clients:
    """In threads, from `start` to `stop`."""

    def __init__(self, world: World, seed: str, count: int = 6) -> None:
        self._stopped = threading.Event()
        clients = [_Client(world, random.Random(f"{seed}/{each}")) for each in range(count)]
        self._threads = [
            threading.Thread(target=client.run, args=(self._stopped,), daemon=True)
            for client in clients
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Every request has ended, well or not."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(180)
            assert not thread.is_alive(), "a client hangs"


class _Client:
    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._book = world.book
        self._random = chance
        self._registers = list(world.book.registers.values())
        self._actions: list[tuple[int, Callable[[], None]]] = [
            (16, self.put),
            (4, self.put_large),
            (3, self.upload),
            (6, self.delete),
            (5, self.copy),
            (5, self.put_behind),
            (2, self.delete_behind),
            (28, self.get),
            (12, self.get_range),
            (6, self.head),
            (4, self.list),
            (8, self.evict),
            (2, self.evict_many),
            (3, self.prefetch),
            (4, self.blob),
        ]

    def run(self, stopped: threading.Event) -> None:
        weights = [weight for weight, _ in self._actions]
        while not stopped.is_set():
            action = self._random.choices(self._actions, weights)[0][1]
            name = action.__name__
            try:
                action()
                self._world.seen.done[name] += 1
            except ReadTimeoutError as error:
                self._world.violated(f"{name} hangs: {error}")
            except ClientError as error:
                status = status_of(error)
                self._world.seen.failed[f"{status}"] += 1
                if status not in _CLEAR:
                    self._world.violated(f"{name}: {status} {error}")
                stopped.wait(0.02)
            except _GONE as error:
                self._world.seen.failed[type(error).__name__] += 1
                stopped.wait(0.1)
            except Exception as error:  # the run must tell
                self._world.violated(f"{name}: {error!r}")

    def _any(self, kind: str = "", *buckets: str) -> Register:
        fitting = [
            each
            for each in self._registers
            if each.key.startswith(kind) and (not buckets or each.bucket in buckets)
        ]
        return self._random.choice(fitting)

    # --- changes ---

    def put(self) -> None:
        self._put(self._any("k"), self._random.choice((300, 5_000, 70_000, 400_000)))

    def put_large(self) -> None:
        size_bytes = int(self._random.choice((1, 1, 2, 6)) * MIB * self._random.uniform(0.8, 1.5))
        self._put(self._any(self._random.choice(("k", "blob"))), size_bytes)

    def _put(self, register: Register, size_bytes: int) -> None:
        with self._book.claimed(register) as may:
            if may:
                self._put_by(self._world.s3, register, size_bytes, is_behind=False)

    def _put_by(
        self, client: S3Client, register: Register, size_bytes: int, *, is_behind: bool
    ) -> None:
        value = self._book.new_value(register, size_bytes)
        data = value.content()
        with self._book.changing(register, value, is_behind=is_behind):
            answer = client.put_object(Bucket=register.bucket, Key=register.key, Body=data)
        if not value.is_seen(answer["ETag"], size_bytes):
            self._world.violated(f"put {register.key}: {name_of(value)} has {answer['ETag']}")

    def put_behind(self) -> None:
        register = self._any("k", CHECKED, STALE)
        with self._book.claimed(register) as may:
            if may:
                size_bytes = self._random.choice((300, 60_000, MIB + 5))
                self._put_by(self._world.there, register, size_bytes, is_behind=True)

    def delete(self) -> None:
        self._delete(self._world.s3, self._any(), is_behind=False)

    def delete_behind(self) -> None:
        self._delete(self._world.there, self._any("k", CHECKED, STALE), is_behind=True)

    def _delete(self, client: S3Client, register: Register, *, is_behind: bool) -> None:
        with self._book.claimed(register) as may:
            if may:
                with self._book.changing(register, None, is_behind=is_behind):
                    client.delete_object(Bucket=register.bucket, Key=register.key)

    def copy(self) -> None:
        kind = self._random.choice(("k", "k", "blob"))
        source, target = self._any(kind), self._any(kind)
        with self._book.claimed(source) as may_read:
            value = self._book.known(source)
            if not may_read or value is None or target is source:
                return
            with self._book.claimed(target) as may:
                if not may:
                    return
                with self._book.changing(target, value):
                    self._world.s3.copy_object(
                        Bucket=target.bucket,
                        Key=target.key,
                        CopySource={"Bucket": source.bucket, "Key": source.key},
                    )

    def upload(self) -> None:
        register = self._any("parts")
        size_bytes = PART_BYTES * self._random.choice((1, 1, 2)) + self._random.randint(
            300, 2 * MIB
        )
        with self._book.claimed(register) as may:
            if may:
                value = self._book.new_value(register, size_bytes, is_of_parts=True)
                self._upload(register, value)

    def _upload(self, register: Register, value: Value) -> None:
        s3, bucket, key = self._world.s3, register.bucket, register.key
        upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        data, parts = value.content(), list[CompletedPartTypeDef]()
        try:
            for number, first in enumerate(range(0, len(data), PART_BYTES), 1):
                part = s3.upload_part(
                    Bucket=bucket,
                    Key=key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=data[first : first + PART_BYTES],
                )
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
        except ClientError:
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
            raise
        with self._book.changing(register, value):
            s3.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )

    # --- looks ---

    def get(self) -> None:
        register = self._any()
        with self._book.looking(register) as (look,):
            self._world.read(self._world.s3, register, look, "get")

    def get_range(self) -> None:
        register = self._any(self._random.choice(("k", "parts")))
        first = self._random.choice((0, self._random.randint(0, 6 * MIB)))
        length = self._random.choice((512, 100_000, 3 * MIB))
        asked = f"bytes={first}-{first + length - 1}"
        with self._book.looking(register) as (look,):
            try:
                answer = self._world.s3.get_object(
                    Bucket=register.bucket, Key=register.key, Range=asked
                )
            except ClientError as error:
                self._judge_refusal(register, look, first, status_of(error), error)
                return
            with answer["Body"] as body:
                data = body.read()
            for state in look.states:
                if state is not None and state.content()[first : first + length] == data:
                    return
        self._world.violated(
            f"range {register.bucket}/{register.key} {asked}: read {describe(data, first)}, "
            f"may be {told(look.states)}"
        )

    def _judge_refusal(
        self, register: Register, look: Look, first: int, status: int, error: ClientError
    ) -> None:
        if status == 404:
            self._world.judge(register, look, None, "range")
        elif status != 416:
            raise error
        elif not any(each is not None and each.size_bytes <= first for each in look.states):
            self._world.violated(f"range {register.key} {first}: 416, may be {told(look.states)}")

    def head(self) -> None:
        register = self._any()
        with self._book.looking(register) as (look,):
            try:
                said = self._world.s3.head_object(Bucket=register.bucket, Key=register.key)
            except ClientError as error:
                if status_of(error) != 404:
                    raise
                self._world.judge(register, look, None, "head")
                return
            self._judge_record(register, look, said["ETag"], said["ContentLength"], "head")

    def list(self) -> None:
        bucket = self._random.choice((PLAIN, CHECKED, STALE))
        registers = [each for each in self._registers if each.bucket == bucket]
        with self._book.looking(*registers) as looks:
            answer = self._world.s3.list_objects_v2(Bucket=bucket)
            found = {each["Key"]: each for each in answer.get("Contents", [])}
            for register, look in zip(registers, looks, strict=True):
                entry = found.pop(register.key, None)
                if entry is not None:
                    self._judge_record(register, look, entry["ETag"], entry["Size"], "list")
                elif None not in look.states:
                    self._world.violated(
                        f"list {bucket}: no {register.key}, may be {told(look.states)}"
                    )
            if found:
                self._world.violated(f"list {bucket}: {sorted(found)} nobody made")

    def _judge_record(
        self, register: Register, look: Look, etag: str, size_bytes: int, what: str
    ) -> None:
        if not any(each is not None and each.is_seen(etag, size_bytes) for each in look.states):
            self._world.violated(
                f"{what} {register.bucket}/{register.key}: {etag} {size_bytes}, "
                f"may be {told(look.states)}"
            )

    # --- copies come and go ---

    def evict(self) -> None:
        register = self._any()
        message: dict[str, object] = {"action": "evict-listrange", "name": "", "value": None}
        self._ask("DELETE", f"objects/{register.bucket}/{register.key}", message)

    def evict_many(self) -> None:
        self._many("DELETE", "evict-listrange")

    def prefetch(self) -> None:
        self._many("POST", "prefetch-listrange")

    def blob(self) -> None:
        register = self._any(self._random.choice(("blob", "parts")))
        value = {"chunk-size": 256 * KIB, "num-workers": 3}
        message: dict[str, object] = {
            "action": "blob-download",
            "name": register.key,
            "value": value,
        }
        self._ask("POST", f"objects/{register.bucket}", message)

    def _many(self, method: str, action: str) -> None:
        bucket = self._random.choice((PLAIN, CHECKED, STALE))
        names = self._random.sample(KEYS, 6)
        value = {"objnames": names, "coer": True}
        self._ask(method, f"buckets/{bucket}", {"action": action, "name": "", "value": value})

    def _ask(self, method: str, path: str, message: dict[str, object]) -> None:
        reply = self._world.native(method, path, message)
        if reply.status_code >= 400:
            self._world.seen.failed[f"{reply.status_code}"] += 1
            if reply.status_code not in _CLEAR:
                what = f"{message['action']} {path}: {reply.status_code} {reply.text[:300]}"
                self._world.violated(what)
