"""Owns the conformance of the adapter of plain HTTP servers, over one that knows ranges and one that does not."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType

from backends.http import HttpBackend
from core.accounts import Account
from core.backends import Backend
from core.types import ObjectAttributes
from tests.conformance.subject import Subject, new_name
from tests.counterparts.process import Counterpart, free_port, program
from tests.counterparts.started import Counterparts


class HttpSubject(Subject):
    """Files that rclone serves over HTTP, with ranges."""

    cannot: Mapping[str, str] = MappingProxyType(
        {
            "write": "servers of files are read",
            "list": "servers of files do not list them",
            "list buckets": "a server cannot be asked for what it has",
            "know buckets": "a directory that is not there is as good as an empty one",
            "deny": "it asks nobody who they are",
        }
    )
    backend: HttpBackend

    def __init__(self, counterparts: Counterparts) -> None:
        super().__init__()
        self._counterparts = counterparts

    def command(self, port: int) -> list[str]:
        """What serves `directory`."""
        command = [program("rclone"), "serve", "http", "--addr", f"127.0.0.1:{port}"]
        return [*command, "--config", "/dev/null", "--dir-cache-time", "0s", str(self.directory)]

    async def open(self) -> None:
        self.directory = self._counterparts.directory / new_name()
        self.directory.mkdir()
        port = free_port()
        log_path = self._counterparts.log_path(self.directory.name)
        served = Counterpart(self.command(port), port, log_path)
        self._counterparts.start(served)
        self.backend = HttpBackend(Account("ht", endpoint=f"{served.endpoint}/{{bucket}}"))

    async def new_bucket(self) -> str:
        name = new_name()
        (self.directory / name).mkdir()
        return name

    async def place(
        self,
        bucket: str,
        name: str,
        data: bytes,
        attributes: ObjectAttributes = ObjectAttributes(),  # noqa: B008  # frozen
    ) -> None:
        path = self.directory / bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    async def down(self) -> Backend:
        return HttpBackend(Account("ht", endpoint=f"http://127.0.0.1:{free_port()}"))

    def open_connections(self) -> int:
        session = self.backend._client._session
        if session is None or session.connector is None:
            return 0
        return len(session.connector._acquired)


class PlainHttpSubject(HttpSubject):
    """Files that Python's own server serves, without ranges and ETags."""

    def command(self, port: int) -> list[str]:
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        return [*command, "--directory", str(self.directory)]
