"""Owns how an object of a bucket that lives elsewhere is asked for: which of it, on what conditions, and whether that
makes for a fetch of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from backends.cache.views import Wanted
from core.encryption import CustomerKey
from core.errors import CustomerKeyNotApplicable, NoSuchKey
from core.ranges import resolve_range
from core.types import (
    NO_CONDITIONS,
    BoundedRange,
    ByteRange,
    Conditions,
    ObjectInfo,
    OffsetRange,
    PartRange,
)

_FETCHED_FROM_BYTES = 1024**2
"""A range from the beginning on fetches the whole if it is as long as this: downloads in parts begin so, and looks at a
header don't."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How an object is to be read."""

    byte_range: ByteRange | None
    conditions: Conditions
    customer_key: CustomerKey | None

    @property
    def is_conditional(self) -> bool:
        """Whether it must be known what the object is before it is read."""
        plain = self.conditions in (NO_CONDITIONS, _LATEST)
        return not plain or isinstance(self.byte_range, PartRange)


_LATEST = Conditions(latest=True)


def check_served_cold(wanted: Wanted, asked: Asked) -> None:
    """Raises CustomerKeyNotApplicable: customers' keys are for what is stored here. Raises NoSuchKey where copies
    alone are served."""
    if asked.customer_key is not None:
        raise CustomerKeyNotApplicable
    if not wanted.view.is_cold_served:
        raise NoSuchKey(key=wanted.key)


def leads(byte_range: ByteRange | None) -> bool:
    """Whether who reads this fetches the whole."""
    match byte_range:
        case None:
            return True
        case OffsetRange(first):
            return first == 0
        case BoundedRange(first, last):
            return first == 0 and last + 1 >= _FETCHED_FROM_BYTES
        case _:
            return False


def without_part(now: ObjectInfo, byte_range: ByteRange | None) -> ByteRange | None:
    """A range of bytes in place of one by the number of a part."""
    if not isinstance(byte_range, PartRange):
        return byte_range
    first, length = resolve_range(now, byte_range)
    return None if length == now.size_bytes else BoundedRange(first, first + length - 1)
