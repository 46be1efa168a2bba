"""Owns what a node and its cluster are called: names that follow from the store, so they last as long as it does."""

from __future__ import annotations

from cluster.control import EmbeddedControlStore
from gateway.config import Config
from gateway.native.call import NodeIdentity
from gateway.startup import node_log_directory
from gateway.version import __version__

_NODE_ID_LENGTH = 8

_PRIVATE_EGRESS = 1 << 26
"""AIStore's Dload-Allow-Private-Egress."""


def node_identity(config: Config, control: EmbeddedControlStore, started_ns: int) -> NodeIdentity:
    """The identity of the node that serves a store. The store's own id, made once with it, is the cluster's."""
    cluster_id = control.store_id
    return NodeIdentity(
        cluster_id,
        f"t{cluster_id[:_NODE_ID_LENGTH]}",
        started_ns,
        __version__,
        requires_auth=config.auth.required,
        is_https=config.scheme == "https",
        log_level=config.log.level,
        data_dirs=tuple(config.data),
        log_dir=node_log_directory(control.home),
        features=_PRIVATE_EGRESS if config.downloads.private_egress else 0,
    )
