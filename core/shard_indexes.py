"""Owns the names of shard indexes: objects of a system bucket, called after the shards that they are of."""

from __future__ import annotations

import hashlib
import json

from core.names import MAX_KEY_BYTES, BucketName, BucketRef, ObjectKey

INDEX_BUCKET = BucketRef(BucketName(".sys-shardidx"))

SHARDS_CHANGED = ".shards-changed"
"""The name under which word of changed shards waits, among the messages of events; no destination has such a name."""

_ENDING = ".idx"
_HASHED = "@sha256/"


def index_key(ref: BucketRef, key: ObjectKey) -> ObjectKey:
    """The name of a shard's index in the system bucket. Where it would be too long, a digest stands for the shard's."""
    home = f"{ref.provider}/{ref.namespace or '@#'}/{ref.name}/"
    name = f"{home}{key}{_ENDING}"
    if len(name.encode()) > MAX_KEY_BYTES:
        name = f"{home}{_HASHED}{hashlib.sha256(key.encode()).hexdigest()}{_ENDING}"
    return ObjectKey(name)


def shard_of(name: ObjectKey) -> tuple[BucketRef, ObjectKey | None] | None:
    """The inverse of index_key: the bucket, and the shard where the name says it; None for what names no index."""
    parts = name.split("/", 3)
    if len(parts) < 4 or not parts[3].endswith(_ENDING):
        return None
    provider, namespace, bucket, rest = parts
    ref = BucketRef(BucketName(bucket), provider, "" if namespace == "@#" else namespace)
    key = rest.removesuffix(_ENDING)
    return ref, None if key.startswith(_HASHED) else ObjectKey(key)


def is_tar_key(key: str) -> bool:
    """Whether a key's ending says that it is a TAR shard, the one kind that is indexed."""
    return key[-4:].lower() == ".tar"


def shard_message(ref: BucketRef, key: ObjectKey) -> bytes:
    """What is left about a shard whose index wants looking at."""
    return json.dumps([ref.provider, ref.namespace, ref.name, key]).encode()


def parse_shard_message(message: bytes) -> tuple[BucketRef, ObjectKey]:
    """The inverse of shard_message."""
    provider, namespace, name, key = json.loads(message)
    return BucketRef(BucketName(name), provider, namespace), ObjectKey(key)
