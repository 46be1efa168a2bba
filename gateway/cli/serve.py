"""Owns `weir serve`: from settings to a running process tree, and what the user is told on the way."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import resource
import shlex
import shutil
import socket
import ssl
import sys
import time
from functools import partial

from core.types import Credential
from gateway.cli.options import UsageError, keep_files_private, load
from gateway.config import Config
from gateway.config_sources import ConfigError
from gateway.listeners import CannotListenError, bind_workers
from gateway.log import configure_logging, keep_log
from gateway.startup import (
    NoSuchStore,
    PreparedStore,
    control_home,
    node_log_directory,
    prepare_store,
)
from gateway.supervisor import Supervisor

logger = logging.getLogger(__name__)

_FLAGS = {"listen": "--listen", "website_listen": "--set website_listen=HOST:PORT"}


def serve(arguments: argparse.Namespace) -> int:
    """weir serve"""
    config = load(arguments).config
    configure_logging(config.log)
    _allow_many_files()
    _check_tls(config)
    _check_openness(config)
    _check_tokens(config)
    # A first start listens before it makes a key pair, so that no pair is made that is never shown. Later starts wait
    # for a predecessor to let go of the store, and so of the port, first.
    early = _bind(config) if _is_first_start(config) else None
    keep_files_private()
    store = prepare_store(config)
    started_ns = time.time_ns()
    keep_log(config.log, node_log_directory(control_home(config.data)))
    for problem in store.problems:
        logger.error("mountpath unavailable, serving the others: %s", problem)
    sockets = early or _bind(config)
    endpoint = _endpoint(config, sockets[0][0])
    website_endpoint = _endpoint(config, sockets[0][-1]) if config.website_listen else ""
    # Imported once, before the fork, so that all children share the memory.
    from gateway.job_worker import run_job_worker
    from gateway.worker import run_worker

    return Supervisor(
        config,
        sockets,
        partial(run_worker, started_ns=started_ns),
        partial(run_job_worker, started_ns=started_ns),
        announce=lambda: _announce(config, store, endpoint, website_endpoint),
    ).run()


def _is_first_start(config: Config) -> bool:
    try:
        control_home(config.data)
    except NoSuchStore:
        return True
    return False


def _bind(config: Config) -> list[list[socket.socket]]:
    """For each worker the sockets of the S3 API, and after them those of websites."""
    sockets = _bind_one("listen", config.listen_address, config)
    if config.website_address is None:
        return sockets
    more = _bind_one("website_listen", config.website_address, config)
    return [mine + sites for mine, sites in zip(sockets, more, strict=True)]


def _bind_one(setting: str, address: tuple[str, int], config: Config) -> list[list[socket.socket]]:
    try:
        return bind_workers(*address, config.workers)
    except CannotListenError as error:
        raise UsageError(f"{error}; choose another address with {_FLAGS[setting]}") from None


def _check_tls(config: Config) -> None:
    """Workers load the files again; what is wrong with them is said here, once, before a store is made."""
    if config.tls_cert is None or config.tls_key is None:
        return
    try:
        # An empty password, so that an encrypted key is refused instead of asked for on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            config.tls_cert, config.tls_key, password=""
        )
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise ConfigError(
            f"tls_cert {config.tls_cert} and tls_key {config.tls_key} cannot be used together ({reason});"
            " a PEM certificate chain and its own unencrypted PEM key are wanted"
        ) from None


def _check_openness(config: Config) -> None:
    host = config.listen_address[0]
    if config.auth.required or config.auth.open_anywhere or _is_loopback(host):
        return
    raise UsageError(
        f"without access control, listening on {host} would open the store to everyone who reaches it;"
        " listen on 127.0.0.1, or force it with --no-auth-anywhere"
    )


def _check_tokens(config: Config) -> None:
    """Keys of tokens are read again by workers. Imported where they are configured, for libraries take their time."""
    auth = config.auth
    if auth.token_algorithm or auth.token_key or auth.token_key_file or auth.oidc_issuers:
        from gateway.tokens.setup import check_trust

        check_trust(auth)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _allow_many_files() -> None:
    """Connections and blobs each take a descriptor; the usual soft limit of 1,024 is for programs that use select."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _endpoint(config: Config, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{config.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(config: Config, store: PreparedStore, endpoint: str, website_endpoint: str) -> None:
    directories = ", ".join(str(directory) for directory in config.data)
    print(f"weir serving on {endpoint}, store in {directories}", flush=True)
    if website_endpoint:
        print(f"websites on {website_endpoint}", flush=True)
    if not config.auth.required:
        logger.warning(
            "ACCESS CONTROL IS OFF: whoever reaches %s can read, change and delete everything",
            endpoint,
        )
    if store.new_root is not None:
        local = endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        print(_first_start(store.new_root, config, local), flush=True)
    elif not config.root.access_key:
        print(f"root's key pair: {_show_root(config)}", flush=True)


def _command() -> str:
    """How the user can call weir: it need not be on PATH."""
    called = sys.argv[0]
    is_by_path = os.path.basename(called) == "weir" and shutil.which("weir") is None
    return shlex.quote(called) if is_by_path else "weir"


def _show_root(config: Config) -> str:
    return f"{_command()} key ls root --show-secrets{_where(config)}"


def _where(config: Config) -> str:
    return "".join(f" --data {shlex.quote(str(directory))}" for directory in config.data)


def _first_start(root: Credential, config: Config, endpoint: str) -> str:
    return f"""
A root key pair was made. Paste it into the shell where you use S3:

  export AWS_ACCESS_KEY_ID={root.access_key}
  export AWS_SECRET_ACCESS_KEY={root.secret_key}
  export AWS_DEFAULT_REGION={config.region}
  export AWS_ENDPOINT_URL={endpoint}

To see it again: {_show_root(config)}
Then, for example:

  aws s3 mb s3://my-bucket
  aws s3 cp README.md s3://my-bucket/
  aws s3 ls s3://my-bucket
"""
