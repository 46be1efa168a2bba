"""Owns the operations of the service itself: the listing of a caller's buckets."""

from __future__ import annotations

from core.types import Bucket
from s3api.call import Call, Response
from s3api.operations.page import user_element
from s3api.parameters import continuation_token, continued_after, max_buckets
from s3api.timestamps import iso_date
from s3api.xml import XML_TYPE, document, element, optional


async def list_buckets(call: Call) -> Response:
    query = call.request.query
    user = call.identity.user
    assert user is not None, "the edge lets no anonymous caller list buckets"
    limit = max_buckets(query)
    prefix = query.get("prefix", "")
    token = query.get("continuation-token")
    region = query.get("bucket-region")
    buckets = await call.store.list_buckets(
        user.user_id,
        prefix=prefix,
        after=continued_after(token) if token else "",
        # One more tells whether the page is the last; which buckets a region filter leaves is not known beforehand.
        limit=None if limit is None or region else limit + 1,
    )
    if region:
        buckets = [bucket for bucket in buckets if bucket.region == region]
    has_more = limit is not None and len(buckets) > limit
    page = buckets[:limit] if limit is not None else buckets
    is_paged = limit is not None or token is not None or region is not None
    body = document(
        "ListAllMyBucketsResult",
        user_element("Owner", user),
        "<Buckets>",
        *(_bucket_element(bucket, is_paged) for bucket in page),
        "</Buckets>",
        optional("Prefix", prefix),
        element("ContinuationToken", continuation_token(page[-1].name)) if has_more else "",
    )
    return Response(200, [XML_TYPE], body)


def _bucket_element(bucket: Bucket, has_region: bool) -> str:
    region = element("BucketRegion", bucket.region) if has_region else ""
    return (
        f"<Bucket>{element('Name', bucket.name)}"
        f"{element('CreationDate', iso_date(bucket.created_ns))}{region}</Bucket>"
    )
