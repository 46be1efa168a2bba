"""Owns how an account is reached by S3's protocol: what each provider that speaks it can do and wants, and the settings
and secrets of an account, checked.

What an account leaves empty comes from botocore's standard chain for AWS, and from the provider's own names in the
environment for the others: GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY (an HMAC key of Google Cloud Storage; without one,
its tokens: backends.google_tokens), OCI_ACCESS_KEY_ID and OCI_SECRET_ACCESS_KEY (a customer secret key), OCI_NAMESPACE
and OCI_REGION. The credentials of AWS are never sent to another provider.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from core.accounts import Account
from core.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a provider's S3 is like.

    `list_version` 1 where a listing may not begin at any key else. `accept_encoding`: Google unpacks what is stored
    with a Content-Encoding of gzip, unless the reader says that it takes it. `is_aws`: Amazon's own extensions may be
    used where Amazon itself answers.
    """

    provider: str
    is_aws: bool = False
    list_version: int = 2
    has_tags: bool = False
    has_storage_classes: bool = False
    accept_encoding: str = "identity"


AWS = Dialect("aws", is_aws=True, has_tags=True, has_storage_classes=True)
GCP = Dialect("gcp", list_version=1, accept_encoding="gzip")
OCI = Dialect("oci", list_version=1)


@dataclass(frozen=True, slots=True)
class S3Options:
    """An account, as the client wants it. `endpoint` "": the standard chain decides. `access_key` "": the chain's
    credentials, or, where `is_anonymous`, none. `google`: what GoogleTokens is told, where it signs. `addressing` "",
    `conditional_writes` None: by the endpoint."""

    dialect: Dialect
    endpoint: str
    region: str
    profile: str
    access_key: str
    secret_key: str
    session_token: str
    is_anonymous: bool
    addressing: str
    ca_file: str
    timeout_s: float
    connect_timeout_s: float
    max_connections: int
    has_md5_etags: bool
    conditional_writes: bool | None
    pays_requests: bool
    google: str | None = None

    def __repr__(self) -> str:
        return f"S3Options({self.dialect.provider}, endpoint={self.endpoint!r})"


def options_of_aws(account: Account) -> S3Options:
    """AWS, or any endpoint that speaks its S3."""
    return _options(account, AWS, account.endpoint, account.region, {})


def options_of_gcp(account: Account, environment: Mapping[str, str] = os.environ) -> S3Options:
    """Google Cloud Storage by its XML API for interoperability, with an HMAC key or Google's own tokens."""
    endpoint = account.endpoint or "https://storage.googleapis.com"
    options = _options(account, GCP, endpoint, account.region or "auto", _keys(environment, "GS"))
    said = account.secrets.get("service_account") or account.settings.get("application_creds", "")
    if not said and (options.access_key or _switch(account.settings, "anonymous", False)):
        return options
    return replace(options, access_key="", secret_key="", is_anonymous=True, google=said)


def options_of_oci(account: Account, environment: Mapping[str, str] = os.environ) -> S3Options:
    """Oracle's object storage by its S3 Compatibility API, with a customer secret key. The settings name the tenancy's
    "namespace"."""
    region = account.region or environment.get("OCI_REGION", "")
    endpoint = account.endpoint
    if not endpoint:
        namespace = account.settings.get("namespace") or environment.get("OCI_NAMESPACE", "")
        for name, value in (("namespace", namespace), ("region", region)):
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", value):
                reason = f"An account of oci needs a {name}, or an endpoint"
                raise InvalidArgument(name=name, value=value, reason=reason)
        endpoint = f"https://{namespace}.compat.objectstorage.{region}.oraclecloud.com"
    return _options(account, OCI, endpoint, region or "us-ashburn-1", _keys(environment, "OCI"))


def _keys(environment: Mapping[str, str], prefix: str) -> Mapping[str, str]:
    return {
        "access_key": environment.get(f"{prefix}_ACCESS_KEY_ID", ""),
        "secret_key": environment.get(f"{prefix}_SECRET_ACCESS_KEY", ""),
    }


def _options(
    account: Account, dialect: Dialect, endpoint: str, region: str, found: Mapping[str, str]
) -> S3Options:
    settings = account.settings
    secrets = account.secrets if account.secrets.get("access_key") else found
    is_anonymous = _switch(settings, "anonymous", False)
    if not dialect.is_aws and not secrets.get("access_key") and not account.profile:
        # What is left would be the chain of AWS.
        is_anonymous = True
    return S3Options(
        dialect=dialect,
        endpoint=_checked_endpoint(endpoint),
        region=region,
        profile=account.profile,
        access_key=secrets.get("access_key", ""),
        secret_key=secrets.get("secret_key", ""),
        session_token=secrets.get("session_token", ""),
        is_anonymous=is_anonymous,
        addressing=_choice(settings, "addressing", "" if dialect.is_aws else "path"),
        ca_file=settings.get("ca_file", ""),
        timeout_s=_number(settings, "timeout_s", 60, 1, 3600),
        connect_timeout_s=_number(settings, "connect_timeout_s", 10, 0.1, 600),
        max_connections=int(_number(settings, "max_connections", 256, 1, 10_000)),
        has_md5_etags=_switch(settings, "md5_etags", True),
        conditional_writes=(
            _switch(settings, "conditional_writes", False)
            if "conditional_writes" in settings
            else (None if dialect.is_aws else False)
        ),
        pays_requests=_switch(settings, "requester_pays", False),
    )


def _checked_endpoint(endpoint: str) -> str:
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        parts.port  # noqa: B018  # raises for what is no port
    except ValueError:
        is_good = False
    if not is_good:
        reason = "The endpoint must be a URL of http or https"
        raise InvalidArgument(name="endpoint", value=endpoint, reason=reason)
    return endpoint.rstrip("/")


def _choice(settings: Mapping[str, str], name: str, default: str) -> str:
    value = settings.get(name, default)
    if value not in ("", "auto", "path", "virtual"):
        raise InvalidArgument(name=name, value=value, reason="It is path, virtual or auto")
    return value


def _switch(settings: Mapping[str, str], name: str, default: bool) -> bool:
    value = settings.get(name, "")
    if value.lower() not in ("", "true", "false", "on", "off", "1", "0"):
        raise InvalidArgument(name=name, value=value, reason="It is true or false")
    return value.lower() in ("true", "on", "1") if value else default


def _number(
    settings: Mapping[str, str], name: str, default: float, least: float, most: float
) -> float:
    value: Any = settings.get(name, "") or default
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        reason = f"It is a number from {least:g} to {most:g}"
        raise InvalidArgument(name=name, value=value, reason=reason)
    return number
