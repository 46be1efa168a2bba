"""Owns the assembly of the ASGI application: which front serves which path of the one port.

The S3 front is reached by one prefix test and no router; Starlette serves the few routes under /-/.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.native.easy_urls import is_easy

logger = logging.getLogger(__name__)

# Of all paths that are not S3's; those of some buckets begin alike.
_METRICS = b"/v1/daemon/metrics"
_BEGINNINGS = frozenset({b"/v1", b"/-/", b"/.w", b"/ai", b"/gs", b"/az", b"/oc"})

# A full mountpath reads and deletes as ever.
_SERVING_STATES = frozenset({"ok", "OutOfSpace"})

Scope = dict[str, Any]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
HealthCheck = Callable[[], Awaitable[Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class Websites:
    """What serves buckets as websites, under which domains, and on which ports whatever the host name is."""

    front: AsgiApp
    domains: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class WellKnown:
    """What answers under /.well-known/, but for hosts with these endings, which name buckets."""

    app: AsgiApp
    bucket_hosts: tuple[bytes, ...] = ()


def build_app(
    s3_front: AsgiApp,
    native_front: AsgiApp,
    health: HealthCheck,
    websites: Websites,
    well_known: WellKnown | None = None,
    domains: tuple[str, ...] = (),
) -> AsgiApp:
    """The one ASGI callable of a worker. Only where there are websites do requests pay for telling them apart. Under
    the names of buckets in `domains` (virtual-host style) every path is S3's."""
    app = _build_api(s3_front, native_front, health, well_known, domains)
    if not websites.domains and not websites.ports:
        return app
    front, ports = websites.front, websites.ports
    endings = tuple(f".{domain}".encode() for domain in websites.domains)

    async def app_with_websites(scope: Scope, receive: Any, send: Any) -> None:
        is_website = scope["server"][1] in ports or (endings and _host(scope).endswith(endings))
        await (front if is_website else app)(scope, receive, send)

    return app_with_websites


def _host(scope: Scope) -> bytes:
    """The host name that a request is for, without port."""
    for name, value in scope["headers"]:
        if name == b"host":
            host: bytes = value.partition(b":")[0].strip().lower()
            return host
    return b""


def _build_api(
    s3_front: AsgiApp,
    native_front: AsgiApp,
    health: HealthCheck,
    well_known: WellKnown | None,
    domains: tuple[str, ...],
) -> AsgiApp:
    endings = tuple(f".{domain}".encode() for domain in domains)
    operations = Starlette(routes=[Route("/-/health", _health_endpoint(health), methods=["GET"])])

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        path = scope["raw_path"]
        if path[:3] not in _BEGINNINGS or (endings and _host(scope).endswith(endings)):
            await s3_front(scope, receive, send)
        elif path.startswith(b"/v1/") or is_easy(path):
            # No bucket of S3 has such a name.
            await native_front(scope, receive, send)
        elif path == b"/-/metrics":
            await native_front(
                {**scope, "raw_path": _METRICS, "path": _METRICS.decode()}, receive, send
            )
        elif path.startswith(b"/-/"):
            try:
                await operations(scope, receive, send)
            except ConnectionError:
                logger.debug("client gone")
        elif (
            path.startswith(b"/.well-known/")
            and well_known is not None
            and not _host(scope).endswith(well_known.bucket_hosts)
        ):
            # No bucket has this name, and where the host names one, it is a key like others.
            await well_known.app(scope, receive, send)
        else:
            await s3_front(scope, receive, send)

    return app


def _health_endpoint(health: HealthCheck) -> Callable[[Request], Awaitable[Response]]:
    """200 while this node serves, even if a mountpath is lost (the body says which); 503 when none is left."""

    async def endpoint(_: Request) -> Response:
        mountpaths = await health()
        is_serving = any(state in _SERVING_STATES for state in mountpaths.values())
        body = {"status": "ok" if is_serving else "unavailable", "mountpaths": dict(mountpaths)}
        return Response(
            json.dumps(body) + "\n",
            status_code=200 if is_serving else 503,
            media_type="application/json",
        )

    return endpoint
