"""Owns the order of the wrappers, from the outside in:

    retry      tries again what the layers below say has failed for the moment
    rate       each try waits for its turn (only in buckets with a limit)
    metering   each try is counted, and how long the provider took, without the waits above
    timeouts   a try that takes too long ends, so that it is counted and tried again
    faults     on demand, as if by the provider, so that all the above meets them
    adapter

What is below `rate` is one an account; `rate` is a bucket's, and so is the number of tries where it has a limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from backends.wrappers.counters import Counters
from backends.wrappers.faults import Faults, Faulty, FileFaults
from backends.wrappers.metering import Metered
from backends.wrappers.paces import Paces
from backends.wrappers.rate import Rated, rate_limit
from backends.wrappers.retry import Retrying, RetryPolicy, with_tries
from backends.wrappers.timeouts import Timed, timeouts_of
from core.accounts import Account
from core.backends import Backend
from core.types import Bucket


@dataclass(frozen=True, slots=True)
class Shared:
    """What the wrappers of all accounts have in common; by default of this process alone."""

    counters: Counters = field(default_factory=Counters)
    paces: Paces = field(default_factory=Paces)
    policy: RetryPolicy = field(default_factory=RetryPolicy)

    async def close(self) -> None:
        """Keep what was counted."""
        await self.counters.close()
        self.paces.close()


def open_shared_sync(directory: Path) -> Shared:
    """What all processes of a node share, in a directory of theirs."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Shared(Counters(directory / "counters.json"), Paces(directory / "paces"))


def wrap(
    adapter: Backend, account: Account, shared: Shared, faults: Faults | None = None
) -> Retrying:
    """An account's backend as the rest of the code sees it."""
    backend = adapter
    if faults is None and account.settings.get("faults_file"):
        faults = FileFaults(Path(account.settings["faults_file"]))
    if faults is not None:
        backend = Faulty(backend, faults)
    backend = Timed(backend, account.provider, timeouts_of(account))
    backend = Metered(backend, account.provider, account.name, shared.counters)
    return Retrying(backend, shared.policy)


def limited(backend: Retrying, bucket: Bucket, shared: Shared) -> Backend:
    """The same with the limits of a bucket, if it has any."""
    limit = rate_limit(bucket.props.native)
    if limit is None:
        return backend
    rated = Rated(backend.inner, bucket, limit, shared.paces)
    return Retrying(rated, with_tries(backend.policy, limit.retries + 1))
