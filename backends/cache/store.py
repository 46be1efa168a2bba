"""Owns CachedStore: the ObjectStore of buckets that live elsewhere, put together from the parts that do the work.

The local node has copies, the backend has the truth. Reads are in `reading`, writes in `writing`, uploads in `uploads`,
listings in `listing`; who is at work on a key, in which process, is known by `flights`, and what was read when by
`usage`.
"""

from __future__ import annotations

from pathlib import Path

from backends.cache.access_times import AccessTimes
from backends.cache.blobs import CachedBlobs
from backends.cache.changing import Changing
from backends.cache.copying import Copying
from backends.cache.flights import Flights
from backends.cache.inventories import StoredInventories
from backends.cache.listing import Listing
from backends.cache.reading import Reading
from backends.cache.resending import Resending
from backends.cache.upload_ledger import UploadLedger
from backends.cache.uploads import Uploads
from backends.cache.usage import Usage
from backends.cache.writing import Writing
from core.backends import Backends
from core.nodes import StorageNode
from core.protocols import Clock

_UPLOADS = "uploads.db"


class CachedStore:
    """An ObjectStore for buckets with a backend."""

    def __init__(
        self,
        node: StorageNode,
        backends: Backends,
        clock: Clock,
        directory: Path,
        inventories: StoredInventories | None = None,
    ) -> None:
        """`directory`: in which the processes of the node coordinate (backends.cache.flights), and which lasts: uploads
        in progress are remembered there; made if need be. Without `inventories` there are none."""
        self.backends = backends
        self.flights = flights = Flights(directory)
        self._times = AccessTimes(directory / "access.db")
        self.usage = Usage(flights, self._times)
        self._reading = reading = Reading(node, backends, flights, self.usage)
        writing = Writing(node, backends, flights, clock)
        copying = Copying(node, reading, writing)
        changing = Changing(node, writing, copying)
        self._ledger = UploadLedger(directory / _UPLOADS)
        uploads = Uploads(node, clock, writing, copying, self._ledger)
        listing = Listing(node, backends, inventories)
        self.head = reading.head
        self.head_with_tags = changing.head_with_tags
        self.get = reading.get
        self.blobs = CachedBlobs(node, backends, reading)
        self.bring = reading.bring
        self.resend = Resending(node, writing).resend
        self.put = writing.put
        self.changing_there = writing.changing_there
        self.delete = writing.delete
        self.delete_many = writing.delete_many
        self.copy = copying.copy
        self.update_object = changing.update_object
        self.announce = node.announce
        self.list_objects = listing.list_objects
        self.list_versions = listing.list_versions
        self.is_empty = listing.is_empty
        self.create_upload = uploads.create_upload
        self.get_upload = uploads.get_upload
        self.upload_part = uploads.upload_part
        self.upload_part_copy = uploads.upload_part_copy
        self.list_parts = uploads.list_parts
        self.list_uploads = uploads.list_uploads
        self.complete_upload = uploads.complete_upload
        self.abort_upload = uploads.abort_upload

    async def close(self) -> None:
        """Give up what is being fetched. The backends are for others to close."""
        await self._reading.close()
        await self._times.close()
        self.flights.close()
        self._ledger.close()
