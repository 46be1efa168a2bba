"""Owns what the cache must know of a bucket to serve it: what it is called where it lives, how the local node is to see
it, and the properties that say what is compared and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backends.cache.flights import Place, place_of
from core.backends import Backend, Backends, remote_name
from core.configs.sections import is_on
from core.configs.versioning import Versioning
from core.names import ObjectKey
from core.told_attributes import sayable
from core.types import NOBODY, Bucket, ObjectInfo, RemoteFacts

_DISABLE_COLD_GET = 1 << 11
"""AIStore's feature flag of that name: absent copies are 404."""


@dataclass(frozen=True, slots=True)
class View:
    """A bucket that lives elsewhere.

    `local`: as the node is to see it, which keeps copies only: no versions, no locks, nobody to tell of changes.
    `validates`: every read asks the backend; `synchronizes`: a copy of what is gone there goes too; `verifies`: digests
    of what is fetched are compared; `is_cold_served`: absent copies are fetched; `keeps`: what is fetched stays, which
    it does not where all on the disks is to be encrypted, as nothing is that a backend sends."""

    bucket: Bucket
    local: Bucket
    name: str
    validates: bool
    synchronizes: bool
    verifies: bool
    is_cold_served: bool
    keeps: bool


def view_of(bucket: Bucket) -> View:
    """From the bucket's properties."""
    props = bucket.props
    native = props.native
    local = replace(
        bucket,
        origin=None,
        props=replace(props, versioning=Versioning.OFF, object_lock=None),
    )
    return View(
        bucket=bucket,
        local=local,
        name=remote_name(bucket),
        validates=is_on(native, "versioning.validate_warm_get"),
        synchronizes=is_on(native, "versioning.synchronize"),
        verifies=is_on(native, "checksum.validate_cold_get", default=True),
        is_cold_served=not native.features & _DISABLE_COLD_GET,
        keeps=props.encryption is None or props.encryption.request() is None,
    )


class Views:
    """The views of the buckets that were asked for; a look-up of one that has not changed costs two comparisons."""

    def __init__(self) -> None:
        self._known: dict[int, View] = {}

    def of(self, bucket: Bucket) -> View:
        """The view of a bucket as it is now."""
        known = self._known.get(bucket.bucket_id)
        if known is None or known.bucket is not bucket:
            known = self._known[bucket.bucket_id] = view_of(bucket)
        return known


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that is wanted from a backend; with a `version_id`, that version of it."""

    view: View
    key: ObjectKey
    backends: Backends
    version_id: str = ""

    @property
    def place(self) -> Place:
        return place_of(self.view.bucket, self.key)

    @property
    def backend(self) -> Backend:
        """Raises as Backends.of."""
        return self.backends.of(self.view.bucket)

    def seen(self, info: ObjectInfo) -> ObjectInfo:
        """What a backend said of it, as clients are to see it: under its key here, and the bucket owner's own."""
        info = sayable(info)
        attributes = info.attributes
        if attributes.owner_id == NOBODY:
            attributes = replace(attributes, owner_id=self.view.bucket.owner.user_id)
        seen = replace(info, key=self.key, attributes=attributes, is_cached=False)
        if not self.version_id or info.remote is None:
            return seen
        return replace(seen, version_id=info.remote.version_id or self.version_id)


def is_current(kept: ObjectInfo, now: ObjectInfo) -> bool:
    """Whether a copy is what its backend has now, by the strongest sign that both have."""
    before, after = kept.remote, now.remote
    if before is None or after is None or kept.size_bytes != now.size_bytes:
        return False
    if before.etag and after.etag and before.provider == after.provider:
        return before.etag == after.etag and _agree(before.version_id, after.version_id)
    if before.version_id and after.version_id:
        return before.version_id == after.version_id
    if before.md5 and after.md5:
        return before.md5 == after.md5
    return before.provider == after.provider and kept.modified_ns == now.modified_ns


def _agree(before: str, after: str) -> bool:
    return not before or not after or before == after


def etag_of(info: ObjectInfo) -> str:
    """By which a backend knows this state of an object again; "" if it doesn't."""
    return "" if info.remote is None else info.remote.etag


def settled(remote: RemoteFacts) -> RemoteFacts:
    """The facts of a copy that was compared."""
    return replace(remote, in_doubt=False)
