"""Owns what inventories are: snapshots of the listing of a bucket that lives elsewhere, kept as objects of a system
bucket. Their names, what is known of one, and the seam by which they are read (Inventories). Their bytes are
core.inventory_format's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.errors import InvalidArgument
from core.job_table import ref_text
from core.names import BucketName, BucketRef, ObjectKey
from core.types import Bucket

INVENTORY_BUCKET = BucketRef(BucketName(".sys-inventory"))

DEFAULT_NAMES, MIN_NAMES, MAX_NAMES = 20_000, 2, 640_000
"""How many names a chunk has."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}\Z")
_NO_NAMESPACE = "@#"


@dataclass(frozen=True, slots=True)
class InventoryFacts:
    """What an inventory says of itself. `bucket_id` and `source`: what it is of; the bucket, and what that is bound to.
    `count`: of its names. `refresh_s`: after so long it is made anew; 0: never by itself. `job_id`: who made it."""

    name: str
    bucket_id: int
    source: str
    prefix: str = ""
    props: str = ""
    names_per_chunk: int = DEFAULT_NAMES
    refresh_s: int = 0
    job_id: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    count: int = 0

    def is_of(self, bucket: Bucket) -> bool:
        """Whether the bucket is still the one, and bound to the same."""
        return self.bucket_id == bucket.bucket_id and self.source == source_of(bucket)


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory as it is stored: its object's key and size, and how many chunks it has."""

    key: ObjectKey
    size_bytes: int
    chunks: int
    facts: InventoryFacts


class Inventories(Protocol):
    """Which inventories there are. Listings are answered from one where ListQuery.inventory says so."""

    async def find(self, bucket: Bucket, name: str = "") -> Sequence[Inventory]:
        """Those of a bucket, or the one of that name if there is one; by name. Damaged ones are left out."""


class NoInventories:
    """Inventories where there are none."""

    async def find(self, bucket: Bucket, name: str = "") -> Sequence[Inventory]:
        """See Inventories.find."""
        return ()


def source_of(bucket: Bucket) -> str:
    """What a bucket is bound to, in words; "" for nothing."""
    binding = bucket.props.backend
    return "" if binding is None else f"{ref_text(binding.bucket)} {binding.account}".strip()


def home_of(ref: BucketRef) -> str:
    """What the keys of a bucket's inventories begin with."""
    return f"{ref.provider}/{ref.namespace or _NO_NAMESPACE}/{ref.name}/"


def inventory_key(ref: BucketRef, name: str) -> ObjectKey:
    """The object that an inventory is."""
    return ObjectKey(f"{home_of(ref)}{name}")


def bucket_of(key: str) -> BucketRef | None:
    """The bucket that an inventory is of, by its key; None for what is no inventory's."""
    parts = key.split("/")
    if len(parts) != 4:
        return None
    provider, namespace, bucket, _ = parts
    return BucketRef(BucketName(bucket), provider, "" if namespace == _NO_NAMESPACE else namespace)


def parse_inventory_name(text: str) -> str:
    """Raises InvalidArgument."""
    if not _NAME.match(text):
        reason = "an inventory's name has up to 64 letters, digits, '-', '_' and '.'"
        raise InvalidArgument(name="name", value=text[:64], reason=reason)
    return text
