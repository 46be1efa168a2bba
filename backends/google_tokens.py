"""Owns the access tokens of Google Cloud, by its standard chain: Application Default Credentials.

In this order: what an account says (the JSON of a service account, or the path of a file with it), the file that
GOOGLE_APPLICATION_CREDENTIALS names, the one that `gcloud auth application-default login` leaves, and the service
account of the machine (its metadata server). With none of them requests are anonymous, as public buckets allow.

Source: Google, AIP-4110 to 4115 (the chain), RFC 7523 (service accounts), RFC 6749 section 6 (users).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from jose import jwt
from jose.exceptions import JOSEError

from core.errors import BackendBusy, BackendDenied, BackendDown

SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
TOKEN_URI = "https://oauth2.googleapis.com/token"
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_LIFE_S = 3600
_SPARE_S = 300
"""How long before its end a token is not used any more."""
_MAX_ANSWER_BYTES = 64 * 1024
_PROVIDER = "gcp"


@dataclass(frozen=True, slots=True)
class _Token:
    """`value` "" where there are no credentials."""

    value: str
    ends_at: float


class GoogleTokens:
    """The tokens of one account. `said`: JSON, or the path of a file; "" for the chain."""

    def __init__(self, said: str, environment: Mapping[str, str] = os.environ) -> None:
        self._said = said
        self._environment = environment
        self._token: _Token | None = None
        self._asking: asyncio.Task[_Token] | None = None
        self.project = environment.get("GOOGLE_CLOUD_PROJECT", "")

    async def current(self) -> str:
        """A token that is good for a while, "" where there are no credentials. Raises BackendDenied, BackendDown."""
        if self._token is not None and time.monotonic() < self._token.ends_at:
            return self._token.value
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._asked())
        # Shielded: who gives up waiting must not take the token away from the others.
        self._token = await asyncio.shield(self._asking)
        return self._token.value

    def forget(self) -> None:
        """The token was refused: the next is a new one."""
        if self._token is not None and self._token.value:
            self._token = None

    async def _asked(self) -> _Token:
        found = await asyncio.to_thread(self._credentials_sync)
        self.project = self.project or str((found or {}).get("project_id") or "")
        kind = "machine" if found is None else str(found.get("type"))
        try:
            async with aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=15), trust_env=True
            ) as session:
                if found is None:
                    return await self._of_machine(session)
                grant = await asyncio.to_thread(_grant_sync, found)
                url = str(found.get("token_uri") or TOKEN_URI)
                async with session.post(url, data=grant, allow_redirects=False) as answer:
                    return await _read(answer)
        except (aiohttp.ClientError, OSError, TypeError, ValueError) as error:
            raise _down(f"no token of a {kind}: {type(error).__name__}") from None
        except (JOSEError, KeyError):
            raise _denied(f"credentials of a {kind} that cannot be used") from None

    def _credentials_sync(self) -> Mapping[str, Any] | None:
        """The credentials that were said or found, None if there are none but perhaps the machine's own."""
        if self._said.lstrip().startswith("{"):
            return _parsed(self._said)
        named = self._said or self._environment.get("GOOGLE_APPLICATION_CREDENTIALS", "")
        home = self._environment.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud"
        path = Path(named) if named else Path(home) / "application_default_credentials.json"
        if not named and not path.exists():
            return None
        try:
            return _parsed(path.read_text())
        except (OSError, UnicodeDecodeError):
            raise _denied("the file of the credentials cannot be read") from None

    async def _of_machine(self, session: aiohttp.ClientSession) -> _Token:
        """A token of the machine that this runs on, if it is Google's."""
        host = self._environment.get("GCE_METADATA_HOST", "")
        url = f"http://{host or '169.254.169.254'}{_METADATA_PATH}"
        headers = {"Metadata-Flavor": "Google"}
        patience = aiohttp.ClientTimeout(total=15 if host else 2)
        try:
            async with session.get(
                url, headers=headers, timeout=patience, allow_redirects=False
            ) as answer:
                if answer.status == 200:
                    return await _read(answer)
                # Another cloud's, or one of a machine without a service account.
        except (aiohttp.ClientError, TimeoutError, OSError):
            if host:
                raise
        return _Token("", time.monotonic() + _LIFE_S)


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("type") not in (
        "service_account",
        "authorized_user",
    ):
        raise _denied("credentials that are neither a service account's nor a user's")
    return found


def _grant_sync(found: Mapping[str, Any]) -> dict[str, str]:
    """What a token is asked for with."""
    if found["type"] == "authorized_user":
        names = ("client_id", "client_secret", "refresh_token")
        return {"grant_type": "refresh_token"} | {name: str(found[name]) for name in names}
    now = int(time.time())
    claims = {
        "iss": found["client_email"],
        "scope": SCOPE,
        "aud": found.get("token_uri") or TOKEN_URI,
        "iat": now,
        "exp": now + _LIFE_S,
    }
    headers = {"kid": str(found.get("private_key_id", ""))}
    assertion = jwt.encode(claims, found["private_key"], algorithm="RS256", headers=headers)
    grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    return {"grant_type": grant_type, "assertion": str(assertion)}


async def _read(answer: aiohttp.ClientResponse) -> _Token:
    """Raises ValueError for what is no token."""
    if answer.status == 429:
        raise BackendBusy(provider=_PROVIDER, bucket="", reason="tokens", retry_after_s=5)
    if 400 <= answer.status < 500:
        raise _denied("the credentials are refused")
    body = await answer.content.read(_MAX_ANSWER_BYTES)
    said = json.loads(body) if answer.status == 200 else {}
    if not isinstance(said, dict):
        said = {}
    value = said.get("access_token")
    life_s = float(said.get("expires_in", _LIFE_S))
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError("no token")
    return _Token(value, time.monotonic() + max(min(life_s, 86400) - _SPARE_S, 30))


def _denied(reason: str) -> BackendDenied:
    return BackendDenied(provider=_PROVIDER, bucket="", reason=reason)


def _down(reason: str) -> BackendDown:
    return BackendDown(provider=_PROVIDER, bucket="", reason=reason, retry_after_s=1)
