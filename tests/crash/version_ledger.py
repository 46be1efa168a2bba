"""Owns what a bucket with versions was asked and what it acknowledged, and so which versions each key may have.

A version that was acknowledged is there until its removal was sent. One that was sent and not acknowledged may be
there, under an id that nobody knows yet. Of two versions, the one whose write began after the other's was acknowledged
is newer.
"""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.crash.values import NEVER, State


@dataclass(slots=True)
class Version:
    """A version as it was sent; `state` None is a delete marker. `version_id` is empty while nobody knows it.

    `tag_counts` are the numbers of tags that it may have, `is_doomed` says that its removal was sent."""

    key: str
    state: State
    begin: int
    end: int = NEVER
    version_id: str = ""
    tag_counts: set[int] = field(default_factory=lambda: {0})
    is_doomed: bool = False


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """An entry of a listing of versions."""

    version_id: str
    is_marker: bool
    is_latest: bool
    size_bytes: int


class VersionLedger:
    """All keys of one bucket with versions. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ticks = itertools.count(1)
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._touched: set[str] = set()

    # --- what was asked ---

    def begin(self, key: str, state: State) -> Version:
        with self._lock:
            version = Version(key, state, next(self._ticks))
            self._versions[key].append(version)
            self._touched.add(key)
            return version

    def acknowledge(self, version: Version, version_id: str) -> None:
        with self._lock:
            version.version_id = version_id
            version.end = next(self._ticks)

    def refuse(self, version: Version) -> None:
        """The server answered that it made no such version."""
        with self._lock:
            self._versions[version.key].remove(version)

    def doom(self, version: Version) -> None:
        """Its removal is about to be sent."""
        with self._lock:
            version.is_doomed = True
            self._touched.add(version.key)

    def removed(self, version: Version) -> None:
        with self._lock:
            # Clients that share a key may both have removed it.
            kept = self._versions[version.key]
            self._versions[version.key] = [each for each in kept if each is not version]

    def begin_tagging(self, version: Version, count: int) -> None:
        with self._lock:
            version.tag_counts = {*version.tag_counts, count}
            self._touched.add(version.key)

    def tagged(self, version: Version, count: int) -> None:
        with self._lock:
            version.tag_counts = {count}

    def acknowledged(self, key: str) -> list[Version]:
        """Those that are surely there, in the order in which they were acknowledged."""
        with self._lock:
            known = [each for each in self._versions[key] if each.end != NEVER]
            return sorted((each for each in known if not each.is_doomed), key=lambda each: each.end)

    # --- what was found ---

    def all_of(self, key: str) -> list[Version]:
        """All that may be there."""
        with self._lock:
            return list(self._versions[key])

    def take_touched(self) -> set[str]:
        with self._lock:
            touched, self._touched = self._touched, set()
            return touched

    def all_keys(self) -> list[str]:
        with self._lock:
            return sorted(self._versions)

    def judge(
        self, key: str, listed: Sequence[ListedVersion], contents: Mapping[str, State]
    ) -> list[str]:
        """What is wrong with a key's versions, newest first, when nothing is on its way. `contents` is what those
        hold that were read. From then on the key has what was found."""
        with self._lock:
            versions = self._versions[key]
            known = {each.version_id: each for each in versions if each.version_id}
            unsure = [each for each in versions if not each.version_id]
            wrong: list[str] = []
            found: list[Version] = []
            for entry in listed:
                version = known.pop(entry.version_id, None)
                if version is None:
                    version = _match(entry, unsure, contents)
                if version is None:
                    wrong.append(f"{key!r} has a version that nobody sent: {entry}")
                    continue
                version.version_id = entry.version_id
                if entry.is_marker is not (version.state is None):
                    wrong.append(f"{key!r}: {entry} was sent as {version}")
                found.append(version)
            wrong += [
                f"{key!r} lost {version}" for version in known.values() if not version.is_doomed
            ]
            wrong += _disorder(found)
            wrong += [
                f"{key!r}: which is the latest? {entry} at {place}"
                for place, entry in enumerate(listed)
                if entry.is_latest is not (place == 0)
            ]
            for version in found:
                version.end = min(version.end, next(self._ticks))
                version.is_doomed = False
            self._versions[key] = found
            return wrong


def _match(
    entry: ListedVersion, unsure: list[Version], contents: Mapping[str, State]
) -> Version | None:
    """The write without an answer that made this version; each made at most one."""
    for version in unsure:
        if version.state is None:
            is_it = entry.is_marker
        else:
            is_it = not entry.is_marker and contents.get(entry.version_id) == version.state
        if is_it:
            unsure.remove(version)
            return version
    return None


def _disorder(newest_first: Sequence[Version]) -> list[str]:
    return [
        f"{older.key!r}: {older} is listed as older than {newer}"
        for newer, older in itertools.combinations(newest_first, 2)
        if newer.end < older.begin
    ]
