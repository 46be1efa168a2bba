"""Owns listings of buckets that live elsewhere, with what of them is here."""

from __future__ import annotations

from core.backends import Backends
from core.listing import ListPage, ListQuery, VersionListPage, VersionListQuery
from core.nodes import StorageNode
from core.types import Bucket


class Listing:
    """Listings."""

    def __init__(self, node: StorageNode, backends: Backends) -> None:
        self._node = node
        self._backends = backends

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """See ObjectStore.list_objects."""
        return await self._node.list_objects(bucket, query)

    async def list_versions(self, bucket: Bucket, query: VersionListQuery) -> VersionListPage:
        """See ObjectStore.list_versions."""
        return await self._node.list_versions(bucket, query)

    async def is_empty(self, bucket: Bucket) -> bool:
        """See ObjectStore.is_empty."""
        return await self._node.is_empty(bucket)
