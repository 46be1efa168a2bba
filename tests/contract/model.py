"""A model of an object store as dictionaries and lists, with its own idea of S3's rules, to judge implementations by.

What a rule forbids is answered by the name of its error; nothing is shared with core's rules but plain values.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from core.configs.versioning import Retention, RetentionMode, Versioning

MIN_PART_BYTES = 16
DAY_NS = 86_400 * 10**9
NULL = "null"

Item = tuple[str, str]
"""What a listing of versions shows: a key and a version id, or a common prefix and nothing."""


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Wanted:
    """A precondition: that there is no object, or one with this ETag."""

    is_new: bool = False
    etag: str | None = None

    def error(self, current: ModelVersion | None) -> str:
        if self.etag is not None and current is None:
            return "NoSuchKey"
        if self.etag is not None and current is not None and current.etag != self.etag:
            return "PreconditionFailed"
        return "PreconditionFailed" if self.is_new and current is not None else ""


NOTHING_WANTED = Wanted()


@dataclass(frozen=True)
class ModelVersion:
    """A version, or a delete marker where `data` is None. `parts`: their sizes by number; `serial`: its place."""

    data: bytes | None
    etag: str = ""
    mark: str = ""
    parts: dict[int, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    hold: bool | None = None
    version_id: str = NULL
    modified_ns: int = 0
    serial: int = 0

    def is_locked(self, now_ns: int, *, bypasses: bool) -> bool:
        if self.hold:
            return True
        if self.retention is None or now_ns >= self.retention.until_ns:
            return False
        return not (bypasses and self.retention.mode is RetentionMode.GOVERNANCE)

    def may_retain(self, new: Retention | None, now_ns: int, *, bypasses: bool) -> bool:
        old = self.retention
        if old is None or now_ns >= old.until_ns:
            return True
        if bypasses and old.mode is RetentionMode.GOVERNANCE:
            return True
        return new is not None and new.mode is old.mode and new.until_ns >= old.until_ns


def tags_of(mark: str) -> dict[str, str]:
    """The tags that go with a mark."""
    return {"tag": mark} if mark else {}


def version_of(data: bytes, mark: str) -> ModelVersion:
    """What a put of these bytes makes."""
    return ModelVersion(data, md5_of(data), mark, tags=tags_of(mark))


@dataclass
class ModelUpload:
    """Parts so far, by number."""

    key: str
    mark: str
    parts: dict[int, bytes] = field(default_factory=dict)

    def completion(self, numbers: list[int]) -> ModelVersion | str:
        """The object that parts make, or the name of the error."""
        if numbers != sorted(set(numbers)):
            return "InvalidPartOrder"
        if any(number not in self.parts for number in numbers):
            return "InvalidPart"
        parts = {number: self.parts[number] for number in numbers}
        if any(len(parts[number]) < MIN_PART_BYTES for number in numbers[:-1]):
            return "PartTooSmall"
        digests = b"".join(bytes.fromhex(md5_of(data)) for data in parts.values())
        sizes = {number: len(data) for number, data in parts.items()}
        etag = f"{md5_of(digests)}-{len(parts)}"
        data = b"".join(parts.values())
        return ModelVersion(data, etag, self.mark, sizes, tags_of(self.mark))


@dataclass
class ModelBucket:
    """What one bucket must hold: of each key the latest version first.

    `removed` has the places of versions that are gone, for listings that go on after them."""

    versioning: Versioning = Versioning.OFF
    default_days: int = 0
    history: dict[str, list[ModelVersion]] = field(default_factory=dict)
    uploads: dict[str, ModelUpload] = field(default_factory=dict)
    removed: dict[Item, int] = field(default_factory=dict)
    last_serial: int = 0

    # --- reading ---

    def latest(self, key: str) -> ModelVersion | None:
        versions = self.history.get(key)
        return versions[0] if versions else None

    def current(self, key: str) -> ModelVersion | None:
        latest = self.latest(key)
        return None if latest is None or latest.data is None else latest

    def named(self, key: str, version_id: str) -> ModelVersion | None:
        found = [each for each in self.history.get(key, []) if each.version_id == version_id]
        return found[0] if found else None

    def read(self, key: str, version_id: str | None) -> ModelVersion | str:
        """The version that a read meets, or the name of the error."""
        if version_id is None:
            found, absent, deleted = self.latest(key), "NoSuchKey", "KeyIsDeleted"
        else:
            found, absent = self.named(key, version_id), "NoSuchVersion"
            deleted = "VersionIsDeleteMarker"
        if found is None:
            return absent
        return deleted if found.data is None else found

    def objects(self) -> dict[str, ModelVersion]:
        found = {key: self.current(key) for key in self.history}
        return {key: current for key, current in found.items() if current is not None}

    # --- writing ---

    def write_error(self, key: str, wanted: Wanted, now_ns: int) -> str:
        """Why an object may not be written now."""
        error = wanted.error(self.current(key))
        if error or self.versioning is Versioning.ENABLED:
            return error
        null = self.named(key, NULL)
        is_locked = null is not None and null.is_locked(now_ns, bypasses=False)
        return "ObjectLocked" if is_locked else ""

    def write(self, key: str, version: ModelVersion, version_id: str, now_ns: int) -> ModelVersion:
        """Put a version on top, under the id that the store gave it."""
        retention = version.retention
        if version.data is not None and retention is None and self.default_days:
            until_ns = now_ns + self.default_days * DAY_NS
            retention = Retention(RetentionMode.GOVERNANCE, until_ns)
        if self.versioning is Versioning.ENABLED:
            assert version_id != NULL
            assert self.named(key, version_id) is None
            assert (key, version_id) not in self.removed
        else:
            assert version_id == NULL
            self._drop(key, NULL)
        self.last_serial += 1
        made = replace(
            version,
            retention=retention,
            version_id=version_id,
            modified_ns=now_ns,
            serial=self.last_serial,
        )
        self.history.setdefault(key, []).insert(0, made)
        return made

    def delete_error(self, key: str, wanted: Wanted, now_ns: int) -> str:
        """Why a delete without version id is refused."""
        error = wanted.error(self.current(key))
        if error or self.versioning is Versioning.ENABLED:
            return error
        null = self.named(key, NULL)
        is_locked = null is not None and null.is_locked(now_ns, bypasses=False)
        return "ObjectLocked" if is_locked else ""

    def delete(self, key: str, version_id: str | None, now_ns: int) -> None:
        """A delete that was not refused; `version_id` is that of the marker, if there must be one."""
        if self.versioning is Versioning.OFF:
            assert version_id is None
            self._drop(key, NULL)
        else:
            assert version_id is not None
            self.write(key, ModelVersion(None), version_id, now_ns)

    def removal_error(
        self, key: str, version_id: str, wanted: Wanted, now_ns: int, *, bypasses: bool
    ) -> str:
        """Why a version may not be removed."""
        found = self.named(key, version_id)
        error = wanted.error(found)
        if error or found is None:
            return error
        return "ObjectLocked" if found.is_locked(now_ns, bypasses=bypasses) else ""

    def remove(self, key: str, version_id: str) -> bool:
        """Remove a version that may be; says whether it was a delete marker."""
        found = self.named(key, version_id)
        self._drop(key, version_id)
        return found is not None and found.data is None

    def change(self, key: str, old: ModelVersion, new: ModelVersion) -> None:
        versions = self.history[key]
        versions[versions.index(old)] = new

    def _drop(self, key: str, version_id: str) -> None:
        found = self.named(key, version_id)
        if found is None:
            return
        self.history[key].remove(found)
        if not self.history[key]:
            del self.history[key]
        if version_id != NULL:
            self.removed[key, version_id] = found.serial

    # --- listing ---

    def listing(self, prefix: str, delimiter: str, after: str) -> list[tuple[str, bool]]:
        """All names after a marker and whether they are common prefixes, in UTF-8 order."""
        return list_names(list(self.objects()), prefix, delimiter, after)

    def place_of(self, key: str, version_id: str) -> int:
        """Where a version stands, or stood."""
        found = self.named(key, version_id)
        return self.removed[key, version_id] if found is None else found.serial

    def version_listing(self, prefix: str, delimiter: str, after: Item) -> list[Item]:
        """All versions and common prefixes after a marker (a key, and perhaps a version id)."""
        found: list[Item] = []
        for key in sorted(self.history, key=str.encode):
            if not key.startswith(prefix):
                continue
            left = self.history[key]
            if key == after[0]:
                place = self.place_of(*after) if after[1] else 0
                left = [version for version in left if version.serial < place]
            elif key.encode() < after[0].encode():
                left = []
            rest = key[len(prefix) :]
            if not delimiter or delimiter not in rest:
                found += [(key, version.version_id) for version in left]
                continue
            group = prefix + rest[: rest.index(delimiter)] + delimiter
            if left and group != after[0] and (group, "") not in found:
                found.append((group, ""))
        return found


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
