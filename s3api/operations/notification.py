"""Owns the operations on the event notifications of a bucket."""

from __future__ import annotations

from dataclasses import replace

from core import events
from core.types import BucketProps
from s3api.call import Call, Response
from s3api.notification_document import read_rules, write_rules
from s3api.origins import origin_of
from s3api.xml import XML_TYPE, parse


async def put_bucket_notification_configuration(call: Call) -> Response:
    """Every destination is sent a test event, as S3 does; unlike S3, the answer does not wait for its arrival."""
    settings = call.settings
    rules = await parse(
        call.document,
        "NotificationConfiguration",
        lambda root: read_rules(root, settings.event_destinations, settings.region),
    )

    def change(props: BucketProps) -> BucketProps:
        return replace(props, notification_rules=rules)

    bucket = await call.store.update_bucket_props(call.target_bucket, change)
    if rules:
        origin = origin_of(call.request, call.identity, settings)
        text = events.test_message(bucket, origin, call.clock.now_ns())
        await call.store.announce(bucket, {rule.destination: text for rule in rules})
    return Response(200)


async def get_bucket_notification_configuration(call: Call) -> Response:
    """An empty configuration where there is none."""
    return Response(200, [XML_TYPE], write_rules(call.target_bucket.props.notification_rules))
