"""Owns the way of an object to its backend: the conditions that it is written under, and how its bytes go there, whole
or, where a provider takes no body of that size, in parts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from backends.cache.bodies import PassingBody, StoredBody
from core.backends import Backend, BackendFeatures, remote_name
from core.conditions import check_write
from core.errors import (
    BackendBroken,
    EntityTooLarge,
    InvalidArgument,
    NoSuchKey,
    StoreError,
    Unsupported,
)
from core.names import ObjectKey
from core.protocols import BodyStream, ObjectReader
from core.types import (
    NO_CONDITIONS,
    Bucket,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
)


@dataclass(frozen=True, slots=True)
class Target:
    """An object where it lives."""

    backend: Backend
    bucket: Bucket
    key: ObjectKey

    @property
    def name(self) -> str:
        """Of its bucket there."""
        return remote_name(self.bucket)

    @property
    def features(self) -> BackendFeatures:
        return self.backend.features

    async def head(self) -> ObjectInfo | None:
        """What is there now; None if nothing is."""
        try:
            return await self.backend.head(self.name, self.key)
        except NoSuchKey:
            return None


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still hold when the backend takes a write, if it can see to that."""

    if_match: str = ""
    if_absent: bool = False

    def __bool__(self) -> bool:
        return self.if_absent or bool(self.if_match)


def has_terms(conditions: Conditions) -> bool:
    """Whether a write is bound to anything. That it is to meet the latest object goes without saying."""
    return conditions is not NO_CONDITIONS and replace(conditions, latest=False) != NO_CONDITIONS


async def guard_of(target: Target, conditions: Conditions) -> Guard:
    """Decide a write's conditions by what the backend has, under the writers' lock: no writer of this node comes in
    between, and no other where the backend decides the guard itself. Raises as core.conditions.check_write."""
    if not has_terms(conditions):
        return Guard()
    current = await target.head()
    check_write(current, target.key, conditions)
    if current is None:
        return Guard(if_absent=True)
    return Guard(if_match=current.remote.etag if current.remote else "")


async def send(
    target: Target,
    body: BodyStream,
    attributes: ObjectAttributes,
    guard: Guard,
    open_run: Callable[[int, int], Awaitable[ObjectReader]] | None = None,
) -> ObjectInfo:
    """Write an object. `open_run` (first, length) reads a run of the body, for providers that take it in parts only.

    Raises as Backend.put."""
    size_bytes = body.size_bytes or 0
    if size_bytes > target.features.max_put_bytes:
        if open_run is None or not target.features.has_multipart:
            raise EntityTooLarge(size_bytes=size_bytes, max_bytes=target.features.max_put_bytes)
        info = await _send_parts(target, size_bytes, attributes, open_run)
    else:
        info = await _put(target, body, attributes, guard)
    if info.size_bytes != size_bytes:
        raise broken(target, f"took {info.size_bytes} bytes where {size_bytes} were sent")
    return info


async def _put(
    target: Target, body: BodyStream, attributes: ObjectAttributes, guard: Guard
) -> ObjectInfo:
    put, name, key = target.backend.put, target.name, target.key
    if not guard:
        return await put(name, key, body, attributes)
    try:
        return await put(
            name, key, body, attributes, if_match=guard.if_match, if_absent=guard.if_absent
        )
    except Unsupported:
        if isinstance(body, PassingBody) and body.has_begun:
            raise
        return await put(name, key, body, attributes)


async def _send_parts(
    target: Target,
    size_bytes: int,
    attributes: ObjectAttributes,
    open_run: Callable[[int, int], Awaitable[ObjectReader]],
) -> ObjectInfo:
    backend, name, key = target.backend, target.name, target.key
    features = backend.features
    part_bytes = min(
        features.max_part_bytes,
        max(features.min_part_bytes, 64 * 1024**2, -(-size_bytes // features.max_parts)),
    )
    if size_bytes > part_bytes * features.max_parts:
        most = features.max_part_bytes * features.max_parts
        raise EntityTooLarge(size_bytes=size_bytes, max_bytes=most)
    upload_id = await backend.create_upload(name, key, attributes)
    try:
        parts = []
        for number, first in enumerate(range(0, size_bytes, part_bytes), 1):
            length = min(part_bytes, size_bytes - first)
            run = StoredBody(length, [_run(open_run, first, length)])
            parts.append(await backend.upload_part(name, key, upload_id, number, run))
        return await backend.complete_upload(name, key, upload_id, parts)
    except BaseException:
        await backend.abort_upload(name, key, upload_id)
        raise


def _run(
    open_run: Callable[[int, int], Awaitable[ObjectReader]], first: int, length: int
) -> Callable[[], Awaitable[ObjectReader]]:
    return lambda: open_run(first, length)


def check_digest(target: Target, info: ObjectInfo, md5: bytes) -> None:
    """What the backend says that it took must be what was sent. Raises BackendBroken."""
    said = info.remote.md5 if info.remote else b""
    if said and md5 and said != md5:
        raise broken(target, f"took bytes of MD5 {said.hex()} where {md5.hex()} was sent")


def broken(target: Target, reason: str) -> BackendBroken:
    """The error for a backend that took something else than it was sent."""
    provider = target.bucket.props.backend
    return BackendBroken(
        provider="" if provider is None else provider.bucket.provider,
        bucket=target.name,
        key=target.key,
        reason=reason,
        retry_after_s=1,
    )


async def confirmed(target: Target, answer: ObjectInfo) -> ObjectInfo | None:
    """The object that was just put, as reads will show it: an answer to a put tells neither the time that the provider
    dates it by, nor what it made of its headers. None if it is another by now. Where the backend doesn't say, the
    answer counts."""
    try:
        now = await target.head()
    except StoreError:
        return answer
    if now is None or now.remote is None or answer.remote is None:
        return None
    return now if now.remote.etag == answer.remote.etag else None


def check_attributes(attributes: ObjectAttributes) -> None:
    """Raises Unsupported for what a copy can't have without its object having it."""
    if attributes.retention is not None or attributes.legal_hold is not None:
        reason = "Objects of a bucket that lives elsewhere can be locked by its provider only"
        raise Unsupported(what="object lock", reason=reason)


def check_version(version_id: str | None) -> str:
    """The provider's id of a version that a caller names, "" for the current object. Raises InvalidArgument."""
    if version_id is None or version_id == "null":
        return ""
    if not version_id or len(version_id) > _MAX_VERSION_CHARS or not version_id.isprintable():
        reason = "Invalid version id specified"
        raise InvalidArgument(name="versionId", value=version_id[:100], reason=reason)
    return version_id


_MAX_VERSION_CHARS = 1024
