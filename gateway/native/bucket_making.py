"""Owns how buckets come to be known: those of our own are made, those that live elsewhere are added, when a client
asks for that or uses them for the first time.

To add one is to let it be reached with the cluster's credentials, so only those may who may use these.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.accounts import NoSuchAccount
from core.backends import Backends, RemoteBucket
from core.configs.backend import BackendBinding
from core.errors import (
    BackendDenied,
    BucketExists,
    BucketOwnedByYou,
    Denied,
    Invalid,
    InvalidArgument,
    NoSuchBucket,
    Unavailable,
    Unsupported,
)
from core.names import BucketName, BucketRef
from core.types import Bucket, BucketProps
from gateway.native import props
from gateway.native.bucket_names import admit_new_bucket, admit_to_backends, check_new_bucket
from gateway.native.call import NativeCall
from gateway.native.faults import BackendUnreached
from gateway.native.request import NativeRequest

logger = logging.getLogger(__name__)

_OURS = ("", "ais")
_NOT_VISITS = frozenset({"create-bck", "destroy-bck", "evict-remote-bck"})
"""Actions on a bucket that do not add it: the first does so itself, the others are its end."""
IN_CLUSTER = frozenset({"2", "3", "4"})
"""What `presence` says where only what the cluster has is asked for (AIStore: FltPresent and its like)."""
_LIST_PRESENT, _LIST_UNPROBED, _LIST_UNADDED = 64, 128, 256
"""Flags of a listing: only if the bucket is known, without asking the provider for it, without adding it."""


async def make_bucket(call: NativeCall, ref: BucketRef, wanted: Any = None) -> Bucket:
    """Make the bucket, or add it where it lives elsewhere, with the properties that the client wants. The caller was
    admitted. Raises NoSuchBucket and the errors of backends for one that is not found there; BucketExists,
    BucketOwnedByYou."""
    services = call.services
    made = services.new_bucket
    if wanted is not None:
        if props.uses_backends(wanted):
            await admit_to_backends(call)
        made = props.changed(made, wanted, ref)
    owner = call.identity.user
    assert owner is not None, "no anonymous caller may make buckets"
    if not ref.is_remote and made.backend is None:
        region = services.region
        return await call.store.create_bucket(ref, owner=owner, region=region, props=made)
    if ref.is_remote:
        made = _as_remote(made, ref)
    is_probed = not call.request.flag("dont_head_remote_bck")
    bucket = await _found(call, Bucket(ref, 0, owner, 0, "", made), is_probed=is_probed)
    return await call.store.create_bucket(
        ref, owner=owner, region=services.region, props=bucket.props
    )


def may_be_elsewhere(request: NativeRequest) -> bool:
    """Whether the bucket of a request's path lives elsewhere, judged by the query alone; costs next to nothing."""
    query = request.query
    return bool(request.names) and (
        query.get("provider", "") not in _OURS or "@" in query.get("namespace", "")
    )


async def visit(call: NativeCall) -> None:
    """Before an operation on a bucket that lives elsewhere: add it if this is its first use by somebody who may add it.
    For others it stays unknown."""
    request = call.request
    message = request.given_message
    if message is not None and message.action in _NOT_VISITS:
        return
    ref = request.ref()
    if request.query.get("presence") in IN_CLUSTER:
        return
    flags = _list_flags({} if message is None else message.fields())
    if flags & _LIST_PRESENT:
        return
    is_look = request.resource == "buckets" and request.method in ("GET", "HEAD")
    is_unadded = request.flag("dont_add_remote_bck_md") or bool(flags & _LIST_UNADDED)
    if is_look and is_unadded:
        call.visited = await _looked_at(call, ref)
        return
    is_probed = not (request.flag("dont_head_remote_bck") or flags & _LIST_UNPROBED)
    await first_use(call, ref, is_probed=is_probed)


async def first_use(call: NativeCall, ref: BucketRef, *, is_probed: bool = True) -> bool:
    """Add a bucket that lives elsewhere, if it is not known yet and the caller may; whether it is known now."""
    wanted = await _addable(call, ref)
    if wanted is None:
        return _is_known(call, ref)
    found = await _found(call, wanted, is_probed=is_probed)
    region = call.services.region
    try:
        await call.store.create_bucket(ref, owner=found.owner, region=region, props=found.props)
    except (BucketExists, BucketOwnedByYou):
        pass  # Somebody else's first use came before.
    return True


