"""Owns the rows of the operation table for what is configured about a bucket and acts beside its requests:
access logs, event notifications, and what is never set here at all."""

from __future__ import annotations

from collections.abc import Sequence

from s3api.call import Level, Operation, Row
from s3api.feature_rows import bucket_row
from s3api.operations import logging, notification, unset

_BUCKET = Level.BUCKET


def _unset_rows(feature: str, subresource: str) -> Sequence[Row]:
    """What is answered of a kind of configuration that no bucket has: an empty list, and that each is absent."""
    name, action = f"Bucket{feature}Configuration", f"{feature}Configuration"
    listing, absent = unset.list_of(subresource), unset.no_such_configuration
    one = f"{subresource}&id"
    return (
        Row("GET", Operation(f"List{name}s", _BUCKET, listing, f"s3:Get{action}"), subresource),
        Row("GET", Operation(f"Get{name}", _BUCKET, absent, f"s3:Get{action}"), one),
        Row("DELETE", Operation(f"Delete{name}", _BUCKET, absent, f"s3:Put{action}"), one),
    )


# To put any of these is refused as not implemented, because no row says how.
_UNSET_ROWS: Sequence[Row] = (
    Row(
        "GET",
        Operation(
            "GetBucketAccelerateConfiguration",
            _BUCKET,
            unset.get_bucket_accelerate_configuration,
            "s3:GetAccelerateConfiguration",
        ),
        "accelerate",
    ),
    Row(
        "GET",
        Operation(
            "GetBucketReplication",
            _BUCKET,
            unset.get_bucket_replication,
            "s3:GetReplicationConfiguration",
        ),
        "replication",
    ),
    Row(
        "DELETE",
        Operation(
            "DeleteBucketReplication",
            _BUCKET,
            unset.delete_bucket_replication,
            "s3:PutReplicationConfiguration",
        ),
        "replication",
    ),
    *_unset_rows("Analytics", "analytics"),
    *_unset_rows("IntelligentTiering", "intelligent-tiering"),
    *_unset_rows("Inventory", "inventory"),
    *_unset_rows("Metrics", "metrics"),
    Row(
        "GET",
        Operation(
            "GetObjectTorrent", Level.OBJECT, unset.get_object_torrent, "s3:GetObjectTorrent"
        ),
        "torrent",
    ),
)

CONFIGURATION_ROWS: Sequence[Row] = (
    bucket_row("GET", "logging", logging.get_bucket_logging),
    bucket_row("PUT", "logging", logging.put_bucket_logging),
    bucket_row(
        "GET",
        "notification",
        notification.get_bucket_notification_configuration,
        "s3:GetBucketNotification",
    ),
    bucket_row(
        "PUT",
        "notification",
        notification.put_bucket_notification_configuration,
        "s3:PutBucketNotification",
    ),
    *_UNSET_ROWS,
)
