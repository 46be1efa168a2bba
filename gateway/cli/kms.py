"""Owns `weir kms`: the keys of the key service, and the master key that wraps them."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cluster.key_service import LocalKeyService
from cluster.master_key import MasterKey, parse_master_key
from core.encryption import S3_KEY_ID
from gateway.cli.options import UsageError, load
from gateway.cli.table import print_rows, time_text
from gateway.config import Config
from gateway.keys import open_key_service
from gateway.startup import open_control


def list_keys(arguments: argparse.Namespace) -> int:
    """weir kms ls"""
    with _service(arguments) as (service, _):
        rows = [
            {
                "key_id": key.key_id,
                "alias": key.alias,
                "version": key.version,
                "state": "enabled" if key.is_enabled else "disabled",
                "created": time_text(key.created_ns),
            }
            for key in service.keys_sync()
        ]
    print_rows(rows, ["key_id", "alias", "version", "state", "created"], arguments.json)
    return 0


def create_key(arguments: argparse.Namespace) -> int:
    """weir kms create"""
    with _service(arguments) as (service, _):
        key = service.create_sync(arguments.key_id or secrets.token_hex(16), arguments.alias)
    print(f"key id  {key.key_id}" + (f"\nalias   {key.alias}" if key.alias else ""))
    return 0


def rotate_key(arguments: argparse.Namespace) -> int:
    """weir kms rotate"""
    with _service(arguments) as (service, _):
        key = service.rotate_sync(arguments.key)
    print(f"{key.key_id} has version {key.version}; what older versions encrypted stays readable")
    return 0


def disable_key(arguments: argparse.Namespace) -> int:
    """weir kms disable"""
    with _service(arguments) as (service, _):
        service.enable_sync(arguments.key, is_enabled=False)
    print(f"{arguments.key} is disabled; what it encrypts cannot be read until it is enabled")
    return 0


def enable_key(arguments: argparse.Namespace) -> int:
    """weir kms enable"""
    with _service(arguments) as (service, _):
        service.enable_sync(arguments.key, is_enabled=True)
    print(f"{arguments.key} is enabled")
    return 0


def remove_key(arguments: argparse.Namespace) -> int:
    """weir kms rm"""
    with _service(arguments) as (service, _):
        key = service.find_sync(arguments.key)
        if key.key_id == S3_KEY_ID:
            raise UsageError(f"{S3_KEY_ID} is what SSE-S3 uses, and stays; it can be rotated")
        if key.is_enabled:
            raise UsageError(
                f"what {key.key_id} encrypts is lost for good without it; disable it first"
                " (weir kms disable), and remove it when nothing misses it"
            )
        service.remove_sync(key.key_id)
    print(f"removed {key.key_id}")
    return 0


def rotate_master(arguments: argparse.Namespace) -> int:
    """weir kms rotate-master"""
    with _service(arguments) as (service, config):
        new = _new_master(arguments.new_key_file, config)
        count = service.rotate_master_sync(new)
    print(f"wrapped {count} key versions with a new master key")
    if new is not None:
        print(
            "give it to the server now (encryption.master_key_file or encryption.master_key),"
            " and keep the old one until the server has been restarted"
        )
    return 0


def _new_master(file: Path | None, config: Config) -> MasterKey | None:
    is_own = not config.encryption.master_key and config.encryption.master_key_file is None
    if file is None:
        if not is_own:
            raise UsageError("the settings give the master key; name a new one: --new-key-file")
        return None
    try:
        lines = file.read_text("ascii", "replace").split()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    if is_own or len(lines) != 1:
        reason = "weir keeps the master key itself" if is_own else f"{file} holds not one key"
        raise UsageError(f"--new-key-file: {reason}")
    return parse_master_key(lines[0], str(file))


@contextmanager
def _service(arguments: argparse.Namespace) -> Iterator[tuple[LocalKeyService, Config]]:
    config = load(arguments).config
    with (
        closing(open_control(config)) as control,
        closing(open_key_service(config, control)) as service,
    ):
        yield service, config
