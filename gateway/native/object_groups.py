"""Owns what a message about many objects says: which ones, where to, and whether its sender may; before a job begins.

A job acts with what was admitted when it was asked for. Whoever may do everything in a bucket is admitted to it as a
whole; for anybody else each object is named and admitted one by one, now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from core import access
from core.claims import Permission
from core.errors import InvalidArgument, KeyTooLong, NoSuchBucket, NotFound
from core.names import BucketRef, ObjectKey, parse_object_key
from core.protocols import ObjectStore
from core.templates import parse_template
from core.types import Bucket
from gateway.native.bucket_making import make_bucket
from gateway.native.bucket_names import admit_new_bucket
from gateway.native.call import NativeCall
from gateway.native.fields import Fields, fields_of, text_of
from gateway.native.request import bucket_ref
from jobs.copying import NameMap
from jobs.object_group import DEFAULT_WORKERS
from jobs.parallel import MAX_WORKERS
from jobs.selection import MAX_NAMES, Selection, pieces

_MAX_NAMES_BYTES = 16 * 1024**2

# --- fields --------------------------------------------------------------------------------------------------------


def workers_of(fields: Fields) -> int:
    """How many objects are to be worked on at a time: 0 leaves it open, -1 says one after the other."""
    value = fields.get("num-workers") or 0
    if not isinstance(value, int) or value < -1:
        raise InvalidArgument(
            name="num-workers", value=str(value)[:64], reason="it is a number from -1 on"
        )
    return 1 if value == -1 else min(value or DEFAULT_WORKERS, MAX_WORKERS)


def bucket_of(call: NativeCall, fields: Fields, name: str) -> BucketRef:
    """Another bucket, by the parts of its identity; the path's own where there is none. Raises InvalidArgument."""
    value = fields.get(name)
    if value is None:
        return call.request.ref()
    parts = fields_of(value)
    namespace = parts.get("namespace") or {}
    spaces = fields_of(namespace)
    uuid, space = text_of(spaces, "uuid", 64), text_of(spaces, "name", 64)
    return bucket_ref(
        text_of(parts, "name", 64),
        text_of(parts, "provider", 16),
        f"@{uuid}#{space}" if uuid or space else "",
    )


def selection_of(fields: Fields, prefix: str = "") -> Selection:
    """Raises InvalidArgument, InvalidKey, KeyTooLong."""
    names, template = fields.get("objnames"), text_of(fields, "template", max_chars=4096)
    if names is None:
        parse_template(template)
        return Selection(None, template, prefix)
    if template:
        reason = "objects are named either one by one or by a template"
        raise InvalidArgument(name="template", value=template[:64], reason=reason)
    if not isinstance(names, list) or not names:
        reason = "it is a list of names, not empty"
        raise InvalidArgument(name="objnames", value=str(names)[:64], reason=reason)
    if len(names) > MAX_NAMES:
        reason = f"at most {MAX_NAMES} objects can be named; use a template"
        raise InvalidArgument(name="objnames", value=str(len(names)), reason=reason)
    # One that is named twice is meant once.
    unique = tuple(dict.fromkeys(_key(name) for name in names))
    size_bytes = sum(map(len, unique))
    if size_bytes > _MAX_NAMES_BYTES:
        raise KeyTooLong(size_bytes=size_bytes, max_bytes=_MAX_NAMES_BYTES)
    return Selection(unique, "", prefix)


def _key(name: object) -> ObjectKey:
    if not isinstance(name, str) or not _is_unicode(name):
        raise InvalidArgument(name="objnames", value="", reason="a name is a text")
    return parse_object_key(name.encode())


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def extensions_of(fields: Fields) -> Mapping[str, str]:
    """Old extensions and the new ones. Raises InvalidArgument."""
    value = fields.get("ext")
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 64:
        raise InvalidArgument(name="ext", value="", reason="it maps up to 64 extensions to others")
    found = {}
    for old, new in value.items():
        short = str(old).lstrip(".")
        if not short or not isinstance(new, str) or not _is_unicode(short + new):
            raise InvalidArgument(name="ext", value=str(old)[:64], reason="no such extension")
        found[short] = new.lstrip(".")
    return found


# --- who may ---------------------------------------------------------------------------------------------------------


def rules_all(call: NativeCall, bucket: Bucket) -> bool:
    """Whether the caller may do everything in the bucket with every object of its owner's."""
    return access.is_plain(call.identity, bucket)


def reads_only_owners(call: NativeCall, bucket: Bucket) -> bool:
    """Whether, of objects that others wrote into the caller's own bucket, nothing may be read: root may all."""
    user = call.identity.user
    return rules_all(call, bucket) and not (user is not None and user.is_root)


Action = tuple[str, Permission]


async def admitted(
    call: NativeCall,
    selection: Selection,
    bucket: Bucket,
    actions: Sequence[Action],
    *,
    store: ObjectStore | None = None,
) -> Selection:
    """The selection, if the caller may do this with all of it; where that hangs on the names, they are fixed, as
    `store` has them. Raises Denied, InvalidArgument if they are too many."""
    return await _admitted(call, selection, (bucket, bucket, NameMap()), actions, store)


async def admitted_to(
    call: NativeCall,
    selection: Selection,
    source: Bucket,
    target: Bucket,
    names: NameMap,
    actions: Sequence[Action],
) -> Selection:
    """As `admitted`, for what is done in another bucket under the names of copies."""
    return await _admitted(call, selection, (source, target, names), actions, None)


async def _admitted(
    call: NativeCall,
    selection: Selection,
    to: tuple[Bucket, Bucket, NameMap],
    actions: Sequence[Action],
    store: ObjectStore | None,
) -> Selection:
    source, target, names = to
    store = store or call.store
    if rules_all(call, target):
        for action, permission in actions:
            await call.require(action, permission, target)
        return selection
    found: list[ObjectKey] = []
    async for piece in pieces(store, source, selection):
        # A look-up of what is absent waits for nothing: other requests get their turn here.
        await asyncio.sleep(0)
        for key in piece.keys:
            is_known = piece.must_exist or piece.found is not None
            if is_known or await _is_there(store, source, key):
                await _require_each(call, target, names.name(key), actions)
                found.append(key)
        if len(found) > MAX_NAMES:
            reason = f"more than {MAX_NAMES} objects, each of which the caller must be admitted to"
            raise InvalidArgument(name="template", value=selection.template[:64], reason=reason)
    if not found:
        # That there are none is told only to who could have done something there.
        under = ObjectKey(f"{parse_template(selection.template).prefix}-")
        await _require_each(call, target, names.name(under), actions)
    was_range = selection.was_range or selection.names is None
    return Selection(tuple(found), was_range=was_range)


async def _require_each(
    call: NativeCall, bucket: Bucket, key: ObjectKey, actions: Sequence[Action]
) -> None:
    try:
        for action, permission in actions:
            await call.require(action, permission, bucket, key)
    except NotFound:
        # The job says what is missing.
        return


async def _is_there(store: ObjectStore, bucket: Bucket, key: ObjectKey) -> bool:
    try:
        await store.head(bucket, key)
    except NotFound:
        return False
    return True


async def target_bucket(call: NativeCall, ref: BucketRef, *, may_create: bool) -> Bucket | None:
    """The bucket to write to, made if it is absent and may be; None if it is absent and nothing is to be written.
    Raises Denied, InvalidBucketName."""
    try:
        return call.store.get_bucket(ref)
    except NoSuchBucket:
        if not may_create:
            return None
    await admit_new_bucket(call, ref)
    return await make_bucket(call, ref)
