"""Owns the making of the token verifier from the settings, and of what must be right about them at start."""

from __future__ import annotations

from cluster.control import EmbeddedControlStore
from cluster.token_records import TokenRecords
from core.errors import InvalidArgument
from core.protocols import Clock
from gateway.config import Config
from gateway.config_auth import AuthConfig
from gateway.config_sources import ConfigError
from gateway.tokens.claims import ClaimRules
from gateway.tokens.keys import VerificationKey, static_key_sync
from gateway.tokens.oidc import HttpFetch, OidcKeys, OidcSettings, unfit_url
from gateway.tokens.verifier import Tokens, Trust

_MAX_KEY_FILE_BYTES = 64 * 1024


def check_trust(auth: AuthConfig) -> None:
    """Refuse at start what no token could be verified with. Raises ConfigError, which names no secret."""
    has_key = bool(auth.token_key or auth.token_key_file)
    if auth.token_key and auth.token_key_file:
        raise ConfigError("auth.token_key and auth.token_key_file exclude each other")
    if has_key != bool(auth.token_algorithm):
        raise ConfigError("auth.token_algorithm is set together with auth.token_key (or its file)")
    if has_key and auth.oidc_issuers:
        raise ConfigError("auth.token_key and auth.oidc_issuers exclude each other")
    load_static_key_sync(auth)
    for url in auth.oidc_issuers:
        if reason := unfit_url(url, is_http_allowed=auth.oidc_allow_http):
            raise ConfigError(f"auth.oidc_issuers: {url}: {reason}")
    bundle = auth.oidc_ca_bundle
    if bundle is not None and not bundle.is_file():
        raise ConfigError(f"auth.oidc_ca_bundle: {bundle}: no such file")


def load_static_key_sync(auth: AuthConfig) -> VerificationKey | None:
    """The key of the settings, if there is one. Raises ConfigError."""
    if not auth.token_algorithm:
        return None
    text, where = auth.token_key, "auth.token_key"
    if auth.token_key_file is not None:
        where = f"auth.token_key_file {auth.token_key_file}"
        try:
            with auth.token_key_file.open("rb") as file:
                text = file.read(_MAX_KEY_FILE_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise ConfigError(f"{where}: {error.strerror}") from None
    try:
        return static_key_sync(auth.token_algorithm, text, where)
    except InvalidArgument as error:
        raise ConfigError(f"{where}: {error.reason}") from None


def claim_rules(config: Config, cluster_id: str) -> ClaimRules:
    """What is demanded of tokens."""
    auth = config.auth
    return ClaimRules(
        cluster_id,
        auth.max_token_age_s,
        auth.token_clock_skew_s,
        frozenset(auth.token_audiences),
        frozenset(auth.token_issuers) if auth.token_algorithm else frozenset(),
    )


def open_tokens(config: Config, control: EmbeddedControlStore, clock: Clock) -> Tokens:
    """The verifier of a worker. To be closed before the control store."""
    auth = config.auth
    records = TokenRecords(control.database)
    tokens = Tokens(control, records, claim_rules(config, control.store_id), clock)
    if auth.oidc_issuers:
        settings = OidcSettings(
            auth.oidc_issuers,
            auth.oidc_refresh_interval_s,
            auth.oidc_min_refresh_interval_s,
            auth.oidc_allow_http,
        )
        bundle = None if auth.oidc_ca_bundle is None else str(auth.oidc_ca_bundle)
        fetch = HttpFetch(auth.oidc_timeout_s, bundle)
        tokens.trust(Trust(oidc=OidcKeys(settings, fetch, tokens.forget)))
    elif auth.token_algorithm:
        tokens.trust(Trust(static_key=load_static_key_sync(auth)))
    return tokens
