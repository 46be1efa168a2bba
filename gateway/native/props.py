"""Owns the properties of buckets as native clients see and change them (AIStore: Bprops), section by section.

What weir does not do cannot be switched on: a client that asks for mirrored copies must not be told that it has them.
Parameters of what is off are kept as they are set. weir's own properties are in a section of that name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core import chunks
from core.claims import ALL_ACCESS
from core.configs.backend import BackendBinding
from core.configs.native import NativeProps
from core.configs.versioning import Versioning
from core.errors import InvalidArgument
from core.names import BucketRef
from core.types import Bucket, BucketProps
from gateway.native.bucket_names import check_new_bucket
from gateway.native.prop_kinds import (
    BOOL,
    COUNT,
    DURATION,
    SIZE,
    TEXT,
    VERB_COUNTS,
    Kind,
    choice,
    only,
    read_number,
    size_within,
)
from gateway.native.request import bucket_ref

_NAMED, _SPACES = ("name", "provider"), ("uuid", "name")
_MAX_REGION = 64
_MAX_FEATURES = 2**28 - 1
_COMPRESSION = choice("never", "always")
_IGNORED = frozenset({"force"})
_DURABILITY = choice("durable", "relaxed")


@dataclass(frozen=True, slots=True)
class _Property:
    default: Any
    kind: Kind


def _fixed(value: Any, reason: str) -> _Property:
    return _Property(value, only(value, reason))


_UNSERVED = "is not served"
_EVICTED = "lru.enabled"
_PROPERTIES: Mapping[str, _Property] = {
    "checksum.type": _fixed("md5", "objects have the MD5 that S3 asks for"),
    "checksum.validate_cold_get": _Property(True, BOOL),
    "checksum.validate_warm_get": _fixed(False, "the server's verify_rate decides"),
    "checksum.validate_obj_move": _fixed(False, "objects are not moved between nodes"),
    "checksum.enable_read_range": _fixed(False, "ranges have no checksum"),
    "versioning.enabled": _fixed(True, "writes are always counted"),
    "versioning.validate_warm_get": _Property(False, BOOL),
    "versioning.synchronize": _Property(False, BOOL),
    "mirror.enabled": _fixed(False, "mirroring " + _UNSERVED),
    "mirror.copies": _Property(2, COUNT),
    "mirror.burst_buffer": _Property(512, COUNT),
    "ec.enabled": _fixed(False, "erasure coding " + _UNSERVED),
    "ec.objsize_limit": _Property(262144, COUNT),
    "ec.data_slices": _Property(2, COUNT),
    "ec.parity_slices": _Property(2, COUNT),
    "ec.disk_only": _Property(False, BOOL),
    "ec.compression": _Property("never", _COMPRESSION),
    "ec.bundle_multiplier": _Property(2, COUNT),
    "ec.burst_buffer": _Property(512, COUNT),
    _EVICTED: _Property(False, BOOL),
    "lru.dont_evict_time": _Property("2h", DURATION),
    "lru.capacity_upd_time": _Property("10m", DURATION),
    "lru.batch_size": _Property(32768, COUNT),
    "chunks.objsize_limit": _Property("0", size_within(0, chunks.MAX_MONOLITHIC_BYTES)),
    "chunks.max_monolithic_size": _Property(
        "1TiB", size_within(chunks.MIN_MONOLITHIC_BYTES, chunks.MAX_MONOLITHIC_BYTES)
    ),
    "chunks.chunk_size": _Property(
        "1GiB", size_within(chunks.MIN_CHUNK_BYTES, chunks.MAX_CHUNK_BYTES)
    ),
    "chunks.checkpoint_every": _Property(0, COUNT),
    "chunks.flags": _Property(0, COUNT),
    "rate_limit.backend.enabled": _Property(False, BOOL),
    "rate_limit.backend.interval": _Property("1m", DURATION),
    "rate_limit.backend.max_tokens": _Property(1000, COUNT),
    "rate_limit.backend.num_retries": _Property(3, COUNT),
    "rate_limit.backend.per_op_max_tokens": _Property("", VERB_COUNTS),
    "rate_limit.frontend.enabled": _fixed(False, "a limit by bucket " + _UNSERVED),
    "rate_limit.frontend.interval": _Property("1m", DURATION),
    "rate_limit.frontend.max_tokens": _Property(1000, COUNT),
    "rate_limit.frontend.burst_size": _Property(375, COUNT),
    "rate_limit.frontend.per_op_max_tokens": _Property("", TEXT),
    "write_policy.data": _fixed("immediate", "writes are on disk before they are acknowledged"),
    "write_policy.md": _fixed("immediate", "writes are on disk before they are acknowledged"),
    "extra.aws.cloud_region": _Property("", TEXT),
    "extra.aws.endpoint": _Property("", TEXT),
    "extra.aws.profile": _Property("", TEXT),
    "extra.aws.max_pagesize": _Property(0, COUNT),
    "extra.aws.multipart_size": _Property("0", SIZE),
    "extra.gcp.application_creds": _Property("", TEXT),
    "extra.oci.region": _Property("", TEXT),
    "extra.http.original_url": _Property("", TEXT),
    "extra.custom": _Property("", TEXT),
}
_OF_BACKENDS = ("extra.aws.", "extra.gcp.", "extra.oci.", "extra.http.")
_SERVERS = ("extra.aws.endpoint", "extra.http.original_url")
_SECTIONS = frozenset(name.partition(".")[0] for name in _PROPERTIES)
_BINDING = "backend_bck"
_EXCLUSIVE_FEATURES = 1 << 11 | 1 << 12
"""Never to read from the backend, and to stream what is read from there (AIStore: Disable-, Streaming-Cold-GET)."""


# --- showing ---------------------------------------------------------------------------------------------------------


def namespace_json(namespace: str) -> dict[str, str]:
    """A namespace as its two parts."""
    uuid, _, name = namespace.removeprefix("@").partition("#")
    return {"uuid": uuid, "name": name}


def bucket_json(ref: BucketRef) -> dict[str, Any]:
    """A bucket's identity."""
    return {
        "name": ref.name,
        "provider": ref.provider,
        "namespace": namespace_json(ref.namespace),
    }


