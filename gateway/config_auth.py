"""Owns the settings of who is let in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.config_rule import setting as _setting


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Who is let in."""

    required: bool = _setting(
        True, "whether requests need credentials; without, every one is the root user's"
    )
    open_anywhere: bool = _setting(
        False,
        "allow `required = false` on an address that other machines reach, who can then read and delete everything",
    )
    token_algorithm: str = _setting(
        "",
        "how tokens are signed with `token_key`; empty takes none of the kind",
        choices=("", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512"),
    )
    token_key: str = _setting(
        "",
        "the key of tokens: for HS a secret of 32 bytes or more, for RS a public key (PEM)",
        is_secret=True,
    )
    token_key_file: Path | None = _setting(None, "file of `token_key`")
    token_issuers: tuple[str, ...] = _setting(
        (), "issuers (`iss`) of which a token signed with `token_key` must name one; empty for any"
    )
    token_audiences: tuple[str, ...] = _setting(
        (), "audiences (`aud`) of which every token must name one; empty for any"
    )
    token_clock_skew_s: float = _setting(
        60.0,
        "how far in the future a token's `iat` and `nbf` may be",
        minimum=0,
        maximum=3600,
    )
    max_token_age_s: float = _setting(
        90 * 86400.0, "a token is refused this time after its `iat`, whatever its `exp`", minimum=60
    )
    oidc_issuers: tuple[str, ...] = _setting(
        (),
        "URLs of issuers whose keys are found by OpenID Connect discovery, as tokens name them (`iss`)",
    )
    oidc_ca_bundle: Path | None = _setting(
        None, "certificates (PEM) that issuers' own are checked with", default_text="the system's"
    )
    oidc_allow_http: bool = _setting(
        False, "allow issuers at http:// on this machine (loopback); for tests"
    )
    oidc_timeout_s: float = _setting(
        5.0, "an issuer that has not answered after this time has failed", minimum=0.1, maximum=60
    )
    oidc_refresh_interval_s: float = _setting(
        900.0, "time between looks for an issuer's new keys", minimum=1
    )
    oidc_min_refresh_interval_s: float = _setting(
        30.0,
        "least time between two looks because of key ids that are not known",
        minimum=1,
    )
    issuer_url: str = _setting(
        "",
        "what this store calls itself as an issuer of tokens: the URL at which others reach it",
        default_text="`http://` or `https://` and `listen`",
    )
