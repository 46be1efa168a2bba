"""Owns the making of the service of a process: buckets and objects of this node, and those that live elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from backends.cache.inventories import StoredInventories
from backends.cache.store import CachedStore
from backends.registry import OpenBackends, import_sync
from backends.wrappers.stack import open_shared_sync
from cluster.accounts import AccountRecords
from cluster.control import EmbeddedControlStore
from core.nodes import StorageNode
from core.protocols import Clock
from gateway.config import Config
from gateway.keys import open_key_service
from gateway.service import SingleNodeService

_FLIGHTS = "flights"
_SHARED = "backends"


@asynccontextmanager
async def open_service(
    config: Config, control: EmbeddedControlStore, node: StorageNode, clock: Clock
) -> AsyncIterator[SingleNodeService]:
    """The service over a node that is open; what it opened at providers is closed in the end."""
    with (
        closing(open_key_service(config, control)) as keys,
        closing(AccountRecords(control.database, keys)) as accounts,
    ):
        shared = open_shared_sync(control.home / _SHARED)
        backends = OpenBackends(accounts, shared=shared)
        needed = {each.provider for each in await asyncio.to_thread(accounts.accounts)}
        importing = asyncio.create_task(asyncio.to_thread(import_sync, needed))
        try:
            inventories = StoredInventories(node, control.bucket)
            cached = CachedStore(node, backends, clock, control.home / _FLIGHTS, inventories)
            try:
                service = SingleNodeService(control, node, clock, cached, inventories)
                service.accounts = accounts
                service.backend_counts = shared.counters.totals
                yield service
            finally:
                await cached.close()
        finally:
            await importing
            await backends.close()
