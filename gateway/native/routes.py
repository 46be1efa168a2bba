"""Owns the table of the native API: which operation a request asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.errors import StoreError
from gateway.native.call import Handler, Row
from gateway.native.request import NativeRequest

_ANY = -1


class NoSuchRoute(StoreError):
    """No operation has this path. Fields: path."""


class MethodNotAllowed(StoreError):
    """The path has operations, but none for the method. Fields: method, allowed (methods)."""


class NoSuchAction(StoreError):
    """The path and method know no such action. Fields: action."""


class NoSuchQuery(StoreError):
    """The path has no answer to such a question. Fields: what."""


class NativeRouter:
    """Finds operations by dictionary look-ups; reads the message only where an action decides."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[tuple[str, str, int], dict[str | None, Handler]] = {}
        self._queries: dict[tuple[str, str, int], dict[str, Handler]] = {}
        for row in rows:
            if row.what is not None:
                by_what = self._queries.setdefault((row.method, row.resource, row.names), {})
                if by_what.setdefault(row.what, row.handler) is not row.handler:
                    raise ValueError(f"two rows for {row}")
                continue
            by_action = self._rows.setdefault((row.method, row.resource, row.names), {})
            if row.action in by_action:
                raise ValueError(f"two rows for {row}")
            by_action[row.action] = row.handler

    async def match(self, request: NativeRequest) -> Handler:
        """Raises NoSuchRoute, MethodNotAllowed, NoSuchAction, NoSuchQuery, and what reading a message raises."""
        by_what = self._queries.get((request.method, request.resource, len(request.names)))
        if by_what is not None:
            what = request.query.get("what", "")
            if what not in by_what:
                raise NoSuchQuery(what=what)
            return by_what[what]
        by_action = self._find(request)
        if len(by_action) == 1 and None in by_action:
            return by_action[None]
        message = await request.message()
        handler = by_action.get(message.action, by_action.get(None))
        if handler is None:
            raise NoSuchAction(action=message.action)
        return handler

    def _find(self, request: NativeRequest) -> dict[str | None, Handler]:
        count = len(request.names)
        for names in (count, _ANY):
            found = self._rows.get((request.method, request.resource, names))
            if found is not None:
                return found
        allowed = self._methods(request.resource, count)
        if not allowed:
            raise NoSuchRoute(path=request.s3.raw_path.decode("latin-1"))
        raise MethodNotAllowed(method=request.method, allowed=allowed)

    def _methods(self, resource: str, count: int) -> Sequence[str]:
        return sorted(
            {
                method
                for method, known, names in (*self._rows, *self._queries)
                if known == resource and names in (count, _ANY)
            }
        )


def all_rows() -> Sequence[Row]:
    """The rows of every operation there is."""
    from gateway.native.operations import (
        batch,
        blobs,
        bucket_jobs,
        buckets,
        chunk_jobs,
        cluster,
        downloads,
        eviction,
        inventories,
        jobs,
        listing,
        metrics,
        nodes,
        object_groups,
        object_writes,
        objects,
        prefetching,
        promotion,
        providers,
        shard_jobs,
        summaries,
        tokens,
    )

    modules = (
        batch,
        blobs,
        bucket_jobs,
        buckets,
        chunk_jobs,
        cluster,
        downloads,
        eviction,
        inventories,
        jobs,
        listing,
        metrics,
        nodes,
        object_groups,
        object_writes,
        objects,
        prefetching,
        promotion,
        providers,
        shard_jobs,
        summaries,
        tokens,
    )
    return [row for module in modules for row in module.ROWS]
