"""Owns the errors that only native requests meet."""

from __future__ import annotations

from core.errors import Conflict, NotFound, StoreError


class NoSuchTransform(NotFound):
    """The request names a transformation (ETL) that does not exist here. Fields: name."""


class NotServed(StoreError):
    """What is asked for is a part of the native API that this server does not have. Fields: reason."""


class ObjectExists(Conflict):
    """An object is there and may not be replaced. Fields: key."""


class SourceChanged(Conflict):
    """An object was written to while it was renamed; both names have one now. Fields: key."""


class CopyOutdated(Conflict):
    """The latest of an object was asked for, and the copy that is here is another. Fields: key."""


class GoneFromBackend(NotFound):
    """The latest of an object was asked for, which is here, but not at its backend any more. Fields: key."""


class BackendUnreached(StoreError):
    """A bucket cannot be added or bound, because its provider did not answer. Fields: ref, error."""


class NoSuchNode(NotFound):
    """Fields: node_id."""


class NoSuchKind(NotFound):
    """No kind of job has this name. Fields: kind."""
