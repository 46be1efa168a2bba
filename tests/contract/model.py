"""A model of an object store as dictionaries, with its own idea of S3's rules, to judge implementations by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

MIN_PART_BYTES = 16


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class ModelObject:
    """Bytes and their ETag; the sizes of its parts by number, if it has any."""

    data: bytes
    etag: str
    mark: str = ""
    parts: dict[int, int] = field(default_factory=dict)


@dataclass
class ModelUpload:
    """Parts so far, by number."""

    key: str
    mark: str
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class ModelBucket:
    """What one bucket must hold."""

    objects: dict[str, ModelObject] = field(default_factory=dict)
    uploads: dict[str, ModelUpload] = field(default_factory=dict)

    def put(self, key: str, data: bytes, mark: str) -> None:
        self.objects[key] = ModelObject(data, md5_of(data), mark)

    def copy(self, source: ModelObject, key: str, mark: str | None) -> None:
        kept = source.mark if mark is None else mark
        self.objects[key] = ModelObject(source.data, md5_of(source.data), kept)

    def completion_of(self, upload_id: str, numbers: list[int]) -> ModelObject | str:
        """The object that parts make, or the name of the error."""
        upload = self.uploads[upload_id]
        if numbers != sorted(set(numbers)):
            return "InvalidPartOrder"
        if any(number not in upload.parts for number in numbers):
            return "InvalidPart"
        parts = {number: upload.parts[number] for number in numbers}
        if any(len(parts[number]) < MIN_PART_BYTES for number in numbers[:-1]):
            return "PartTooSmall"
        digests = b"".join(bytes.fromhex(md5_of(data)) for data in parts.values())
        sizes = {number: len(data) for number, data in parts.items()}
        etag = f"{md5_of(digests)}-{len(parts)}"
        return ModelObject(b"".join(parts.values()), etag, upload.mark, sizes)

    def listing(self, prefix: str, delimiter: str, after: str) -> list[tuple[str, bool]]:
        """All names after a marker and whether they are common prefixes, in UTF-8 order."""
        return list_names(list(self.objects), prefix, delimiter, after)


def list_names(keys: list[str], prefix: str, delimiter: str, after: str) -> list[tuple[str, bool]]:
    """What a listing of keys shows."""
    seen: set[tuple[str, bool]] = set()
    for key in keys:
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        rest = key[len(prefix) :]
        if delimiter and delimiter in rest:
            group = prefix + rest[: rest.index(delimiter)] + delimiter
            if group != after:
                seen.add((group, True))
        else:
            seen.add((key, False))
    return sorted(seen, key=lambda item: item[0].encode())
