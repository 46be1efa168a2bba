"""Owns `weir token`: issuing, inspecting and revoking bearer tokens, and the key that signs them."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from cluster.control import EmbeddedControlStore
from cluster.token_records import TokenRecords
from core.claims import ALL_ACCESS, Permission
from core.errors import BadToken, InvalidBucketName
from core.names import parse_native_bucket_name
from gateway.cli.options import UsageError, load
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.keys import open_key_service
from gateway.native.request import bucket_ref
from gateway.startup import open_control
from gateway.tokens.own import TokenIssuer
from gateway.tokens.parse import MAX_TOKEN_BYTES, parse_token
from gateway.tokens.setup import claim_rules
from gateway.tokens.verifier import revoke_sync

_RO = Permission.GET | Permission.HEAD_OBJECT | Permission.HEAD_BUCKET | Permission.LIST_OBJECTS
_RW = _RO | Permission.PUT | Permission.APPEND | Permission.DELETE_OBJECT | Permission.MOVE_OBJECT
_BUCKET_ADMIN = Permission.PATCH | Permission.SET_BUCKET_ACL | Permission.UPDATE_OBJECT
_CLUSTER_RO = Permission.LIST_BUCKETS | Permission.SHOW_CLUSTER
_CLUSTER_RW = (
    _CLUSTER_RO | Permission.CREATE_BUCKET | Permission.DESTROY_BUCKET | Permission.MOVE_BUCKET
)
GROUPS = {
    "ro": int(_RO),
    "rw": int(_RW),
    "bucket-admin": int(_RW | _BUCKET_ADMIN),
    "cluster-ro": int(_CLUSTER_RO),
    "cluster-rw": int(_CLUSTER_RW),
    "all": ALL_ACCESS,
}
_NAMES = {
    **GROUPS,
    **{p.name.lower().replace("_", "-"): int(p) for p in Permission if p.name},
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_is_duration = re.compile(r"([0-9]{1,9})([smhd])").fullmatch


@dataclass(frozen=True, slots=True)
class _Open:
    config: Config
    control: EmbeddedControlStore
    records: TokenRecords
    issuer: TokenIssuer


def create(arguments: argparse.Namespace) -> int:
    """weir token create"""
    with _opened(arguments) as store:
        payload = _payload(arguments, store)
        print(asyncio.run(store.issuer.issue(payload)))
    return 0


def inspect(arguments: argparse.Namespace) -> int:
    """weir token inspect"""
    token = _read_token(arguments.token)
    parsed = _parsed(token)
    with _opened(arguments) as store:
        state = asyncio.run(_state(store, token))
    said = {
        "state": state,
        "algorithm": parsed.algorithm,
        "key_id": parsed.key_id,
        "claims": dict(parsed.payload),
    }
    print(json.dumps(said, indent=2))
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """weir token revoke"""
    token = _read_token(arguments.token)
    _parsed(token)
    with _opened(arguments) as store:
        revoke_sync(store.records, [token], time.time_ns(), store.config.auth.max_token_age_s)
    print("revoked; it is refused from now on")
    return 0


def rotate_key(arguments: argparse.Namespace) -> int:
    """weir token rotate-key"""
    with _opened(arguments) as store:
        oldest_ns = time.time_ns() - int(store.config.auth.max_token_age_s * 1e9)
        asyncio.run(store.issuer.rotate())
        store.records.forget_keys_sync(oldest_ns)
        print(f"tokens are signed with key {store.records.all_keys()[0].key_id} from now on")
    return 0


async def _state(store: _Open, token: str) -> str:
    """What a server would say of it, as far as that needs no issuer elsewhere."""
    from gateway.tokens.verifier import Tokens

    rules = claim_rules(store.config, store.control.store_id)
    try:
        await Tokens(store.control, store.records, rules, SystemClock()).identity(token)
    except BadToken as error:
        return f"refused here: {error.reason}"
    return "good here"


def _payload(arguments: argparse.Namespace, store: _Open) -> dict[str, Any]:
    auth, cluster_id = store.config.auth, arguments.cluster_id or store.control.store_id
    now_s, life_s = int(time.time()), _seconds(arguments.expires)
    if life_s > auth.max_token_age_s:
        most = _duration_text(int(auth.max_token_age_s))
        raise UsageError(f"--expires: no token may live longer than {most} (auth.max_token_age_s)")
    buckets = [_bucket_entry(text, cluster_id) for text in arguments.bucket]
    if not (arguments.admin or arguments.cluster or buckets):
        raise UsageError(
            "a token that permits nothing is of no use; see --admin, --bucket, --cluster"
        )
    payload: dict[str, Any] = {
        "iss": arguments.issuer or auth.issuer_url or _listen_url(store.config),
        "sub": arguments.sub,
        "iat": now_s,
        "exp": now_s + life_s,
    }
    audiences = arguments.aud or list(auth.token_audiences[:1])
    if audiences:
        payload["aud"] = audiences
    if arguments.admin:
        payload["admin"] = True
    if arguments.cluster:
        permissions = _permissions(arguments.cluster, "--cluster")
        payload["clusters"] = [{"id": cluster_id, "perm": str(permissions)}]
    if buckets:
        payload["buckets"] = buckets
    return payload


def _bucket_entry(text: str, cluster_id: str) -> dict[str, Any]:
    name, equals, permissions = text.partition("=")
    provider, scheme, bare = name.rpartition("://")
    if not equals or not bare:
        raise UsageError(f"--bucket: {text!r}: NAME=PERMISSIONS is wanted, such as data=ro")
    ref = bucket_ref(bare, provider if scheme else "")
    if ref.provider == "ais":
        try:
            parse_native_bucket_name(bare)
        except InvalidBucketName:
            raise UsageError(f"--bucket: {bare!r} is no name of a bucket") from None
    bucket = {
        "name": bare,
        "provider": ref.provider,
        "namespace": {"uuid": cluster_id, "name": ""},
    }
    return {"bck": bucket, "perm": str(_permissions(permissions, "--bucket"))}


def _permissions(text: str, option: str) -> int:
    """Names of groups or single permissions, or the number itself."""
    found = 0
    for name in text.lower().split(","):
        if name.strip().isdecimal() and int(name) <= ALL_ACCESS:
            found |= int(name)
        elif name.strip() in _NAMES:
            found |= _NAMES[name.strip()]
        else:
            raise UsageError(f"{option}: {name!r} is no permission; there are {', '.join(_NAMES)}")
    return found


def _seconds(text: str) -> int:
    match = _is_duration(text)
    if match is None or not int(match[1]):
        raise UsageError(f"--expires: {text!r}: a number with s, m, h or d is wanted, such as 12h")
    return int(match[1]) * _UNITS[match[2]]


def _duration_text(seconds: int) -> str:
    """In the largest unit that it is a whole number of."""
    unit = next(u for u in reversed(_UNITS) if seconds % _UNITS[u] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _listen_url(config: Config) -> str:
    host, port = config.listen_address
    shown = f"[{host}]" if ":" in host else host
    return f"{config.scheme}://{shown}:{port}"


def _read_token(text: str) -> str:
    """Of the command line, where other users of the machine can see it, or better of the standard input."""
    return sys.stdin.read(MAX_TOKEN_BYTES + 2).strip() if text == "-" else text


def _parsed(token: str) -> Any:
    try:
        return parse_token(token)
    except BadToken as error:
        raise UsageError(f"TOKEN: {error.reason}") from None


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[_Open]:
    config = load(arguments).config
    with (
        closing(open_control(config)) as control,
        closing(open_key_service(config, control)) as keys,
        closing(TokenRecords(control.database)) as records,
    ):
        yield _Open(config, control, records, TokenIssuer(records, keys, SystemClock()))
