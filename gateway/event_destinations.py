"""Owns the making of the destinations of event notifications from the settings."""

from __future__ import annotations

from gateway.config import Config
from jobs.event_delivery import Destination


def open_destinations(config: Config) -> list[Destination]:
    """One for each that is configured; none connects before it has something to send."""
    if not config.events.destinations:
        return []
    # The HTTP and Redis clients take most of a second to load, and 40 MiB, which few nodes need to spend.
    from jobs.event_destinations import RedisStream, Webhook

    timeout_s = config.events.timeout_s
    return [
        Webhook(each.name, each.url, each.authorization, timeout_s)
        if each.kind == "webhook"
        else RedisStream(each.name, each.url, each.stream, timeout_s)
        for each in config.events.destinations
    ]
