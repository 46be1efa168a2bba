"""Owns what this store tells others of the tokens that it issues: OpenID discovery, and its keys."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cluster.token_records import TokenRecords
from core.protocols import Clock
from gateway.tokens.oidc import DISCOVERY_PATH
from gateway.tokens.own import ALGORITHM, jwks, live_keys

KEYS_PATH = "/.well-known/jwks.json"
_MAX_AGE_S = 300
"""How long others may keep the keys. Whoever meets a token of a newer key looks again anyway."""
_CACHED = (b"cache-control", b"public, max-age=%d" % _MAX_AGE_S)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Published:
    """The ASGI application of the two paths. `issuer_url` empty: as whom the request addresses."""

    def __init__(
        self, records: TokenRecords, clock: Clock, max_age_s: float, issuer_url: str = ""
    ) -> None:
        self._records = records
        self._clock = clock
        self._max_age_s = max_age_s
        self._issuer_url = issuer_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Anyone may ask; public keys are for the public."""
        del receive
        status, document, headers = self._answer(scope)
        body = json.dumps(document).encode()
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    def _answer(self, scope: Scope) -> tuple[int, Mapping[str, Any], list[tuple[bytes, bytes]]]:
        if scope["method"] not in ("GET", "HEAD"):
            return 405, {"error": "method not allowed"}, [(b"allow", b"GET, HEAD")]
        if scope["raw_path"] == KEYS_PATH.encode():
            return 200, jwks(self._keys()), [_CACHED]
        if scope["raw_path"] == DISCOVERY_PATH.encode():
            # One that depends on who asks is for nobody else.
            headers = [_CACHED] if self._issuer_url else [(b"cache-control", b"no-store")]
            return 200, self._discovery(scope), headers
        return 404, {"error": "nothing here"}, []

    def _keys(self) -> Any:
        return live_keys(self._records, self._clock.now_ns(), self._max_age_s)

    def _discovery(self, scope: Scope) -> Mapping[str, Any]:
        issuer = self._issuer_url or _addressed(scope)
        return {
            "issuer": issuer,
            "jwks_uri": issuer.rstrip("/") + KEYS_PATH,
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
        }


def _addressed(scope: Scope) -> str:
    """Scheme and host as the client has them."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return f"{scope['scheme']}://{host.decode('latin-1')}"
