"""Owns what lies where in a mountpath: one directory on one disk, its identity file, and the locks of its workers.

weir-mountpath.json     format, own uuid, and the uuids of every mountpath of the store
small.db, index.db      the databases (storage.database)
write.lock              held by the process that commits
blobs/<2 hex>/<blob id> files of bytes, spread by hash; no path is ever made from a key
guests/<uuid>/<2 hex>/  the same, of the mountpath with that uuid: its objects of a storage class that lies here
workers/<worker id>.lock  flocked by a live worker, so that others know whose unfinished blobs to leave alone
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from core.errors import Corrupt, InvalidArgument, MountpathUnavailable, StoreError
from storage.faults import RETRY_AFTER_S, translate

FORMAT = 1
IDENTITY_FILE = "weir-mountpath.json"
_FAN_OUT = 256
_GUESTS = "guests"
_HOST_MARK = "@"
_HOST_LETTERS = 12


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one mountpath. `hosts`: by their names in blob ids, the directories of the other mountpaths, in
    which this one may have blobs of other storage classes; None for a disk that is not there."""

    directory: Path
    uuid: str = ""
    hosts: Mapping[str, Path | None] = field(default_factory=dict)

    @property
    def identity(self) -> Path:
        return self.directory / IDENTITY_FILE

    @property
    def small_db(self) -> Path:
        return self.directory / "small.db"

    @property
    def index_db(self) -> Path:
        return self.directory / "index.db"

    @property
    def commit_signal(self) -> Path:
        return self.directory / "commit.signal"

    @property
    def write_lock(self) -> Path:
        return self.directory / "write.lock"

    @property
    def ballast(self) -> Path:
        return self.directory / "ballast"

    @property
    def blobs(self) -> Path:
        return self.directory / "blobs"

    @property
    def workers(self) -> Path:
        return self.directory / "workers"

    def blob(self, blob_id: str) -> str:
        """The path of a blob, as text: this runs on every read of a large object. Raises MountpathUnavailable if it
        lies on a disk that is not there."""
        place = f"{xxhash.xxh3_64_intdigest(blob_id.encode()) % _FAN_OUT:02x}/{blob_id}"
        if _HOST_MARK in blob_id:
            return f"{self._lodging(self.host_of(blob_id))}/{place}"
        return f"{self.directory}/blobs/{place}"

    @staticmethod
    def is_own(blob_id: str) -> bool:
        """Whether a blob lies on the disk of its record."""
        return _HOST_MARK not in blob_id

    def host_of(self, blob_id: str) -> Path | None:
        """The directory of the other mountpath that a blob lies on; None if it is not there."""
        return self.hosts.get(blob_id.partition(_HOST_MARK)[2])

    def _lodging(self, host: Path | None) -> Path:
        if host is None:
            raise MountpathUnavailable(
                mountpath=str(self.directory),
                reason="the disk of the object's storage class is not there",
                retry_after_s=RETRY_AFTER_S,
            )
        return host / _GUESTS / self.uuid

    def check_host_sync(self, blob_id: str) -> None:
        """Raises MountpathUnavailable if a blob lies on another mountpath whose disk is not there now."""
        if _HOST_MARK in blob_id:
            host = self.host_of(blob_id)
            is_there = host is not None and (host / IDENTITY_FILE).exists()
            self._lodging(host if is_there else None)

    def make_lodging_sync(self, blob_id: str) -> None:
        """Make the directory for a blob on another mountpath, durably. Raises MountpathUnavailable, OSError."""
        self.check_host_sync(blob_id)
        place = Path(self.blob(blob_id)).parent
        for directory in (place.parent.parent, place.parent, place):
            try:
                directory.mkdir()
            except FileExistsError:
                continue
            sync_directory(directory.parent)

    @property
    def is_whole(self) -> bool:
        """Whether every disk that may have blobs of this mountpath is there."""
        return None not in self.hosts.values()

    def blob_directories(self) -> Iterator[Path]:
        """Of its own disk, and those on others' that there are."""
        yield from self._own_blob_directories()
        for host in self.hosts.values():
            lodging = None if host is None else host / _GUESTS / self.uuid
            if lodging is not None and lodging.is_dir():
                yield from lodging.iterdir()

    def _own_blob_directories(self) -> Iterator[Path]:
        for number in range(_FAN_OUT):
            yield self.blobs / f"{number:02x}"

    def create_directories_sync(self) -> None:
        """Make what is missing of the tree, durably."""
        for directory in (
            self.directory,
            self.blobs,
            self.workers,
            *self._own_blob_directories(),
        ):
            directory.mkdir(parents=True, exist_ok=True)
        for directory in (self.blobs, self.directory, self.directory.parent):
            sync_directory(directory)


