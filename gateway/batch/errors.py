"""Owns the errors that a batch as a whole ends with."""

from __future__ import annotations

from core.errors import StoreError


class TooManySoftErrors(StoreError):
    """More items failed than a batch may go on with. Fields: max_errors, error (the last item's)."""


class ClientLeft(StoreError):
    """The client closed its side of the connection before its archive was complete: it is taken to have gone."""


class BatchStopped(StoreError):
    """Somebody stopped the job that batches belong to."""
