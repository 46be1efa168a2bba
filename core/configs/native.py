"""Owns the bucket properties of the native API that S3 has no word for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.claims import ALL_ACCESS
from core.errors import InvalidTag


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


SHARD_VIEW_TAG, INDEX_SHARDS_TAG = "weir:shard-view", "weir:index-shards"
"""Tags of a bucket by which clients of S3 alone set properties, each "on" or "off"."""


def tagged_props(
    props: NativeProps, before: Mapping[str, str], tags: Mapping[str, str]
) -> NativeProps:
    """The properties after a bucket's tags were changed: a switch among the tags decides, one that was taken away is
    off, and where there is none and was none the property stays as it was. Raises InvalidTag."""
    return replace(
        props,
        shard_view=_switched(SHARD_VIEW_TAG, props.shard_view, before, tags),
        index_shards=_switched(INDEX_SHARDS_TAG, props.index_shards, before, tags),
    )


def _switched(tag: str, now: bool, before: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    if tag not in tags:
        return now and tag not in before
    if tags[tag] not in ("on", "off"):
        reason = f"The value of {tag} must be on or off"
        raise InvalidTag(key=tag, value=tags[tag], reason=reason)
    return tags[tag] == "on"
