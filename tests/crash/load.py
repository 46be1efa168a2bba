"""Owns the clients that write, read, copy and delete while the server is killed under them.

Each client has keys of its own, whose state it knows, and all fight over a few shared ones.
"""

from __future__ import annotations

import base64
import hashlib
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests.crash.ledger import Ledger, OpenUpload
from tests.crash.values import State
from tests.crash.versions import VersionActions
from tests.s3compat.signing import UNSIGNED
from tests.s3compat.wire import ConnectionEndedError, Reply, Wire, signed_headers
from tests.server import Server

BUCKET = "crash"
KIB, MIB = 1024, 1024**2
PART_BYTES = 5 * MIB
TAG = "x-amz-meta-tag"

_OWN_KEYS = 40
_SHARED_KEYS = 4


class Gone(Exception):
    """The server went away before it answered."""


@dataclass(slots=True)
class Report:
    """What the clients of a load saw that no server may show."""

    violations: list[str] = field(default_factory=list)
    requests: int = 0
    refusals: dict[int, int] = field(default_factory=dict)


class Load:
    """Clients in threads, from `start` to `stop`."""

    def __init__(self, server: Server, ledger: Ledger, clients: int = 5) -> None:
        self.report = Report()
        self._stopped = threading.Event()
        self._clients = [
            _Client(server, ledger, number, self.report, self._stopped) for number in range(clients)
        ]
        self._threads = [
            threading.Thread(target=client.run, name=f"client {client.number}", daemon=True)
            for client in self._clients
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> Report:
        """End every client; requests under way stay unacknowledged unless they were answered."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), f"{thread.name} hangs"
        return self.report


class Caller:
    """Sends signed requests over one connection, reopened as needed. Raises Gone."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._wire: Wire | None = None

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        signed = signed_headers(
            self._server, method, target, body=body, headers=headers, payload_hash=UNSIGNED
        )
        try:
            if self._wire is None:
                self._wire = Wire(self._server)
            reply = self._wire.request(method, target, signed, body)
        except (OSError, ConnectionEndedError) as error:
            self.close()
            raise Gone from error
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply


def target_of(key: str, query: str = "") -> str:
    return f"/{BUCKET}/{quote(key)}" + (f"?{query}" if query else "")


class _Client:
    def __init__(
        self, server: Server, ledger: Ledger, number: int, report: Report, stopped: threading.Event
    ) -> None:
        self.number = number
        self._ledger = ledger
        self._report = report
        self._stopped = stopped
        self._caller = Caller(server)
        self._random = random.Random(f"{ledger.seed}/{ledger.acknowledged}/{number}")
        self._own = [f"c{number}/k{each:02}//ü &" for each in range(_OWN_KEYS)]

    def run(self) -> None:
        versions = VersionActions(self._ledger, self.number, self._random, self._send_versioned)
        choices: Sequence[tuple[int, Callable[[], None]]] = (
            (34, self._put_small),
            (10, self._put_large),
            (8, self._put_shared),
            (10, self._delete),
            (4, self._delete_many),
            (10, self._copy),
            (4, self._retag),
            (5, self._multipart),
            (19, self._get),
            (10, versions.put),
            (4, versions.mark),
            (3, versions.restore),
            (5, versions.remove),
            (5, versions.tag),
        )
        weights = [weight for weight, _ in choices]
        actions = [action for _, action in choices]
        try:
            while not self._stopped.is_set():
                action = self._random.choices(actions, weights)[0]
                try:
                    action()
                except Gone:
                    self._stopped.wait(0.02)
        except Exception as error:
            self._report.violations.append(f"client {self.number}: {error!r}")
            raise
        finally:
            self._caller.close()

    # --- actions ---

    def _put_small(self) -> None:
        size = self._random.choice((1, 100, 4 * KIB, 4 * KIB, 16 * KIB, 64 * KIB))
        self._put(self._random.choice(self._own), size)

    def _put_large(self) -> None:
        size = self._random.choice((64 * KIB + 1, 300 * KIB, 1 * MIB + 3, 4 * MIB))
        self._put(self._random.choice(self._own), size)

    def _put_shared(self) -> None:
        number = self._random.randrange(_SHARED_KEYS)
        self._put(f"shared/{number}", self._random.choice((10, 4 * KIB, 200 * KIB)))

    def _put(self, key: str, size_bytes: int) -> None:
        value = self._ledger.new_value(size_bytes)
        content = value.content()
        self._write({key: value}, "PUT", target_of(key), content, self._encryption())

    def _encryption(self) -> dict[str, str]:
        """A third of what is written is encrypted, which its ETag and its bytes do not show."""
        if self._random.random() < 1 / 3:
            return {"x-amz-server-side-encryption": "AES256"}
        return {}

    def _delete(self) -> None:
        key = self._random.choice(self._own)
        self._write({key: None}, "DELETE", target_of(key))

    def _delete_many(self) -> None:
        keys = self._random.sample(self._own, 5)
        items = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
        body = f"<Delete>{items}</Delete>".encode()
        states: dict[str, State] = dict.fromkeys(keys)
        headers = {"x-amz-checksum-algorithm": "CRC32", "content-md5": _md5(body)}
        reply = self._write(states, "POST", f"/{BUCKET}?delete", body, headers)
        if reply is not None and b"<Error>" in reply.body:
            self._violate(f"delete_many: {reply.body!r}")

    def _copy(self) -> None:
        source, key = self._random.sample(self._own, 2)
        states = self._ledger.possible(source)
        if len(states) == 1 and states[0] is not None:
            headers = {"x-amz-copy-source": quote(f"{BUCKET}/{source}"), **self._encryption()}
            self._write({key: states[0]}, "PUT", target_of(key), headers=headers)

    def _retag(self) -> None:
        key = self._random.choice(self._own)
        states = self._ledger.possible(key)
        if len(states) == 1 and states[0] is not None:
            value = self._ledger.retag(states[0])
            headers = {
                "x-amz-copy-source": quote(f"{BUCKET}/{key}"),
                "x-amz-metadata-directive": "REPLACE",
                TAG: str(value.tag),
                **self._encryption(),
            }
            self._write({key: value}, "PUT", target_of(key), headers=headers)

    def _get(self) -> None:
        key = self._random.choice(self._own)
        reply = self._caller.send("GET", target_of(key))
        self._report.requests += 1
        if reply.status >= 500:
            self._count_refusal(reply.status)
            return
        states = self._ledger.possible(key)
        if matching(reply, states) is None:
            self._violate(f"GET {key}: {describe(reply)}, expected {states}")

    def _multipart(self) -> None:
        key = self._random.choice(self._own)
        value = self._ledger.new_value(PART_BYTES + self._random.choice((1, 70 * KIB)))
        begun = self._caller.send("POST", target_of(key, "uploads"), headers=self._encryption())
        if begun.status != 200:
            self._judge(begun, f"create upload of {key}")
            return
        upload = OpenUpload(key, text_of(begun, "UploadId"), value)
        self._ledger.uploads[upload.upload_id] = upload
        content = value.content()
        for number in (1, 2):
            data = content[(number - 1) * PART_BYTES : number * PART_BYTES]
            query = f"partNumber={number}&uploadId={upload.upload_id}"
            part = self._caller.send("PUT", target_of(key, query), data)
            if part.status != 200:
                self._judge(part, f"part of {key}")
                return
            upload.etags[number] = part.headers["etag"]
        if self._random.random() < 0.2:
            return  # left open: the check after the next start goes on with it
        self._finish(upload)

    def _finish(self, upload: OpenUpload) -> None:
        del self._ledger.uploads[upload.upload_id]
        if self._random.random() < 0.15:
            target = target_of(upload.key, f"uploadId={upload.upload_id}")
            self._judge(self._caller.send("DELETE", target), "abort")
            return
        body = completion(upload)
        target = target_of(upload.key, f"uploadId={upload.upload_id}")
        self._write({upload.key: upload.value}, "POST", target, body)

    # --- outcomes ---

    def _write(
        self,
        states: Mapping[str, State],
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply | None:
        """Send a write; the reply if it was acknowledged."""
        intents = [self._ledger.begin(key, state) for key, state in states.items()]
        reply = self._caller.send(method, target, body, headers)
        self._report.requests += 1
        # CopyObject and CompleteMultipartUpload may say 200 first and the error after.
        if reply.status < 300 and b"<Error>" not in reply.body:
            self._ledger.acknowledge(intents)
            return reply
        if reply.status < 500 and reply.status >= 300:
            self._ledger.refuse(intents)
        self._judge(reply, f"{method} {target}")
        return None

    def _send_versioned(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str] | None
    ) -> Reply | None:
        reply = self._caller.send(method, target, body, headers)
        self._report.requests += 1
        if reply.status < 300 and b"<Error>" not in reply.body:
            return reply
        self._judge(reply, f"{method} {target}")
        return None

    def _judge(self, reply: Reply, what: str) -> None:
        if reply.status in {500} or 300 <= reply.status < 500:
            self._violate(f"{what}: {describe(reply)}")
        elif reply.status > 500:
            self._count_refusal(reply.status)

    def _count_refusal(self, status: int) -> None:
        self._report.refusals[status] = self._report.refusals.get(status, 0) + 1

    def _violate(self, what: str) -> None:
        self._report.violations.append(what)


def matching(reply: Reply, states: Sequence[State]) -> tuple[State] | None:
    """Which of the states the reply to a GET shows; None if it is none of them."""
    for state in states:
        if state is None:
            if reply.status == 404:
                return (None,)
        elif (
            reply.status == 200
            and reply.headers.get(TAG, "0") == str(state.tag)
            and len(reply.body) == state.size_bytes
            and reply.body == state.content()
        ):
            return (state,)
    return None


def describe(reply: Reply) -> str:
    words = reply.body[:200] if reply.status >= 300 else f"{len(reply.body)} bytes"
    return f"{reply.status} {words!r}"


def text_of(reply: Reply, tag: str) -> str:
    """The text of a document's element, whatever its namespace."""
    for element in reply.document.iter():
        if element.tag.rpartition("}")[2] == tag:
            return element.text or ""
    raise AssertionError(f"no {tag} in {reply.body!r}")


def completion(upload: OpenUpload) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in sorted(upload.etags.items())
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()
