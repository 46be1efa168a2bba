"""Owns the values between the native front and its operations: the call as admitted, the services, the response."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.accounts import AccountStore, FixedAccounts
from core.backends import BackendCounts, Backends
from core.blobs import Blobs
from core.claims import Permission
from core.control import KeyService, TokenVerifier
from core.errors import InvalidKey
from core.inventories import Inventories, NoInventories
from core.jobs import JobRecord, JobStore, StandingJobs
from core.load import Load
from core.names import BucketRef, ObjectKey, parse_object_key
from core.protocols import BodyStream, Clock, ObjectReader, ObjectService
from core.shards import Shards
from core.types import Bucket, BucketProps, Identity
from gateway.batch.nodes import BatchNodes
from gateway.native.request import NativeRequest

HealthCheck = Callable[[], Awaitable[Mapping[str, str]]]
"""Mountpath → "ok", or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """What this node and its cluster are called towards native clients, and what is to be said of its settings.

    `cluster_id` is made once with the store, and `node_id` follows from it: the target's name. `features`: AIStore's
    flags of what its settings switch on."""

    cluster_id: str
    node_id: str
    started_ns: int
    version: str
    requires_auth: bool = True
    is_https: bool = False
    log_level: str = "info"
    data_dirs: tuple[Path, ...] = ()
    log_dir: Path = Path()
    features: int = 0

    @property
    def proxy_id(self) -> str:
        """The node's name as the one proxy of the cluster, beside that as its one target."""
        return f"p{self.node_id[1:]}"


@dataclass(frozen=True, slots=True)
class NativeServices:
    """All that operations work with. `standing`: what requests do of a kind of job themselves; `load`: the node's.
    `health`: what each mountpath says of itself; `new_bucket`, `region`: what buckets get that are made here; `keys`:
    with which secrets of jobs are sealed."""

    store: ObjectService
    jobs: JobStore
    shards: Shards
    clock: Clock
    node: NodeIdentity
    tokens: TokenVerifier | None = None
    health: HealthCheck | None = None
    new_bucket: BucketProps = field(default_factory=BucketProps)
    region: str = ""
    standing: StandingJobs = field(kw_only=True)
    load: Load = field(kw_only=True)
    batch_nodes: BatchNodes = field(kw_only=True)
    promote_from: tuple[Path, ...] = field(kw_only=True, default=())
    blobs: Blobs | None = field(kw_only=True, default=None)
    inventories: Inventories = field(kw_only=True, default_factory=NoInventories)
    keys: KeyService | None = field(kw_only=True, default=None)
    backends: Backends | None = field(kw_only=True, default=None)
    accounts: AccountStore = field(kw_only=True, default_factory=FixedAccounts)
    backend_counts: BackendCounts | None = field(kw_only=True, default=None)


Require = Callable[
    ["NativeCall", str, Permission, Bucket | None, ObjectKey | None], Awaitable[None]
]


@dataclass(slots=True)
class NativeCall:
    """A request whose sender is known. Operations ask `require` before they do or tell anything. `open_body` makes of
    the request's raw body the stream that a write takes, held to what the sender signed and claims. `visited`: the
    bucket of the path, where it lives elsewhere and is looked at without being added."""

    request: NativeRequest
    identity: Identity
    services: NativeServices
    admit: Require
    open_body: Callable[[AsyncIterable[bytes]], BodyStream]
    visited: Bucket | None = None

    @property
    def store(self) -> ObjectService:
        return self.services.store

    async def require(
        self,
        action: str,
        permission: Permission,
        bucket: Bucket | None = None,
        key: ObjectKey | None = None,
    ) -> None:
        """Whether the caller may do this: `action` is the S3 action (or "weir:..." for what S3 has none for) that
        policies and ACLs decide on, `permission` what a token and the bucket's `access` must have. Raises Denied."""
        await self.admit(self, action, permission, bucket, key)

    def bucket(self, ref: BucketRef | None = None) -> Bucket:
        """The bucket of the path, or another. Raises NoSuchBucket."""
        if ref is None and self.visited is not None:
            return self.visited
        return self.store.get_bucket(self.request.ref() if ref is None else ref)

    async def add_job(self, kind: str, arguments: Mapping[str, str], job_id: str = "") -> JobRecord:
        """Have a job of a kind done, by whichever worker is free. `job_id`: its name, if it must have a certain one."""
        services = self.services
        return await asyncio.to_thread(
            services.jobs.add_sync, kind, arguments, services.clock.now_ns(), job_id=job_id
        )

    def key(self) -> ObjectKey:
        """The object's name in the path, checked. Raises InvalidKey, KeyTooLong."""
        return parse_native_key(self.request.object_name)


def parse_native_key(raw: bytes) -> ObjectKey:
    """An object's name by the rules of the native API, which are stricter than S3's. Raises InvalidKey, KeyTooLong."""
    key = parse_object_key(raw)
    if key.endswith("/") or key.startswith("~/") or not {".", ".."}.isdisjoint(key.split("/")):
        raise InvalidKey(
            reason="a name may not end in /, begin with ~/ or contain . or .. as a component"
        )
    return key


Chunk = bytes | Sequence[bytes]
"""Some of a body; in several pieces, it is sent without a copy where the server can."""

Body = bytes | ObjectReader | AsyncIterator[bytes] | AsyncIterator[Sequence[bytes]]


@dataclass(slots=True)
class NativeResponse:
    """What the front sends. Header names are lower-case bytes. It adds content-length for bytes and readers (to a HEAD
    only the operation's own), and closes readers and iterators. An iterator that raises cuts the connection, and so
    does a client that does not take one of its chunks within `send_timeout_s`."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: Body = b""
    send_timeout_s: float | None = None


def json_response(value: Any, status: int = 200) -> NativeResponse:
    """A structure as JSON."""
    return NativeResponse(
        status, [(b"content-type", b"application/json")], json.dumps(value).encode()
    )


def text_response(text: str, status: int = 200) -> NativeResponse:
    """Plain text with no newline: how job and upload ids are answered."""
    return NativeResponse(status, [(b"content-type", b"text/plain; charset=utf-8")], text.encode())


Handler = Callable[[NativeCall], Awaitable[NativeResponse]]


@dataclass(frozen=True, slots=True)
class Row:
    """One way to ask for an operation: method, resource, how many names its path has, and the action of its message.

    `action` None: the body is not a message, or the handler reads it itself. "": a message without action (or no
    body). A path of one name or more on `names` -1 is of any length. With `what`, the query's parameter of that name
    chooses, and no message is read.
    """

    method: str
    resource: str
    names: int
    handler: Handler
    action: str | None = None
    what: str | None = None
