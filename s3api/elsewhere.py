"""Owns what S3 clients can't do to a bucket that lives elsewhere: weir keeps copies of its objects, and what only the
store that has the objects could keep its word on is refused, never taken and forgotten.

Access to it (policy, ACLs, ownership), CORS, website, tags and the log of requests are weir's own, as of any bucket.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Unsupported
from core.types import Bucket

_VERSIONS = "its versions are kept where it lives, and here there is the current one alone"
_RULES = "its objects come and go where it lives, by the rules set there"

REFUSED: Mapping[str, str] = {
    "PutBucketVersioning": _VERSIONS,
    "PutObjectLockConfiguration": _VERSIONS,
    "PutObjectRetention": _VERSIONS,
    "PutObjectLegalHold": _VERSIONS,
    "PutBucketLifecycleConfiguration": _RULES,
    "PutBucketEncryption": "its objects are encrypted where it lives, as is set there",
}
"""Operations and why they are refused."""


def check_served(operation: str, bucket: Bucket) -> None:
    """Raises Unsupported."""
    if operation == "DeleteBucket" and bucket.ref.is_remote:
        reason = "it is not deleted there from here; to forget it and its copies, evict it by the native API"
    elif operation in REFUSED:
        reason = REFUSED[operation]
    else:
        return
    raise Unsupported(what=operation, reason=f"the bucket lives elsewhere: {reason}")
