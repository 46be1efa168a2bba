"""Owns whom a bearer token speaks for: which key must have signed it, what it must say, and the memory of those that
were good.

A token is verified once in a worker, in a thread; after that it costs a digest and a look-up until it expires, is
revoked, or what it was judged by changes. Errors never repeat a token.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.token_records import TokenRecords
from core.control import ControlStore
from core.errors import BadToken, RevokedToken
from core.protocols import Clock
from core.types import Identity, User
from gateway.tokens.claims import NS_PER_S, ClaimRules, check_payload, expiry_ns
from gateway.tokens.keys import VerificationKey, rsa_key_sync
from gateway.tokens.oidc import OidcKeys
from gateway.tokens.own import live_keys
from gateway.tokens.parse import MAX_TOKEN_BYTES, ParsedToken, parse_token

_MAX_CACHED = 4096
_MAX_AT_ONCE = 4
"""Signatures that are checked side by side; more would take the threads that disks need."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom tokens are taken from beside this store itself: one key of the settings, or issuers, or nobody."""

    static_key: VerificationKey | None = None
    oidc: OidcKeys | None = None


class Tokens:
    """Implements core.control.TokenVerifier."""

    def __init__(
        self, control: ControlStore, records: TokenRecords, rules: ClaimRules, clock: Clock
    ) -> None:
        self._control = control
        self.records = records
        self._rules = rules
        self._own_rules = replace(rules, issuers=frozenset())
        self._clock = clock
        self._trust = Trust()
        self._stamp = -1
        self._forgotten = 0
        self._cached: dict[bytes, tuple[Identity, int]] = {}
        self._own: dict[str, VerificationKey] = {}
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)

    def trust(self, trust: Trust) -> None:
        """Take tokens of others too."""
        self._trust = trust

    async def close(self) -> None:
        """Stop what runs in the background."""
        if self._trust.oidc is not None:
            await self._trust.oidc.close()
        self.records.close()

    def forget(self) -> None:
        """Verify every token again: a key that some were signed with may be gone."""
        self._cached.clear()
        self._forgotten += 1

    def known(self, token: str) -> Identity | None:
        """As core.control.TokenVerifier."""
        if self.records.stamp() != self._stamp or len(token) > MAX_TOKEN_BYTES:
            return None
        found = self._cached.get(_digest(token))
        if found is None or self._clock.now_ns() >= found[1]:
            return None
        return found[0]

    async def identity(self, token: str) -> Identity:
        """As core.control.TokenVerifier."""
        judged_by = (self.records.stamp(), self._forgotten)
        parsed = parse_token(token)
        if self.records.is_revoked(parsed.digest):
            raise RevokedToken(reason="the token was revoked")
        async with self._slots:
            own = await asyncio.to_thread(self._own_key_sync, parsed)
        key = own or await self._others_key(parsed)
        rules = self._rules if own is None else self._own_rules
        async with self._slots:
            identity, until_ns = await asyncio.to_thread(self._judge_sync, parsed, key, rules)
        self._keep(judged_by, token, identity, until_ns)
        return identity

    def _judge_sync(
        self, parsed: ParsedToken, key: VerificationKey, rules: ClaimRules
    ) -> tuple[Identity, int]:
        """Whom the token speaks for, and until when."""
        key.verify_sync(parsed)
        checked = check_payload(parsed.payload, rules, self._clock.now_ns())
        account = self._account(checked.claims.subject, checked.claims.is_admin)
        return Identity(account, claims=checked.claims), checked.until_ns

    async def revoke(self, tokens: Sequence[str]) -> int:
        """As core.control.TokenVerifier."""
        return await asyncio.to_thread(self._revoke_sync, tokens)

    def _revoke_sync(self, tokens: Sequence[str]) -> int:
        return revoke_sync(self.records, tokens, self._clock.now_ns(), self._rules.max_age_s)

    def _own_key_sync(self, parsed: ParsedToken) -> VerificationKey | None:
        """This store's key of the token's key id, if it is one that is still believed."""
        if parsed.key_id is None or self.records.key(parsed.key_id) is None:
            return None
        keys = live_keys(self.records, self._clock.now_ns(), self._rules.max_age_s)
        named = next((key for key in keys if key.key_id == parsed.key_id), None)
        if named is None:
            raise BadToken(reason="the token was signed with a key of long ago")
        found = self._own.get(named.key_id)
        if found is None:
            found = self._own[named.key_id] = rsa_key_sync(named.modulus, named.exponent)
        return found

    async def _others_key(self, parsed: ParsedToken) -> VerificationKey:
        if self._trust.static_key is not None:
            return self._trust.static_key
        if self._trust.oidc is not None:
            issuer = parsed.payload.get("iss")
            if not isinstance(issuer, str):
                raise BadToken(reason="the token's issuer (iss) is not one that is trusted here")
            return await self._trust.oidc.key(issuer, parsed.key_id)
        raise BadToken(reason="the token was signed by nobody who is trusted here")

    def _account(self, subject: str, is_admin: bool) -> User:
        """A token speaks for root, but for one that names another user here and is no admin's."""
        users = self._control.users()
        named: User | None = None
        if not is_admin:
            named = next((user for user in users if user.name == subject), None)
        return named or next(user for user in users if user.is_root)

    def _keep(
        self, judged_by: tuple[int, int], token: str, identity: Identity, until_ns: int
    ) -> None:
        stamp = self.records.stamp()
        if (stamp, self._forgotten) != judged_by:
            # That is no longer so; the next request judges again.
            return
        if self._stamp != stamp:
            self._cached.clear()
            self._stamp = stamp
        if len(self._cached) >= _MAX_CACHED:
            del self._cached[next(iter(self._cached))]
        self._cached[_digest(token)] = (identity, until_ns)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def revoke_sync(records: TokenRecords, tokens: Sequence[str], now_ns: int, max_age_s: float) -> int:
    """As core.control.TokenVerifier.revoke. A token that lives longer than any may is remembered no longer."""
    latest_ns = now_ns + int(max_age_s * NS_PER_S)
    digests = {}
    for token in tokens:
        try:
            parsed = parse_token(token)
        except BadToken:
            continue
        digests[parsed.digest] = expiry_ns(parsed.payload, latest_ns)
    if digests:
        records.revoke_sync(digests, now_ns)
    return len(digests)
