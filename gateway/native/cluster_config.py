"""Owns the cluster's settings as native clients see them (AIStore: cluster_config): its sections, weir's truth."""

from __future__ import annotations

from typing import Any

from gateway.native.call import NodeIdentity
from gateway.native.props import default_sections

_TRANSFER = {"compression": "never", "bundle_multiplier": 2, "burst_buffer": 512}


def cluster_config(node: NodeIdentity) -> dict[str, Any]:
    """The settings by section. What a cluster of one node has no use for is off, or has AIStore's default."""
    sections = default_sections()
    del sections["extra"]  # of buckets alone
    return {
        **sections,
        "uuid": node.cluster_id,
        "config_version": "1",
        "lastupdate_time": "",
        "features": str(node.features),
        "ext": None,
        "backend": {},
        "auth": _auth(node),
        "log": _log(node),
        "periodic": {"stats_time": "10s", "retry_sync_time": "2s", "notif_time": "30s"},
        "client": {"client_timeout": "10s", "client_long_timeout": "5m", "list_timeout": "5m"},
        "proxy": {"primary_url": "", "original_url": "", "discovery_url": ""},
        "space": {"cleanupwm": 65, "lowwm": 75, "highwm": 90, "out_of_space": 95},
        "disk": {"disk_util_low_wm": 20, "disk_util_high_wm": 80, "disk_util_max_wm": 95},
        "rebalance": {"enabled": False, "compression": "never"},
        "resilver": {"enabled": False},
        "net": {"l4": {"proto": "tcp"}, "http": {"use_https": node.is_https}},
        "fshc": {"enabled": False},
        "downloader": {"timeout": "1h"},
        "tcb": dict(_TRANSFER),
        "tco": dict(_TRANSFER),
        "arch": dict(_TRANSFER),
        "tracing": {"enabled": False},
    }


def _auth(node: NodeIdentity) -> dict[str, Any]:
    """`enabled` is the older name; no request to a target needs more than one to the proxy."""
    return {
        "enabled": node.requires_auth,
        "client_auth_required": node.requires_auth,
        "intra_cluster": {"enabled": False, "request_auth": False},
    }


def _log(node: NodeIdentity) -> dict[str, Any]:
    return {"level": node.log_level, "to_stderr": True}
