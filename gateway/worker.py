"""Owns a request worker: builds the parts of a node inside one process and serves until told to stop.

Workers share nothing but the disk: each has its own event loop, connections to the indexes and view of the control
store, and may die at any point.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace

import uvicorn

from cluster.control import EmbeddedControlStore
from cluster.jobs import JobRecords
from cluster.key_service import LocalKeyService
from cluster.standing_jobs import StandingRecords
from core import cpus
from core.load import Load
from core.protocols import Clock
from core.shards import Shards
from core.types import BucketProps
from gateway.access_log import AccessLog
from gateway.allocator import tune_malloc
from gateway.app import AsgiApp, Websites, WellKnown, build_app
from gateway.backends import open_service
from gateway.batch.nodes import BatchNodes, OneBatchNode
from gateway.batch.service import Batches, BatchSettings, LocalSenders
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.identity import node_identity
from gateway.job_kinds import owner_name
from gateway.keys import open_key_service
from gateway.native.call import NativeServices
from gateway.native.front import NativeFront
from gateway.node import open_node
from gateway.presigned import PresignedPassing
from gateway.protocol import Limits, limited
from gateway.service import SingleNodeService
from gateway.shard_view import shard_view
from gateway.shards import open_shards
from gateway.startup import open_control, server_log_directory
from gateway.storage_classes import storage_classes
from gateway.tokens.published import Published
from gateway.tokens.setup import open_tokens
from gateway.tokens.verifier import Tokens
from jobs.load import LoadMonitor, SystemProbe
from jobs.log_spool import SpoolWriter
from jobs.standing import SharedJobs
from s3api.auth.authenticator import Authenticator
from s3api.auth.open import OpenAuthenticator
from s3api.call import Authenticator as AnyAuthenticator
from s3api.call import Settings
from s3api.edge import S3Front
from s3api.encryption import default_for_new_buckets
from s3api.router import OperationRouter
from s3api.website import Visitors, WebsiteRouter
from storage.bulk import LocalBatchSender
from storage.node import LocalNode

logger = logging.getLogger(__name__)

_BACKLOG = 2048
# What asyncio gives itself, at most.
_THREADS = 32


def run_worker(
    config: Config,
    sockets: list[socket.socket],
    worker_index: int,
    parent_alive_fd: int,
    *,
    started_ns: int = 0,
) -> None:
    """Serve on bound sockets until SIGTERM or the parent's death; requests in flight may end. `started_ns` is when the
    node started, before any of its workers did."""
    import uvloop

    tune_malloc()
    if config.keep_to_cpus:
        cpus.keep_to_one(worker_index, config.workers)
    # Requests leave no cycles behind; looking for them every 700 allocations cost 3 µs of a 60 µs request.
    gc.set_threshold(20_000, 20, 20)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, sockets, parent_alive_fd, started_ns, stop))


class Stop:
    """What SIGTERM does while uvicorn does not listen for it: before it serves, when it may not be lost, and after it
    has drained, when it raises again each signal that it took and what follows must still run."""

    def __init__(self) -> None:
        self._was_asked = False
        self._server: uvicorn.Server | None = None

    def __call__(self, _number: int, _frame: object) -> None:
        self._was_asked = True
        if self._server is not None:
            self._server.should_exit = True

    def tell(self, server: uvicorn.Server) -> None:
        """Have a server that is about to serve stop when asked to, or if it was asked already."""
        self._server = server
        server.should_exit = self._was_asked


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a worker is built of."""

    config: Config
    clock: Clock
    control: EmbeddedControlStore
    keys: LocalKeyService
    node: LocalNode
    service: SingleNodeService
    records: JobRecords
    tokens: Tokens
    shards: Shards
    shared_jobs: SharedJobs
    load: Load
    access_log: AccessLog | None
    server_log: SpoolWriter
    passing: PresignedPassing


