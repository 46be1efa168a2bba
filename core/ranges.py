"""Owns what a ByteRange means for an object of known size: the first byte and the count. Pure."""

from __future__ import annotations

from typing import assert_never

from core.errors import InvalidPartNumber, InvalidRange
from core.types import BoundedRange, ByteRange, ObjectInfo, OffsetRange, PartRange, SuffixRange


def resolve_range(info: ObjectInfo, byte_range: ByteRange | None) -> tuple[int, int]:
    """(first, length) of the bytes that a read is to offer; the whole object if there is no range.

    Raises InvalidRange where no byte of the object lies in the range (so always for an empty object), InvalidPartNumber
    for a part that the object does not have.
    """
    size = info.size_bytes
    match byte_range:
        case None:
            return 0, size
        case PartRange(part_number):
            return _resolve_part(info, part_number)
        case BoundedRange(first, last):
            end = min(last + 1, size)
        case OffsetRange(first):
            end = size
        case SuffixRange(length):
            first, end = max(size - length, 0), size
        case _:
            assert_never(byte_range)
    if first >= end:
        raise InvalidRange(requested=byte_range, size_bytes=size)
    return first, end - first


def resolve_source_range(info: ObjectInfo, byte_range: ByteRange | None) -> tuple[int, int]:
    """(first, length) of the bytes that UploadPartCopy takes from its source.

    As resolve_range, but a bounded range must lie in the source whole, or InvalidRange is raised.
    """
    if isinstance(byte_range, BoundedRange) and byte_range.last >= info.size_bytes:
        raise InvalidRange(requested=byte_range, size_bytes=info.size_bytes)
    return resolve_range(info, byte_range)


def _resolve_part(info: ObjectInfo, part_number: int) -> tuple[int, int]:
    if not info.parts:
        if part_number != 1:
            raise InvalidPartNumber(part_number=part_number, part_count=1)
        return 0, info.size_bytes
    first = 0
    for part in info.parts:
        if part.part_number == part_number:
            return first, part.size_bytes
        first += part.size_bytes
    raise InvalidPartNumber(part_number=part_number, part_count=len(info.parts))
