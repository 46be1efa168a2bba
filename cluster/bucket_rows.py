"""Owns the changes of the rows that buckets have in the control store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cluster.bucket_props import decode_props, encode_props
from cluster.database import ControlDatabase, Transaction
from core.control import RetiredBucket
from core.errors import BucketExists, BucketOwnedByYou, InvalidBucketState, NoSuchBucket
from core.names import BucketRef, UserId
from core.types import Bucket, BucketProps

CHANGE = "bucket"
COLUMNS = "bucket_id, provider, namespace, name, owner_id, created_ns, region, props"

_RETIRED = "retired bucket "
_INSERT = (
    "INSERT INTO buckets (provider, namespace, name, owner_id, created_ns, region, props)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def insert(
    change: Transaction,
    ref: BucketRef,
    owner_id: UserId,
    created_ns: int,
    region: str,
    packed: bytes,
) -> int:
    """The id of a new bucket. Raises BucketExists, BucketOwnedByYou."""
    row = change.execute(
        "SELECT owner_id FROM buckets WHERE provider = ? AND namespace = ? AND name = ?",
        (ref.provider, ref.namespace, ref.name),
    ).fetchone()
    if row is not None:
        raise (BucketOwnedByYou if row[0] == owner_id else BucketExists)(bucket=ref.name)
    values = (ref.provider, ref.namespace, ref.name, owner_id, created_ns, region, packed)
    bucket_id = change.execute(_INSERT, values).lastrowid or 0
    change.note(CHANGE, str(bucket_id))
    return bucket_id


def update_props(
    transaction: Transaction, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
) -> Bucket:
    """Raises NoSuchBucket."""
    props = change(_props(transaction, bucket))
    transaction.execute(
        "UPDATE buckets SET props = ? WHERE bucket_id = ?", (encode_props(props), bucket.bucket_id)
    )
    transaction.note(CHANGE, str(bucket.bucket_id))
    return replace(bucket, props=props)


def bind(
    transaction: Transaction,
    bucket: Bucket,
    change: Callable[[BucketProps], BucketProps],
    now_ns: int,
) -> Bucket:
    """As `update_props`, under a new id. The former one is noted."""
    props = change(_props(transaction, bucket))
    row = transaction.execute(
        f"SELECT {COLUMNS} FROM buckets WHERE bucket_id = ?", (bucket.bucket_id,)
    ).fetchone()
    transaction.execute("DELETE FROM buckets WHERE bucket_id = ?", (bucket.bucket_id,))
    values = (*row[1:-1], encode_props(props))
    bucket_id = transaction.execute(_INSERT, values).lastrowid or 0
    transaction.set_meta(f"{_RETIRED}{bucket.bucket_id}", str(now_ns))
    for changed in (bucket.bucket_id, bucket_id):
        transaction.note(CHANGE, str(changed))
    return replace(bucket, bucket_id=bucket_id, props=props)


def retired(database: ControlDatabase) -> Sequence[RetiredBucket]:
    """The ids that `bind` noted."""
    return [RetiredBucket(int(name), int(at_ns)) for name, at_ns in database.metas(_RETIRED)]


def forget_retired(change: Transaction, bucket_id: int) -> None:
    """Take the note away."""
    change.execute("DELETE FROM meta WHERE name = ?", (f"{_RETIRED}{bucket_id}",))


def rename(change: Transaction, bucket: Bucket, to: BucketRef) -> Bucket:
    """Raises NoSuchBucket, BucketExists, InvalidBucketState."""
    props = _props(change, bucket)
    taken = change.execute(
        "SELECT 1 FROM buckets WHERE provider = ? AND namespace = ? AND name = ?",
        (to.provider, to.namespace, to.name),
    ).fetchone()
    if taken:
        raise BucketExists(bucket=to.name, ref=to)
    if props.policy:
        raise InvalidBucketState(reason="its policy names the bucket; remove that first")
    change.execute(
        "UPDATE buckets SET provider = ?, namespace = ?, name = ? WHERE bucket_id = ?",
        (to.provider, to.namespace, to.name, bucket.bucket_id),
    )
    change.note(CHANGE, str(bucket.bucket_id))
    return replace(bucket, ref=to, props=props)


def delete(change: Transaction, ref: BucketRef) -> None:
    """Raises NoSuchBucket."""
    row = change.execute(
        "SELECT bucket_id FROM buckets WHERE provider = ? AND namespace = ? AND name = ?",
        (ref.provider, ref.namespace, ref.name),
    ).fetchone()
    if row is None:
        raise NoSuchBucket(bucket=ref.name)
    change.execute("DELETE FROM buckets WHERE bucket_id = ?", (row[0],))
    change.note(CHANGE, str(row[0]))


def _props(change: Transaction, bucket: Bucket) -> BucketProps:
    row = change.execute(
        "SELECT props FROM buckets WHERE bucket_id = ?", (bucket.bucket_id,)
    ).fetchone()
    if row is None:
        raise NoSuchBucket(bucket=bucket.name)
    return decode_props(row[0], bucket.name)
