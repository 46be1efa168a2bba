"""Owns the settings of downloads from the web."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config_rule import setting as _setting


@dataclass(frozen=True, slots=True)
class DownloadsConfig:
    """Where downloads may go, and how much they take."""

    connections: int = _setting(
        8, "links that a download reads at once, if it does not say", minimum=1, maximum=64
    )
    timeout_s: float = _setting(
        3600.0,
        "an object that has not come after this time has failed, if the download does not say",
        minimum=1,
    )
    private_egress: bool = _setting(
        False, "allow links to private networks (RFC 1918 and unique local IPv6 addresses)"
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        "HOST or HOST:PORT that links may lead to whatever the address, this machine's own included",
    )
    hub_endpoint: str = _setting(
        "https://huggingface.co", "where the datasets and models of hf:// links are"
    )
