"""Owns the making of the key service from the settings."""

from __future__ import annotations

from cluster.control import EmbeddedControlStore
from cluster.key_service import LocalKeyService
from cluster.master_key import MasterKeySource
from gateway.config import Config


def open_key_service(config: Config, control: EmbeddedControlStore) -> LocalKeyService:
    """The key service of a store whose control store is open. It reads nothing before a key is needed."""
    others = [directory for directory in config.data if directory != control.home]
    settings = config.encryption
    masters = MasterKeySource(
        [control.home, *others], settings.master_key_file, settings.master_key
    )
    return LocalKeyService(control.database, masters)