def props_json(bucket: Bucket) -> dict[str, Any]:
    """All properties of a bucket."""
    native = bucket.props.native
    shown = default_sections()
    # Copies of what a backend has may go, unless it is said otherwise.
    _set(shown, _EVICTED, bucket.props.backend is not None)
    for name, text in native.sections.items():
        if name in _PROPERTIES:
            _set(shown, name, json.loads(text))
    shown |= {
        _BINDING: _binding_json(bucket),
        "provider": bucket.ref.provider,
        "access": str(native.access),
        "features": str(native.features),
        "bid": str(bucket.bucket_id),
        "created": str(bucket.created_ns),
        "Renamed": "",
        "weir": {
            "durability": bucket.props.durability,
            "shard_view": native.shard_view,
            "index_shards": native.index_shards,
            "s3_versioning": bucket.props.versioning.value,
            "account": "" if bucket.props.backend is None else bucket.props.backend.account,
        },
    }
    return shown


def _binding_json(bucket: Bucket) -> dict[str, Any]:
    """A bucket of a provider is bound to itself, and that goes without saying."""
    binding = bucket.props.backend
    if binding is None or binding.bucket == bucket.ref:
        return {"name": "", "provider": "", "namespace": namespace_json("")}
    return bucket_json(binding.bucket)


def default_sections() -> dict[str, Any]:
    """The sections that properties of buckets and the cluster's settings have in common, with their defaults."""
    sections: dict[str, Any] = {}
    for name, each in _PROPERTIES.items():
        _set(sections, name, each.default)
    return sections


