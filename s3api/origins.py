"""Owns how a request becomes the origin of its changes, as event notifications tell it."""

from __future__ import annotations

from core.origin import Origin
from core.types import Identity
from s3api.call import Request, Settings
from s3api.errors import HOST_ID

_ANONYMOUS = "Anonymous"


def origin_of(request: Request, identity: Identity, settings: Settings) -> Origin:
    """Who asks, from where, for what."""
    return Origin(
        operation=request.operation,
        requester=identity.user_id or _ANONYMOUS,
        source_address=request.client_address,
        request_id=request.request_id,
        host_id=HOST_ID.decode(),
        region=settings.region,
    )
