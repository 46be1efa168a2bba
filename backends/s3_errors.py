"""Owns the translation of what botocore raises, and of the errors that S3 servers answer with, into core's errors.

Decided by the answer's code and status, never by its message. What came from outside is put into errors only after it
was cut to harmless characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore import exceptions as boto

from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    EntityTooLarge,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    InvalidRange,
    KeyTooLong,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PartTooSmall,
    PreconditionFailed,
    StoreError,
    Unsupported,
    WriteConflict,
)
from core.names import MAX_KEY_BYTES
from core.types import MAX_PUT_BYTES, MIN_PART_BYTES

MAX_RETRY_AFTER_S = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked when something went wrong."""

    provider: str
    operation: str
    bucket: str
    key: str
    parameters: Mapping[str, Any]

    @property
    def upload_id(self) -> str:
        return str(self.parameters.get("UploadId", ""))


_BUSY = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "BandwidthLimitExceeded",
        "rateLimitExceeded",
        "userRateLimitExceeded",
    }
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidSecurity",
        "InvalidToken",
        "NotSignedUp",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        # A bucket of another region that was not found there either.
        "PermanentRedirect",
        "TemporaryRedirect",
        "IllegalLocationConstraintException",
    }
)
_BROKEN = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest"})
_DOWN = frozenset({"IncompleteBody", "RequestTimeout", "InternalError"})

_NAMED: Mapping[str, Callable[[Asked], StoreError]] = {
    "NoSuchBucket": lambda asked: NoSuchBucket(bucket=asked.bucket),
    "NoSuchKey": lambda asked: NoSuchKey(key=asked.key),
    "NoSuchUpload": lambda asked: NoSuchUpload(upload_id=asked.upload_id),
    "InvalidPart": lambda asked: InvalidPart(part_number=0, upload_id=asked.upload_id, etag=""),
    "InvalidPartOrder": lambda asked: InvalidPartOrder(upload_id=asked.upload_id),
    "EntityTooSmall": lambda _: PartTooSmall(
        part_number=0, size_bytes=0, min_bytes=MIN_PART_BYTES, etag=""
    ),
    "EntityTooLarge": lambda _: EntityTooLarge(size_bytes=0, max_bytes=MAX_PUT_BYTES),
    "KeyTooLongError": lambda asked: KeyTooLong(
        size_bytes=len(asked.key.encode()), max_bytes=MAX_KEY_BYTES
    ),
    "PreconditionFailed": lambda asked: PreconditionFailed(condition=_condition(asked)),
    "ConditionalRequestConflict": lambda asked: WriteConflict(key=asked.key),
    "OperationAborted": lambda asked: WriteConflict(key=asked.key),
}


def translated(error: Exception, asked: Asked) -> StoreError:
    """What an exception of a call is to the rest of weir."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, boto.ClientError):
        return _of_answer(error.response, asked)
    where = {"provider": asked.provider, "bucket": asked.bucket}
    if isinstance(error, _NO_CREDENTIALS):
        return BackendDenied(**where, reason=type(error).__name__)
    if isinstance(error, boto.ParamValidationError):
        return InvalidArgument(
            name=asked.operation, value=asked.key, reason="The backend cannot be asked for this"
        )
    if type(error) is boto.HTTPClientError:
        # What answered does not speak HTTP, or not to the end.
        return BackendBroken(**where, key=asked.key, reason="no HTTP", retry_after_s=1)
    # Not reached, not in time, not by HTTP, not in XML: their messages have URLs in them, so they are not told.
    return BackendDown(**where, reason=type(error).__name__, retry_after_s=1)


_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.UnauthorizedSSOTokenError,
    boto.SSOTokenLoadError,
    boto.ProfileNotFound,
    boto.NoAuthTokenError,
    boto.ConfigNotFound,
    boto.ConfigParseError,
)


def _of_answer(response: Mapping[str, Any], asked: Asked) -> StoreError:
    """An error that the server answered with."""
    about = response.get("ResponseMetadata", {})
    status = int(about.get("HTTPStatusCode", 0))
    headers = about.get("HTTPHeaders", {})
    code = harmless(str(response.get("Error", {}).get("Code", "")))
    where = {"provider": asked.provider, "bucket": asked.bucket}
    if status in (429, 503) or code in _BUSY:
        return BackendBusy(**where, reason=code, retry_after_s=retry_after_s(headers))
    if code in _BROKEN:
        return BackendBroken(**where, key=asked.key, reason=code, retry_after_s=1)
    if (status >= 500 and status != 501) or code in _DOWN:
        return BackendDown(**where, reason=code, retry_after_s=retry_after_s(headers))
    if code in _DENIED or status in (401, 403):
        return BackendDenied(**where, reason=code or str(status))
    if code == "NoSuchVersion":
        return _no_such_version(asked)
    if code == "NotImplemented":
        return _unsupported(asked)
    if code in _NAMED:
        return _NAMED[code](asked)
    return _by_status(status, code, response, asked)


def _by_status(status: int, code: str, response: Mapping[str, Any], asked: Asked) -> StoreError:
    """Answers to HEAD have no body and so no code."""
    match status:
        case 404:
            if asked.operation in ("HeadBucket", "ListObjects", "ListObjectsV2") or not asked.key:
                return NoSuchBucket(bucket=asked.bucket)
            if asked.parameters.get("VersionId"):
                return _no_such_version(asked)
            return NoSuchKey(key=asked.key)
        case 405 if asked.parameters.get("VersionId"):
            return _no_such_version(asked)
        case 412:
            return PreconditionFailed(condition=_condition(asked))
        case 416:
            return InvalidRange(requested=None, size_bytes=_size_of_416(response))
        case 405 | 501:
            return _unsupported(asked)
        case _ if status < 400 or (status == 400 and asked.operation.startswith("Head")):
            # Redirected in vain; or a token that has expired, of which HEAD can say no more.
            return BackendDenied(
                provider=asked.provider, bucket=asked.bucket, reason=f"{status} {code}"
            )
    if asked.parameters.get("VersionId") and code == "InvalidArgument":
        return _no_such_version(asked)
    return InvalidArgument(
        name=asked.operation,
        value=asked.key,
        reason=f"The backend refuses the request with {code or status}",
    )


def _no_such_version(asked: Asked) -> StoreError:
    version_id = str(asked.parameters.get("VersionId", ""))
    return NoSuchVersion(key=asked.key, version_id=version_id)


def _unsupported(asked: Asked) -> StoreError:
    reason = f"The backend does not have {asked.operation}"
    return Unsupported(what=asked.operation, reason=reason)


def _condition(asked: Asked) -> str:
    return "If-None-Match" if asked.parameters.get("IfNoneMatch") else "If-Match"


def _size_of_416(response: Mapping[str, Any]) -> int | None:
    """How large the object is of which no byte was in the range; None if the answer doesn't tell."""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    match = re.fullmatch(r"bytes \*/(\d{1,19})", headers.get("content-range", ""))
    said = match[1] if match else str(response.get("Error", {}).get("ActualObjectSize", ""))
    return int(said) if re.fullmatch(r"\d{1,19}", said) else None


def retry_after_s(headers: Mapping[str, str]) -> int:
    """How long the server asks to wait, within reason."""
    said = headers.get("retry-after", "")
    return min(max(int(said), 1), MAX_RETRY_AFTER_S) if re.fullmatch(r"\d{1,9}", said) else 1


def harmless(code: str) -> str:
    """An error's code, if it looks like one."""
    return code if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", code) else ""
