"""Owns which objects a job on many of them works on, in pieces that it can go on after.

Objects are named one by one, by a template, or are all of a bucket. Of a template of few names each is tried;
one of many is compared with what the bucket lists, so that 10^18 names cost no more than the bucket has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import InvalidArgument
from core.listing import ListQuery
from core.names import ObjectKey
from core.protocols import ObjectStore
from core.templates import Template, parse_template
from core.types import Bucket, ObjectInfo

MAX_NAMES = 100_000
"""How many objects may be named one by one, and up to how many names of a template are tried."""

_PIECE = 100
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """`names` None: those that `template` says, "" for all. In any case only names that start with `prefix`.

    `was_range`: the names are what a template or prefix came to, so that they may be gone again. `is_flat`: of those
    under a prefix only what has no further slash.
    """

    names: Sequence[ObjectKey] | None = None
    template: str = ""
    prefix: str = ""
    was_range: bool = False
    is_flat: bool = False

    def fields(self) -> Mapping[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Selection:
        """The inverse of `fields`."""
        return cls(**fields)

    def __str__(self) -> str:
        what = f"template {self.template!r}" if self.template else "all objects"
        if self.names is not None:
            what = f"{len(self.names)} named objects"
        return what + (f" under {self.prefix!r}" if self.prefix else "")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the selected keys, and the cursor behind them. `found` has what is known of those that were listed.

    `must_exist`: each was asked for by name, so its absence is an error.
    """

    keys: Sequence[ObjectKey]
    cursor: str
    must_exist: bool = False
    found: Mapping[ObjectKey, ObjectInfo] | None = None


async def pieces(
    store: ObjectStore, bucket: Bucket, selection: Selection, cursor: str = ""
) -> AsyncIterator[Piece]:
    """All that is selected, from the cursor of a piece on. Raises InvalidArgument, and what listing raises."""
    if selection.names is not None:
        wanted = [name for name in selection.names if name.startswith(selection.prefix)]
        for first in range(_index(cursor), len(wanted), _PIECE):
            keys = wanted[first : first + _PIECE]
            yield Piece(keys, str(first + len(keys)), must_exist=not selection.was_range)
        return
    template = parse_template(selection.template)
    if not template.is_prefix and template.count <= MAX_NAMES:
        for first in range(_index(cursor), template.count, _PIECE):
            end = min(first + _PIECE, template.count)
            names = (ObjectKey(template.name(index)) for index in range(first, end))
            yield Piece([name for name in names if name.startswith(selection.prefix)], str(end))
        return
    async for piece in _listed(store, bucket, template, selection, cursor):
        yield piece


async def _listed(
    store: ObjectStore, bucket: Bucket, template: Template, selection: Selection, cursor: str
) -> AsyncIterator[Piece]:
    prefix = selection.prefix
    delimiter = "/" if selection.is_flat and template.is_prefix else ""
    shorter, longer = sorted((template.prefix, prefix), key=len)
    if not longer.startswith(shorter):
        return
    after = cursor
    while True:
        page = await store.list_objects(bucket, ListQuery(longer, delimiter, after, _PAGE))
        found = {
            info.key: info
            for info in page.entries
            if info.key.startswith(prefix) and template.matches(info.key)
        }
        keys = list(found)
        for first in range(0, len(keys), _PIECE):
            some = keys[first : first + _PIECE]
            yield Piece(some, some[-1], found=found)
        if not page.is_truncated:
            return
        after = page.next_after
        yield Piece((), after)


def _index(cursor: str) -> int:
    if not cursor:
        return 0
    if not cursor.isdigit():
        raise InvalidArgument(name="cursor", value=cursor[:64], reason="it is no number")
    return int(cursor)