def _set(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value


# --- changing --------------------------------------------------------------------------------------------------------


def changed(props: BucketProps, wanted: Any, ref: BucketRef | None = None) -> BucketProps:
    """The properties of the bucket `ref` with those sections changed that `wanted` names. Raises InvalidArgument."""
    if not isinstance(wanted, Mapping):
        raise InvalidArgument(name="value", value="", reason="properties are a JSON object")
    if wanted.get(_BINDING) is not None:
        bound = _bound(props, wanted[_BINDING], ref)
        # Copies are not encrypted here; what is at the provider, it encrypts.
        encryption = props.encryption if bound is None else None
        props = replace(props, backend=bound, encryption=encryption)
    for name, value in wanted.items():
        if name in _IGNORED or name == _BINDING or value is None:
            continue
        props = _changed_one(props, str(name), value)
    return props


def in_region(props: BucketProps, region: str) -> BucketProps:
    """The properties of a bucket that its provider has in a region, unless they say another. S3 clients see weir's own
    region, which they sign for."""
    binding, native = props.backend, props.native
    is_told = "extra.aws.cloud_region" in native.sections
    if binding is None or binding.bucket.provider != "aws" or is_told or not region:
        return props
    if len(region) > _MAX_REGION or not region.isprintable():
        return props
    sections = {**native.sections, "extra.aws.cloud_region": json.dumps(region)}
    return replace(props, native=replace(native, sections=sections))


def is_moved(old: BucketProps, new: BucketProps) -> bool:
    """Whether a bucket is at another server than it was, whose objects are others."""
    before, after = old.native.sections, new.native.sections
    return any(before.get(path, '""') != after.get(path, '""') for path in _SERVERS)


def uses_backends(wanted: Any) -> bool:
    """Whether a change of properties says where a bucket lives, or with whose credentials it is reached."""
    if not isinstance(wanted, Mapping):
        return False
    own = wanted.get("weir")
    return (
        wanted.get(_BINDING) is not None
        or (isinstance(own, Mapping) and "account" in own)
        or any(path.startswith(_OF_BACKENDS) for path, _ in _leaves("extra", wanted.get("extra")))
    )


def _bound(props: BucketProps, wanted: Any, ref: BucketRef | None) -> BackendBinding | None:
    """The binding that a client asks for: to a bucket that lives elsewhere, or with an empty name to none."""
    if not isinstance(wanted, Mapping):
        raise InvalidArgument(name=_BINDING, value="", reason=f"{_BINDING}: not a JSON object")
    name, provider = (TEXT(f"{_BINDING}.{each}", wanted.get(each) or "") for each in _NAMED)
    space = wanted.get("namespace") or {}
    if isinstance(space, Mapping):
        uuid, inner = (TEXT(f"{_BINDING}.namespace", space.get(each) or "") for each in _SPACES)
        space = f"@{uuid}#{inner}"
    if ref is not None and ref.is_remote:
        if not name:
            return props.backend
        reason = "a bucket that lives elsewhere is bound to itself"
        raise InvalidArgument(name=_BINDING, value=name, reason=reason)
    if not name:
        return None
    target = bucket_ref(name, provider, TEXT(f"{_BINDING}.namespace", space))
    check_new_bucket(target)
    if not target.is_remote:
        reason = "a bucket can be bound to one that lives elsewhere alone"
        raise InvalidArgument(name=_BINDING, value=name, reason=reason)
    if props.versioning is not Versioning.OFF or props.object_lock is not None:
        reason = "the bucket keeps versions, which one that lives elsewhere has none of here"
        raise InvalidArgument(name=_BINDING, value=name, reason=reason)
    if props.lifecycle is not None:
        reason = "the bucket has lifecycle rules, which would be about copies alone; remove them"
        raise InvalidArgument(name=_BINDING, value=name, reason=reason)
    if props.backend is not None and props.backend.bucket == target:
        return props.backend
    return BackendBinding(target)


def _changed_one(props: BucketProps, name: str, value: Any) -> BucketProps:
    native = props.native
    match name:
        case "access":
            access = read_number(name, value, ALL_ACCESS)
            return replace(props, native=replace(native, access=access))
        case "features":
            features = read_number(name, value, _MAX_FEATURES)
            if features & _EXCLUSIVE_FEATURES == _EXCLUSIVE_FEATURES:
                reason = (
                    "features 11 (never a cold GET) and 12 (streaming cold GET) exclude each other"
                )
                raise InvalidArgument(name=name, value=str(features), reason=reason)
            return replace(props, native=replace(native, features=features))
        case "weir":
            return _changed_own(props, value)
    if name not in _SECTIONS:
        raise InvalidArgument(name=name, value="", reason=f"no such property: {name}")
    sections = dict(native.sections)
    for path, leaf in _leaves(name, value):
        known = _PROPERTIES.get(path)
        if known is None:
            raise InvalidArgument(name=path, value="", reason=f"no such property: {path}")
        read = known.kind(path, leaf)
        if path == _EVICTED and read and props.backend is None:
            reason = f"{path} cannot be 'True': this is the only place of the bucket's objects"
            raise InvalidArgument(name=path, value="True", reason=reason)
        sections[path] = json.dumps(read)
    return replace(props, native=replace(native, sections=sections))


def _changed_own(props: BucketProps, value: Any) -> BucketProps:
    if not isinstance(value, Mapping):
        raise InvalidArgument(name="weir", value="", reason="weir: not a JSON object")
    for name, each in value.items():
        path = f"weir.{name}"
        match name:
            case "durability":
                props = replace(props, durability=_DURABILITY(path, each))
            case "shard_view":
                native = replace(props.native, shard_view=BOOL(path, each))
                props = replace(props, native=native)
            case "index_shards":
                native = replace(props.native, index_shards=BOOL(path, each))
                props = replace(props, native=native)
            case "account":
                account = TEXT(path, each)
                if props.backend is not None:
                    props = replace(props, backend=replace(props.backend, account=account))
                elif account:
                    reason = "the bucket is bound to none that an account could reach"
                    raise InvalidArgument(name=path, value=account, reason=reason)
            case _:
                raise InvalidArgument(name=path, value="", reason=f"no such property: {path}")
    return props


def reset(props: BucketProps) -> BucketProps:
    """The properties with all that native clients may change as it is in a new bucket; but it stays where it lives."""
    kept = {
        path: text for path, text in props.native.sections.items() if path.startswith(_OF_BACKENDS)
    }
    return replace(props, durability="durable", native=NativeProps(sections=kept))


def _leaves(name: str, value: Any, depth: int = 0) -> list[tuple[str, Any]]:
    """The dotted names under a section and their values."""
    if not isinstance(value, Mapping) or depth > 3:
        return [(name, value)]
    return [
        leaf
        for each, inner in value.items()
        for leaf in _leaves(f"{name}.{each}", inner, depth + 1)
    ]
