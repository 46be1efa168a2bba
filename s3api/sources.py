"""Owns which version a copy is of, and that it is one the caller may read: the source may be replaced between the
decision and the reading of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from core.errors import PreconditionFailed, VersionIsDeleteMarker, WriteConflict
from core.types import Conditions
from s3api.call import Call, CopySource
from s3api.headers import source_conditions, write_conditions
from s3api.protocol_errors import InvalidRequest
from s3api.response_headers import HeaderList

T = TypeVar("T")

_ATTEMPTS = 4


async def from_source(
    call: Call, attempt: Callable[[CopySource, Conditions], Awaitable[T]]
) -> tuple[CopySource, T]:
    """What was copied, and what the attempt made of it.

    It is tried on the condition that the source is what the caller was found to be allowed to read. If it is no longer,
    the caller is authorized anew, and the copy tried again. Raises as the attempt; InvalidRequest for a delete marker,
    WriteConflict after several attempts.
    """
    headers = call.request.headers
    attempts = 0
    while True:
        attempts += 1
        source = await _pinned(call)
        conditions = source.pinned(source_conditions(headers))
        try:
            return source, await attempt(source, conditions)
        except PreconditionFailed as error:
            # The caller's own conditions were looked at above; those on the target are told apart by its headers.
            is_ours = source.info is not None and error.condition == "If-Match"
            if not is_ours or write_conditions(headers).if_match:
                raise
            if attempts == _ATTEMPTS:
                raise WriteConflict(key=source.key) from None
        except VersionIsDeleteMarker:
            # The null version has made way for a null marker: what is there now is for the next look to say.
            if attempts == _ATTEMPTS:
                raise WriteConflict(key=source.key) from None
        assert call.resolve_source is not None
        call.source = await call.resolve_source(call)


async def _pinned(call: Call) -> CopySource:
    """The source by the id of its present version, where its bucket has versions: it is that which is told of."""
    source = call.source
    assert source is not None
    if not source.bucket.props.versioning:
        return source
    info = source.info
    if info is None:
        try:
            info = await call.store.head(source.bucket, source.key, version_id=source.version_id)
        except VersionIsDeleteMarker:
            raise marker_refusal() from None
    return replace(source, version_id=info.version_id)


def marker_refusal() -> InvalidRequest:
    """The refusal to copy a delete marker."""
    return InvalidRequest(
        reason="The source of a copy request may not specifically refer to a delete marker by "
        "version id."
    )


def source_headers(source: CopySource) -> HeaderList:
    """Which version was copied, where there are several or the caller named it."""
    if source.version_id is None:
        return []
    return [(b"x-amz-copy-source-version-id", source.version_id.encode())]
