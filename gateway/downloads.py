"""Owns the making of what downloads, as the settings say."""

from __future__ import annotations

from urllib.parse import urlsplit

from core.control import ControlStore, KeyService
from core.egress import EgressRules
from core.protocols import ObjectStore
from gateway.config import Config
from jobs.downloads.job import DownloadJob, DownloadRules


def download_job(
    config: Config, store: ObjectStore, control: ControlStore, keys: KeyService
) -> DownloadJob:
    """The kind of job; `keys` open what requests are sealed with."""
    return DownloadJob(store, control, keys, download_rules(config))


def download_rules(config: Config) -> DownloadRules:
    """The hub that an administrator names may be reached wherever it is."""
    settings = config.downloads
    hub = urlsplit(settings.hub_endpoint)
    port = hub.port or (443 if hub.scheme == "https" else 80)
    hosts = {host.lower() for host in settings.allowed_hosts}
    hosts.add(f"{hub.hostname or ''}:{port}")
    return DownloadRules(
        EgressRules(settings.private_egress, frozenset(hosts)),
        settings.connections,
        settings.timeout_s,
        settings.hub_endpoint,
    )
