"""Owns the options that subcommands share: where the store is, and the settings that have flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config_sources import ConfigError, LoadedConfig, load_config

# argparse destination → setting path.
_SETTING_FLAGS = {
    "data": "data",
    "listen": "listen",
    "workers": "workers",
    "domain": "domains",
    "region": "region",
    "tls_cert": "tls_cert",
    "tls_key": "tls_key",
    "log_level": "log.level",
    "log_format": "log.format",
}


class UsageError(Exception):
    """What the user asked for cannot be done. The message says why and what to do next."""


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """--data and --config: how every command finds the store."""
    group = parser.add_argument_group("store")
    group.add_argument(
        "--data",
        metavar="DIR",
        action="append",
        help="a directory that the store lies in, one for each disk (or WEIR_DATA; default ./weir-data)",
    )
    group.add_argument(
        "--config", metavar="FILE", type=Path, help="TOML file of settings (or WEIR_CONFIG)"
    )
    group.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any setting by its name in the file, such as storage.verify_rate=0.1",
    )


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """The settings that `weir serve` offers as flags."""
    group = parser.add_argument_group("serving")
    group.add_argument(
        "--listen", metavar="HOST:PORT", help="address to serve on (default 127.0.0.1:9000)"
    )
    group.add_argument(
        "--workers", metavar="N", help="request-serving processes (default one for each core)"
    )
    group.add_argument(
        "--domain",
        metavar="NAME",
        action="append",
        help="host name under which BUCKET.NAME addresses a bucket",
    )
    group.add_argument(
        "--no-auth",
        action="store_true",
        help="a playground: every request is the root user's, signed or not; on a loopback address only",
    )
    group.add_argument(
        "--no-auth-anywhere",
        action="store_true",
        help="as --no-auth, on any address: whoever reaches it can read and delete everything",
    )
    group.add_argument("--region", metavar="NAME", help="region of this store (default us-east-1)")
    group.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM); serves HTTPS")
    group.add_argument("--tls-key", metavar="FILE", help="private key (PEM)")
    group.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    group.add_argument("--log-format", metavar="FORMAT", help="text or json")


def load(arguments: argparse.Namespace) -> LoadedConfig:
    """The settings in force for a command. Raises ConfigError."""
    flags: dict[str, Any] = {
        path: getattr(arguments, name)
        for name, path in _SETTING_FLAGS.items()
        if getattr(arguments, name, None) is not None
    }
    if getattr(arguments, "no_auth", False) or getattr(arguments, "no_auth_anywhere", False):
        flags["auth.required"] = False
        if arguments.no_auth_anywhere:
            flags["auth.open_anywhere"] = True
    flags.update(_assignments(arguments.set))
    return load_config(file=arguments.config, flags=flags)


def keep_files_private() -> None:
    """From here on this process makes files that only its user can read: small objects lie in the databases."""
    os.umask(0o077)


def _assignments(pairs: list[str]) -> Mapping[str, str]:
    assigned = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set: {pair!r}: NAME=VALUE is wanted")
        assigned[name.strip()] = value
    return assigned