async def _looked_at(call: NativeCall, ref: BucketRef) -> Bucket | None:
    """The bucket as it would be added."""
    wanted = await _addable(call, ref)
    return None if wanted is None else await _found(call, wanted, is_probed=True)


async def _addable(call: NativeCall, ref: BucketRef) -> Bucket | None:
    """What would be added; None where it is known, or nobody could add it, or not the caller."""
    if not ref.is_remote or _is_known(call, ref) or not await _may_add(call, ref):
        return None
    owner = call.identity.user
    assert owner is not None, "nobody anonymous may add buckets"
    wanted = Bucket(ref, 0, owner, 0, "", _as_remote(call.services.new_bucket, ref))
    try:
        backends_of(call).of(wanted)
    except Unsupported:
        return None
    return wanted


def _is_known(call: NativeCall, ref: BucketRef) -> bool:
    try:
        call.store.get_bucket(ref)
    except NoSuchBucket:
        return False
    return True


async def _may_add(call: NativeCall, ref: BucketRef) -> bool:
    try:
        check_new_bucket(ref)
        await admit_new_bucket(call, ref)
    except Denied:
        return False
    return True


async def look_up(call: NativeCall, bucket: Bucket) -> RemoteBucket:
    """What the provider says of the bucket that `bucket` is bound to. Raises NoSuchBucket, BackendDenied,
    BackendUnreached; InvalidArgument for what cannot be reached from here."""
    binding = bucket.props.backend
    assert binding is not None
    try:
        backend = backends_of(call).of(bucket)
        return await backend.head_bucket(binding.bucket.name)
    except NoSuchBucket:
        raise NoSuchBucket(bucket=binding.bucket.name, ref=binding.bucket) from None
    except Unavailable as error:
        # Not passed on as it is: clients would repeat the request for a minute and a half.
        raise BackendUnreached(ref=binding.bucket, error=error) from error
    except Unsupported as error:
        provider = binding.bucket.provider
        raise InvalidArgument(name="provider", value=provider, reason=error.reason) from None


async def buckets_outside(
    call: NativeCall, ref: BucketRef, *, must_tell: bool
) -> Sequence[BucketRef]:
    """The buckets of the account that `ref`, which has no name, is reached by; none for a caller who may not add them.
    Where the provider does not tell, none, unless it `must_tell`. Raises Denied, BackendDenied, BackendUnreached."""
    try:
        await admit_to_backends(call)
    except Denied:
        return ()
    try:
        backend = backends_of(call).of_account(ref.provider, "", ref.namespace)
        said = await backend.list_buckets()
    except (NoSuchAccount, Unsupported):
        return ()
    except (Unavailable, BackendDenied) as error:
        logger.info("buckets of %s are not told: %s", ref.provider, error)
        if not must_tell:
            return ()
        if isinstance(error, Unavailable):
            raise BackendUnreached(ref=ref, error=error) from error
        raise
    refs = (replace(ref, name=BucketName(each.name)) for each in said)
    return [each for each in refs if _is_addable(each)]


def _is_addable(ref: BucketRef) -> bool:
    """Whether a name that a provider gave can be one here."""
    try:
        check_new_bucket(ref)
    except Invalid:
        return False
    return True


async def _found(call: NativeCall, bucket: Bucket, *, is_probed: bool) -> Bucket:
    """The bucket as the provider describes it."""
    if not is_probed:
        _check_way(call, bucket)
        return bucket
    said = await look_up(call, bucket)
    return replace(bucket, props=props.in_region(bucket.props, said.region))


def _check_way(call: NativeCall, bucket: Bucket) -> None:
    """Raises NoSuchAccount, InvalidArgument where there is no way to the bucket's provider."""
    try:
        backends_of(call).of(bucket)
    except Unsupported as error:
        raise InvalidArgument(name="provider", value="", reason=error.reason) from None


def backends_of(call: NativeCall) -> Backends:
    """Raises Unsupported where this process has none."""
    backends = call.services.backends
    if backends is None:
        raise Unsupported(what="backends", reason="there are no backends here")
    return backends


def _as_remote(props: BucketProps, ref: BucketRef) -> BucketProps:
    """The properties of a bucket that is bound to itself."""
    account = "" if props.backend is None else props.backend.account
    return replace(props, backend=BackendBinding(ref, account), encryption=None)


def _list_flags(fields: Mapping[str, Any]) -> int:
    """Those of a listing, which come as a number or its decimal text."""
    flags = fields.get("flags")
    if isinstance(flags, str) and flags.isdecimal() and len(flags) <= 20:
        return int(flags)
    return flags if isinstance(flags, int) else 0
