"""Owns the fast way to fill a listing bucket: straight into a store, past HTTP, before its server is measured.

weir's keys go through its own committer and records, thousands to a transaction, in key order; what lies on the disk
is what as many small PUTs leave there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import xxhash

from bench.fill import bucket_of, ensure_bucket, listing_keys
from bench.servers import Server, ServerError, Weir
from cluster.control import EmbeddedControlStore
from core.names import BucketName, BucketRef, ObjectKey
from core.types import Bucket, ObjectAttributes, ObjectInfo
from storage.commit import CommitHooks, Committer
from storage.layout import Layout
from storage.redo import redo
from storage.transaction import Transaction
from storage.versions import Publication, replace_object

_BODY = b"0123456789abcdef"
_PER_TRANSACTION = 10_000


def load_keys(server: Server, counts: Sequence[int]) -> None:
    """Lay down a bucket of tiny objects for each count, in a server that does not run (and does not afterwards)."""
    if isinstance(server, Weir):
        server.start()
        try:
            for count in counts:
                ensure_bucket(server, bucket_of(count))
        finally:
            server.stop()
        for count in counts:
            _load_weir(server, bucket_of(count), count)
    else:
        for count in counts:
            _lay_files(server, bucket_of(count), count)


def _load_weir(server: Server, name: str, count: int) -> None:
    control = EmbeddedControlStore(server.data)
    bucket = control.bucket(BucketRef(BucketName(name)))
    control.close()
    if bucket is None:
        raise ServerError(f"bucket {name} was not made")
    hooks = CommitHooks(lambda garbage, is_indexed: None, lambda: None, lambda: None, redo)
    committer = Committer(Layout(server.data), hooks)
    try:
        keys = listing_keys(count)
        while batch := list(islice(keys, _PER_TRANSACTION)):
            publications = list(_publications(bucket, batch))

            def publish(tx: Transaction, some: Sequence[Publication] = publications) -> None:
                for publication in some:
                    replace_object(tx, bucket, publication, None)

            committer.commit_sync(publish, is_durable=False)
    finally:
        committer.close()


def _publications(bucket: Bucket, keys: Sequence[str]) -> Iterator[Publication]:
    attributes = ObjectAttributes(
        headers={"content-type": "binary/octet-stream"}, owner_id=bucket.owner.user_id
    )
    etag = hashlib.md5(_BODY, usedforsecurity=False).hexdigest()
    checksum = xxhash.xxh3_64_intdigest(_BODY)
    for key in keys:
        info = ObjectInfo(ObjectKey(key), len(_BODY), etag, time.time_ns(), attributes)
        yield Publication(info, _BODY, checksum)


def _lay_files(server: Server, bucket: str, count: int) -> None:
    made = None
    for key in listing_keys(count):
        path = server.data / bucket / key
        if path.parent != made:
            path.parent.mkdir(parents=True)
            made = path.parent
        path.write_bytes(_BODY)
