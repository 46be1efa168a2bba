"""Owns the binding of a bucket to one at a provider."""

from __future__ import annotations

from dataclasses import dataclass

from core.names import BucketRef


@dataclass(frozen=True, slots=True)
class BackendBinding:
    """The bucket that a bucket is a cached view of.

    `bucket`: its identity at the provider. A bucket of a remote provider is bound to itself; one of our own may be
    bound to any, and bound anew. `account`: which account's endpoint and credentials are used (core.accounts), "" for
    the provider's default.
    """

    bucket: BucketRef
    account: str = ""
