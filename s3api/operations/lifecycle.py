"""Owns the operations on the lifecycle configuration of a bucket."""

from __future__ import annotations

from dataclasses import replace

from core.configs.lifecycle import Lifecycle, MinimumTransition
from core.errors import InvalidArgument, InvalidBucketState
from core.types import BucketProps
from s3api.call import Call, Response
from s3api.lifecycle_document import read_rules, write_rules
from s3api.protocol_errors import NoSuchLifecycleConfiguration
from s3api.xml import XML_TYPE, parse

_MINIMUM = "x-amz-transition-default-minimum-object-size"


async def put_bucket_lifecycle_configuration(call: Call) -> Response:
    if call.target_bucket.props.backend is not None:
        reason = "its objects live at a provider, whose own lifecycle rules hold for them"
        raise InvalidBucketState(bucket=call.target_bucket.name, reason=reason)
    minimum = _read_minimum(call)
    classes = call.settings.storage_classes
    rules = await parse(
        call.document, "LifecycleConfiguration", lambda root: read_rules(root, classes)
    )
    lifecycle = Lifecycle(rules, minimum)

    def change(props: BucketProps) -> BucketProps:
        return replace(props, lifecycle=lifecycle)

    await call.store.update_bucket_props(call.target_bucket, change)
    return Response(200, [(_MINIMUM.encode(), minimum.value.encode())])


def _read_minimum(call: Call) -> MinimumTransition:
    """Raises InvalidArgument."""
    value = call.request.headers.get(_MINIMUM)
    if not value:
        return MinimumTransition.ALL_CLASSES
    try:
        return MinimumTransition(value)
    except ValueError:
        reason = f"The value of {_MINIMUM} is not valid"
        raise InvalidArgument(name=_MINIMUM, value=value, reason=reason) from None


async def get_bucket_lifecycle_configuration(call: Call) -> Response:
    lifecycle = call.target_bucket.props.lifecycle
    if lifecycle is None:
        raise NoSuchLifecycleConfiguration(bucket=call.target_bucket.name)
    headers = [XML_TYPE, (_MINIMUM.encode(), lifecycle.minimum_transition.value.encode())]
    return Response(200, headers, write_rules(lifecycle))


async def delete_bucket_lifecycle(call: Call) -> Response:
    """Succeeds, too, where there is none."""
    if call.target_bucket.props.lifecycle is not None:
        await call.store.update_bucket_props(call.target_bucket, _without_lifecycle)
    return Response(204)


def _without_lifecycle(props: BucketProps) -> BucketProps:
    return replace(props, lifecycle=None)
