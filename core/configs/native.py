"""Owns the bucket properties of the native API that S3 has no word for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.claims import ALL_ACCESS


@dataclass(frozen=True, slots=True)
class NativeProps:
    """What native clients set on a bucket (AIStore: bucket properties).

    `access`: the operations that the bucket permits to anybody, as core.claims.Permission bits. `features`: AIStore's
    feature flags. `sections`: those sections of the properties that were set, by their dotted names ("mirror.copies",
    "lru.enabled"), each value as JSON text; what is not named has its default. `shard_view`: members of shards appear
    to S3 clients as keys under the shard's. `index_shards`: a TAR shard is indexed when it is written.
    """

    access: int = ALL_ACCESS
    features: int = 0
    sections: Mapping[str, str] = field(default_factory=dict)
    shard_view: bool = False
    index_shards: bool = False