def sync_directory(directory: Path | str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# --- the set of mountpaths ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MountpathSpec:
    """A member of the store's set. `directory` is None when its disk is not to be found."""

    uuid: str
    directory: Path | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Identity:
    uuid: str
    members: tuple[str, ...]


def open_set_sync(directories: Sequence[Path]) -> list[MountpathSpec]:
    """Find the store's mountpaths among `directories`, or make a new store of them if none belongs to one yet.

    The set is fixed when the store is made: an empty directory is never taken for a disk that has vanished, and a
    missing member is reported, not replaced. Order in the result is the set's own, whatever the order given.
    Raises InvalidArgument for a directory that belongs to another store or to none; MountpathUnavailable if a new
    store cannot be made.
    """
    found: dict[str, Path] = {}
    members: tuple[str, ...] = ()
    reasons: list[str] = []
    strangers: list[Path] = []
    for directory in directories:
        try:
            identity = _read_identity(directory)
        except OSError as error:
            reasons.append(f"{directory}: {error.strerror}")
            continue
        if identity is None:
            strangers.append(directory)
            continue
        found[identity.uuid] = directory
        if identity.members:
            if members and identity.members != members:
                raise _not_ours(directory)
            members = identity.members
    if not members:
        return _make_set(directories, found)
    for member, directory in found.items():
        if member not in members:
            raise _not_ours(directory)
    missing = len(members) - len(found)
    if len(strangers) > missing:
        raise _not_ours(strangers[0])
    reasons += [f"{directory}: no {IDENTITY_FILE}" for directory in strangers]
    reason = "; ".join(reasons) or "its directory was not given"
    return [
        MountpathSpec(member, found.get(member), "" if member in found else reason)
        for member in members
    ]


def _make_set(directories: Sequence[Path], begun: dict[str, Path]) -> list[MountpathSpec]:
    """In two steps, so that a crash between leaves no member named that was not made."""
    uuids = {directory: own for own, directory in begun.items()}
    try:
        for directory in directories:
            own = uuids.setdefault(directory, uuid.uuid4().hex)
            Layout(directory).create_directories_sync()
            _write_identity(directory, _Identity(own, ()))
        members = tuple(sorted(uuids.values()))
        for directory in directories:
            _write_identity(directory, _Identity(uuids[directory], members))
    except OSError as error:
        raise translate(error, directories[0]) from error
    by_uuid = {own: directory for directory, own in uuids.items()}
    return [MountpathSpec(member, by_uuid[member]) for member in members]


def _not_ours(directory: Path) -> InvalidArgument:
    return InvalidArgument(
        name="data",
        value=str(directory),
        reason="the directory is not one of this store's mountpaths",
    )


def _read_identity(directory: Path) -> _Identity | None:
    try:
        text = (directory / IDENTITY_FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(text)
        number, own, members = fields["format"], fields["uuid"], fields["members"]
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(what=IDENTITY_FILE, where=str(directory)) from error
    if number != FORMAT:
        raise Corrupt(what=f"{IDENTITY_FILE} of format {number}", where=str(directory))
    return _Identity(own, tuple(members))


def _write_identity(directory: Path, identity: _Identity) -> None:
    temporary = directory / f"{IDENTITY_FILE}.new"
    fields = {"format": FORMAT, "uuid": identity.uuid, "members": identity.members}
    with temporary.open("w") as file:
        json.dump(fields, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(directory / IDENTITY_FILE)
    sync_directory(directory)


def check_identity_sync(spec: MountpathSpec) -> Path:
    """The directory of a member that is there now. Raises MountpathUnavailable."""
    directory = spec.directory
    if directory is None:
        raise MountpathUnavailable(
            mountpath=spec.uuid, reason=spec.reason, retry_after_s=RETRY_AFTER_S
        )
    try:
        identity = _read_identity(directory)
    except OSError as error:
        raise translate(error, directory) from error
    if identity is None or identity.uuid != spec.uuid:
        raise MountpathUnavailable(
            mountpath=str(directory),
            reason="another disk, or none, is mounted there",
            retry_after_s=RETRY_AFTER_S,
        )
    return directory


def layout_of(spec: MountpathSpec, specs: Sequence[MountpathSpec]) -> Layout:
    """The layout of a member that is there, among the others. Raises MountpathUnavailable."""
    hosts = {host_name(each): _present(each) for each in specs if each.uuid != spec.uuid}
    return Layout(check_identity_sync(spec), spec.uuid, hosts)


def _present(spec: MountpathSpec) -> Path | None:
    try:
        return check_identity_sync(spec)
    except StoreError:
        return None


def host_name(spec: MountpathSpec) -> str:
    """How blob ids name the mountpath that a blob lies on."""
    return spec.uuid[:_HOST_LETTERS]


def lodged(blob_id: str, host: MountpathSpec) -> str:
    """The id of a blob that lies on another mountpath than its record."""
    return f"{blob_id}{_HOST_MARK}{host_name(host)}"


# --- workers -----------------------------------------------------------------------------------------------------


class WorkerLock:
    """This process's name among the workers of a mountpath, and the source of its blob ids."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._counter = 0
        while True:
            self.worker_id = os.urandom(8).hex()
            self._path = layout.workers / f"{self.worker_id}.lock"
            self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            # A cleaner may have taken the name for a dead worker's between the two calls.
            if os.fstat(self._fd).st_nlink:
                return
            os.close(self._fd)

    def next_blob_id(self) -> str:
        """Opaque and never repeated. Call it from one thread only."""
        self._counter += 1
        return f"{self.worker_id}-{self._counter:x}"

    def close(self) -> None:
        """Give the name back; call it when no blob is in the making."""
        if self._fd >= 0:
            try:
                self._path.unlink(missing_ok=True)
            finally:
                os.close(self._fd)
                self._fd = -1


def worker_of(blob_id: str) -> str:
    """The worker that made a blob."""
    return blob_id.partition("-")[0]


def live_workers_sync(layout: Layout) -> set[str]:
    """The workers that run now; the lock files of dead ones are removed."""
    alive: set[str] = set()
    for path in layout.workers.glob("*.lock"):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            alive.add(path.stem)
        finally:
            os.close(fd)
    return alive