async def _serve(
    config: Config,
    sockets: list[socket.socket],
    parent_alive_fd: int,
    started_ns: int,
    stop: Stop,
) -> None:
    asyncio.get_running_loop().set_default_executor(cpus.pool(_THREADS, "asyncio"))
    async with AsyncExitStack() as stack:
        parts = await _open(config, stack)
        app = _app(parts, _website_ports(config, sockets), started_ns)
        server = uvicorn.Server(_uvicorn_config(config, app))
        _watch(server, parent_alive_fd)
        stop.tell(server)
        await server.serve(sockets)


async def _open(config: Config, stack: AsyncExitStack) -> _Parts:
    """All parts; the stack closes them, the last first."""
    clock = SystemClock()
    control = stack.enter_context(closing(open_control(config)))
    keys = stack.enter_context(closing(open_key_service(config, control)))
    tokens = open_tokens(config, control, clock)
    stack.push_async_callback(tokens.close)
    records = stack.enter_context(closing(JobRecords(control.database)))
    standing = stack.enter_context(closing(StandingRecords(control.database)))
    node = await open_node(config, clock, keys)
    stack.push_async_callback(node.close)
    shared_jobs = SharedJobs(standing, clock, owner_name())
    stack.push_async_callback(shared_jobs.close)
    load = LoadMonitor(SystemProbe(config.data))
    stack.callback(asyncio.create_task(load.run()).cancel)
    service = await stack.enter_async_context(open_service(config, control, node, clock))
    passing = PresignedPassing(service)
    stack.push_async_callback(passing.close)
    shards = stack.enter_context(closing(open_shards(config.shards, service, node)))
    server_log = SpoolWriter(
        server_log_directory(control),
        flush_interval_s=config.access_logging.flush_interval_s,
        roll_interval_s=config.access_logging.interval_s,
    )
    stack.callback(server_log.close)
    access_log = AccessLog(sys.stderr.buffer) if config.log.access else None
    if access_log is not None:
        stack.callback(access_log.close)
    return _Parts(
        config=config,
        clock=clock,
        control=control,
        keys=keys,
        node=node,
        service=service,
        records=records,
        tokens=tokens,
        shards=shards,
        shared_jobs=shared_jobs,
        load=load,
        access_log=access_log,
        server_log=server_log,
        passing=passing,
    )


def _app(parts: _Parts, website_ports: frozenset[int], started_ns: int) -> AsgiApp:
    config, node = parts.config, parts.node
    settings = _s3_settings(config)
    authenticator = _authenticator(config, parts.control, settings, parts.tokens)
    front = S3Front(
        parts.service, authenticator, OperationRouter(), parts.clock, settings, parts.access_log
    )
    front.server_log = parts.server_log
    front.pass_on = parts.passing
    front.shard_view = shard_view(parts.service, parts.shards)
    return build_app(
        front,
        _native_front(parts, authenticator, settings, started_ns),
        node.health,
        _websites(parts, settings, website_ports),
        _well_known(config, parts.tokens, parts.clock),
        settings.domains,
    )


def _websites(parts: _Parts, settings: Settings, ports: frozenset[int]) -> Websites:
    domains = tuple(domain.lower() for domain in parts.config.website_domains)
    front = S3Front(
        parts.service,
        Visitors(),
        WebsiteRouter(),
        parts.clock,
        replace(settings, domains=domains),
        parts.access_log,
    )
    front.server_log = parts.server_log
    return Websites(front, domains, ports)


