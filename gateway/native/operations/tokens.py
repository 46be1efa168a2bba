"""Owns the taking back of bearer tokens, as AIStore's authentication service asks its clusters for it."""

from __future__ import annotations

from core.claims import Permission
from core.errors import InvalidArgument
from gateway.native.call import NativeCall, NativeResponse, Row

MAX_TOKENS = 10_000
"""In one request."""


async def revoke(call: NativeCall) -> NativeResponse:
    """`tokens` is the list that the service keeps, `token` one that its owner gives up."""
    await call.require("weir:RevokeTokens", Permission.ADMIN)
    fields = await call.request.read_json()
    if not isinstance(fields, dict):
        raise InvalidArgument(name="body", value="", reason="the body is no object")
    said = fields.get("tokens")
    found = [fields["token"]] if "token" in fields else ([] if said is None else said)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidArgument(name="tokens", value="", reason="a list of tokens is wanted")
    if len(found) > MAX_TOKENS:
        reason = f"up to {MAX_TOKENS} tokens are taken at a time"
        raise InvalidArgument(name="tokens", value=str(len(found)), reason=reason)
    if call.services.tokens is not None:
        await call.services.tokens.revoke(found)
    return NativeResponse()


ROWS = (Row("DELETE", "tokens", 0, revoke),)
