"""Owns what native clients ask of providers and other clusters as a whole: which are reached, and attaching them."""

from __future__ import annotations

import asyncio

from cluster.accounts import check_account
from core.accounts import Account, AccountStore
from core.claims import Permission
from core.errors import InvalidArgument, InvalidBucketState
from gateway.native.call import NativeCall, NativeResponse, Row, json_response
from gateway.native.operations.nodes import refuse_membership

_CLUSTER = "ais"


async def remote_clusters(call: NativeCall) -> NativeResponse:
    """The other clusters that are attached, by their aliases."""
    await call.require("weir:ShowCluster", Permission.SHOW_CLUSTER)
    accounts = call.services.accounts
    attached = [
        {"url": each.endpoint, "alias": each.name, "uuid": "", "smap": None}
        for each in await asyncio.to_thread(accounts.accounts)
        if each.provider == _CLUSTER
    ]
    return json_response({"a": attached or None, "ver": accounts.change()})


async def backends(call: NativeCall) -> NativeResponse:
    """The providers of which there are buckets or accounts."""
    await call.require("weir:ShowCluster", Permission.SHOW_CLUSTER)
    accounts = await asyncio.to_thread(call.services.accounts.accounts)
    used = {each.provider for each in accounts}
    used |= {each.ref.provider for each in call.store.all_buckets()}
    return json_response(sorted(used - {_CLUSTER}))


async def attach(call: NativeCall) -> NativeResponse:
    """Have other clusters known by an alias each, by which their buckets are addressed (ais://@ALIAS/BUCKET). What is
    known of one that is attached already, as its token, stays."""
    await call.require("weir:AttachCluster", Permission.ADMIN)
    accounts = call.services.accounts
    for alias, url in _aliases(call).items():
        account = Account(_CLUSTER, alias, endpoint=url.rstrip("/"))
        check_account(account)
        await asyncio.to_thread(_put, accounts, account)
    return NativeResponse()


async def detach(call: NativeCall) -> NativeResponse:
    """Forget clusters of which no bucket is known here."""
    await call.require("weir:AttachCluster", Permission.ADMIN)
    for alias in _aliases(call):
        used = [
            bucket.name
            for bucket in call.store.all_buckets()
            if bucket.props.backend is not None
            and alias in (bucket.props.backend.bucket.cluster, bucket.props.backend.account)
        ]
        if used:
            reason = f"buckets of {alias} are known here: {', '.join(used[:3])}; evict them first"
            raise InvalidBucketState(reason=reason)
        await asyncio.to_thread(call.services.accounts.remove_account_sync, _CLUSTER, alias)
    return NativeResponse()


def _put(accounts: AccountStore, account: Account) -> None:
    known = accounts.account(account.provider, account.name)
    if known is not None and known.endpoint == account.endpoint:
        return
    # Another place is not told what was for the first.
    accounts.put_account_sync(account)


def _aliases(call: NativeCall) -> dict[str, str]:
    found = {name: url for name, url in call.request.query.items() if name != "what"}
    if not found:
        reason = "no cluster is named: ?ALIAS=URL"
        raise InvalidArgument(name="alias", value="", reason=reason)
    return found


async def change_clusters(call: NativeCall) -> NativeResponse:
    """By the last word of the path."""
    match call.request.names[0]:
        case b"attach":
            return await attach(call)
        case b"detach":
            return await detach(call)
    return await refuse_membership(call)


ROWS = (
    Row("PUT", "cluster", 1, change_clusters),
    Row("GET", "cluster", 0, remote_clusters, what="remote"),
    Row("GET", "cluster", 0, backends, what="backends"),
)
