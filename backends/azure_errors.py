"""Owns what Azure's errors are in ours: by the status and the service's own code (`x-ms-error-code`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
)

from backends.numbers import decimal
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    EntityTooLarge,
    InvalidRange,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
    StoreError,
    Unsupported,
)

_PROVIDER = "azure"
_NO_BUCKET = frozenset(
    # A name that no container can have is not there either; what anonymous callers may not see is said to be absent.
    {
        "ContainerNotFound",
        "ContainerBeingDeleted",
        "ResourceNotFound",
        "InvalidResourceName",
        "InvalidUri",
    }
)
_DENIED = frozenset(
    {
        "AccountIsDisabled",
        "PublicAccessNotPermitted",
        "LeaseIdMissing",
        "LeaseIdMismatchWithBlobOperation",
    }
    | {"BlobImmutableDueToPolicy", "LeaseLost", "InvalidAuthenticationInfo"}
)
_CANNOT = {
    "InvalidBlobType": "it is an append or page blob there",
    "BlobArchived": "it is archived, and must be brought back there before it can be read",
    "BlobBeingRehydrated": "it is being brought back from the archive",
    "InvalidMetadata": "the service takes no such metadata",
    "MetadataTooLarge": "there is more metadata than the service takes",
    "FeatureNotSupported": "this account cannot do it",
    "UnsupportedHeader": "this account cannot do it",
}
_TAKEN = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"})


def error_of(
    status: int, headers: Mapping[str, str], bucket: str, key: str = "", code: str = ""
) -> StoreError:
    """The error that an answer is."""
    code = headers.get("x-ms-error-code") or code
    said = f"{status} {code}".strip()
    if code in _CANNOT:
        return Unsupported(what=key or bucket, reason=_CANNOT[code])
    if code in _TAKEN:
        condition = "If-None-Match" if code == "BlobAlreadyExists" else "If-Match"
        return PreconditionFailed(condition=condition)
    if status in (401, 403) or code in _DENIED:
        return BackendDenied(provider=_PROVIDER, bucket=bucket, reason=said)
    if status == 404 or code in _NO_BUCKET:
        # Without a code, as of a HEAD that something between has answered, it is the nearest thing that is missing.
        if code in _NO_BUCKET or not key:
            return NoSuchBucket(bucket=bucket)
        return NoSuchKey(key=key)
    if status == 412:
        return PreconditionFailed(condition="If-Match")
    if status == 413:
        return EntityTooLarge(size_bytes=0, max_bytes=0)
    if status == 416:
        return InvalidRange(requested=None, size_bytes=_size_of(headers))
    if status in (429, 503):
        return BackendBusy(
            provider=_PROVIDER, bucket=bucket, reason=said, retry_after_s=_pause_s(headers)
        )
    return BackendDown(provider=_PROVIDER, bucket=bucket, reason=said, retry_after_s=1)


@asynccontextmanager
async def translated(bucket: str, key: str = "") -> AsyncIterator[None]:
    """What the SDK raises within comes out as one of ours."""
    try:
        yield
    except HttpResponseError as error:
        if isinstance(error, ClientAuthenticationError) and error.response is None:
            # Of azure-identity: it found no credentials, or the authority refused them.
            raise _denied(bucket, "no good credentials") from None
        raise _of_response(error, bucket, key) from None
    except AzureError as error:
        if isinstance(error, IncompleteReadError):
            raise broken(bucket, key, "fewer bytes than were promised") from None
        raise down(bucket, type(error).__name__) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise down(bucket, type(error).__name__) from None


def down(bucket: str, reason: str) -> BackendDown:
    return BackendDown(provider=_PROVIDER, bucket=bucket, reason=reason, retry_after_s=1)


def broken(bucket: str, key: str, reason: str) -> BackendBroken:
    return BackendBroken(provider=_PROVIDER, bucket=bucket, key=key, reason=reason, retry_after_s=1)


def _denied(bucket: str, reason: str) -> BackendDenied:
    return BackendDenied(provider=_PROVIDER, bucket=bucket, reason=reason)


def _of_response(error: HttpResponseError, bucket: str, key: str) -> StoreError:
    if error.response is None:
        return down(bucket, type(error).__name__)
    code = getattr(error, "error_code", None)
    status = error.status_code or 0
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    return error_of(status, headers, bucket, key, str(getattr(code, "value", "") or ""))


def _size_of(headers: Mapping[str, str]) -> int:
    _, _, size = headers.get("content-range", "").rpartition("/")
    return decimal(size) or 0


def _pause_s(headers: Mapping[str, str]) -> int:
    pause_s = decimal(headers.get("retry-after", ""))
    return 1 if pause_s is None else min(pause_s, 60)