def _native_front(
    parts: _Parts, authenticator: AnyAuthenticator, settings: Settings, started_ns: int
) -> NativeFront:
    config, clock = parts.config, parts.clock
    services = NativeServices(
        parts.service,
        parts.records,
        parts.shards,
        clock,
        node_identity(config, parts.control, started_ns or clock.now_ns()),
        parts.tokens,
        parts.node.health,
        BucketProps(encryption=default_for_new_buckets(settings)),
        settings.region,
        standing=parts.shared_jobs,
        load=parts.load,
        batch_nodes=_batch_nodes(parts),
        promote_from=config.native.promote_from,
        keys=parts.keys,
        backends=parts.service.backends,
        accounts=parts.service.accounts,
        backend_counts=parts.service.backend_counts,
        inventories=parts.service.inventories,
        blobs=parts.service.blobs,
    )
    front = NativeFront(services, authenticator, settings)
    front.observer = parts.access_log
    return front


def _authenticator(
    config: Config, control: EmbeddedControlStore, settings: Settings, tokens: Tokens
) -> AnyAuthenticator:
    if config.auth.required:
        return Authenticator(control, settings, tokens)
    root = next(user for user in control.users() if user.is_root)
    return OpenAuthenticator(
        root, is_for_strangers=config.auth.open_anywhere, domains=settings.domains
    )


def _well_known(config: Config, tokens: Tokens, clock: Clock) -> WellKnown:
    auth = config.auth
    published = Published(tokens.records, clock, auth.max_token_age_s, auth.issuer_url)
    return WellKnown(published, tuple(f".{domain.lower()}".encode() for domain in config.domains))


def _batch_nodes(parts: _Parts) -> BatchNodes:
    config, node = parts.config, parts.node
    limits = config.get_batch
    settings = BatchSettings(
        max_pending=limits.max_pending,
        max_soft_errors=limits.max_soft_errors,
        read_ahead_bytes=limits.read_ahead_bytes,
        send_timeout_s=limits.send_timeout_s,
        max_buffered_bytes=limits.max_buffered_bytes,
        spool_directory=config.data[0],
    )
    senders = LocalSenders(LocalBatchSender(node.mountpaths, parts.service, parts.shards))
    return OneBatchNode(Batches(senders, settings, parts.shared_jobs, parts.load))


def _website_ports(config: Config, sockets: list[socket.socket]) -> frozenset[int]:
    """Of the ports served on, those that are not the first: the S3 API has the same on all its sockets."""
    if not config.website_listen:
        return frozenset()
    ports = [listener.getsockname()[1] for listener in sockets]
    return frozenset(ports) - {ports[0]}


def _s3_settings(config: Config) -> Settings:
    return Settings(
        region=config.region,
        domains=tuple(domain.lower() for domain in config.domains),
        max_clock_skew_s=config.limits.max_clock_skew_s,
        max_document_bytes=config.limits.max_document_bytes,
        encrypts_new_buckets=config.encryption.new_buckets == "AES256",
        requires_tls_for_customer_keys=config.encryption.require_tls_for_customer_keys,
        lifecycle_day_s=config.lifecycle.day_s,
        event_destinations={each.name: each.kind for each in config.events.destinations},
        storage_classes=tuple(each.name for each in storage_classes(config)),
    )


def _uvicorn_config(config: Config, app: object) -> uvicorn.Config:
    limits = config.limits
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # its type would be uvicorn's own
        http=limited(
            Limits(
                head_bytes=limits.max_header_bytes,
                stall_timeout_s=limits.stall_timeout_s,
                connections=limits.max_connections,
            )
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("server", "weir")],
        backlog=_BACKLOG,
        timeout_keep_alive=limits.keep_alive_timeout_s,  # type: ignore[arg-type]  # a timer takes fractions
        timeout_graceful_shutdown=int(config.drain_timeout_s) or 1,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
    )


def _watch(server: uvicorn.Server, parent_alive_fd: int) -> None:
    """Stop when the parent is gone: its end of the pipe closes with it."""

    def parent_gone() -> None:
        asyncio.get_running_loop().remove_reader(parent_alive_fd)
        server.handle_exit(signal.SIGTERM, None)

    os.set_blocking(parent_alive_fd, False)
    asyncio.get_running_loop().add_reader(parent_alive_fd, parent_gone)
