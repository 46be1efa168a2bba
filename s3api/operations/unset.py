"""Owns the answers about what buckets never have here: they are S3's own for a bucket on which it was never set.

To set any of it is refused as NotImplemented by the router, because no row says how.
"""

from __future__ import annotations

from core.errors import NoSuchKey
from s3api.call import Call, Handler, Response
from s3api.protocol_errors import NoReplicationConfiguration, NoSuchConfiguration
from s3api.xml import XML_TYPE, document, flag

# The API Reference's own names, one unlike the other.
_LIST_ROOTS = {
    "analytics": "ListBucketAnalyticsConfigurationResult",
    "intelligent-tiering": "ListBucketIntelligentTieringConfigurationsOutput",
    "inventory": "ListInventoryConfigurationsResult",
    "metrics": "ListMetricsConfigurationsResult",
}


async def get_bucket_accelerate_configuration(_: Call) -> Response:
    """An empty configuration: acceleration was never switched on or off."""
    return Response(200, [XML_TYPE], document("AccelerateConfiguration"))


async def get_bucket_replication(call: Call) -> Response:
    raise NoReplicationConfiguration(bucket=call.target_bucket.name)


async def delete_bucket_replication(_: Call) -> Response:
    """Succeeds where there is nothing to delete, as in S3."""
    return Response(204)


def list_of(subresource: str) -> Handler:
    """The listing of a kind of configuration of which there are none."""
    empty = document(_LIST_ROOTS[subresource], flag("IsTruncated", False))

    async def list_configurations(_: Call) -> Response:
        return Response(200, [XML_TYPE], empty)

    return list_configurations


async def no_such_configuration(call: Call) -> Response:
    raise NoSuchConfiguration(id=call.request.query["id"])


async def get_object_torrent(call: Call) -> Response:
    """Torrents are not made, so none is there to be found. AWS withdrew them in 2022."""
    await call.store.head(call.target_bucket, call.target_key)
    raise NoSuchKey(key=call.target_key)
