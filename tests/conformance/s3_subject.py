"""Owns the conformance of the S3 adapter, over each of the S3 servers that run on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from backends.registry import ADAPTERS
from backends.s3 import S3Backend
from core.accounts import Account
from core.backends import Backend
from tests.conformance.subject import Subject, new_name
from tests.counterparts import strict
from tests.counterparts.process import free_port
from tests.counterparts.started import Counterparts, S3Endpoint
from tests.shaper import RunningShaper, Shape, Shaper

NO_PATHS = ("..", "../up", "a/../b", "a/./b", "a//b", "/leading", "dir/")


def account_of(
    there: S3Endpoint, settings: Mapping[str, str] | None = None, provider: str = "aws"
) -> Account:
    """An account at a counterpart."""
    return Account(
        provider,
        endpoint=there.endpoint,
        region=there.region,
        settings={"timeout_s": "30", **(settings or {})},
        secrets={"access_key": there.keys.access_key, "secret_key": there.keys.secret_key},
    )


class S3Subject(Subject):
    """An adapter of S3 in front of a counterpart; buckets are made by boto3."""

    backend: S3Backend
    provider = "aws"
    settings: Mapping[str, str] = {"conditional_writes": "true"}

    def __init__(self, start: Callable[[], S3Endpoint]) -> None:
        super().__init__()
        self._start = start

    async def open(self) -> None:
        self.there = self._start()
        self.backend = self.made(account_of(self.there, self.settings, self.provider))

    def made(self, account: Account) -> S3Backend:
        """The adapter of the account."""
        backend = ADAPTERS[self.provider](account)
        assert isinstance(backend, S3Backend)
        return backend

    async def new_bucket(self) -> str:
        name = new_name()
        client = self.there.client()
        await asyncio.to_thread(client.create_bucket, Bucket=name)
        return name

    async def denied(self) -> Backend:
        account = account_of(self.there, self.settings, self.provider)
        secrets = {**account.secrets, "secret_key": "wrong"}
        return self.made(Account(self.provider, endpoint=account.endpoint, secrets=secrets))

    async def down(self) -> Backend:
        nowhere = S3Endpoint(f"http://127.0.0.1:{free_port()}", self.there.keys)
        return self.made(account_of(nowhere, self.settings, self.provider))

    def open_connections(self) -> int:
        return self.backend.busy_connections


class MotoSubject(S3Subject):
    """moto's server."""

    cannot: Mapping[str, str] = {
        "deny": "it believes everybody",
        "forget uploads": "it fails with 500 over an upload that is no more",
    }


class SecondWeirSubject(S3Subject):
    """Another weir."""


class RcloneSubject(S3Subject):
    """rclone's S3 server over a directory, where names are paths of files."""

    cannot: Mapping[str, str] = {
        "keys below keys": "a file is no directory",
        "long names": "names of files have 255 bytes at most",
        "attributes": "it adds metadata of its own",
        "copy": "it takes no new attributes",
        "tags": "it fails with 500 over them",
        "conditional writes": "it does not know the conditions",
        "replace parts": "it takes a part but once",
        "multipart etags": "what it says after completing an upload is not what it says later",
        **{f"name {name}": "it is no path of a file" for name in NO_PATHS},
    }


def moto(counterparts: Counterparts) -> Subject:
    return MotoSubject(counterparts.moto)


def weir(counterparts: Counterparts) -> Subject:
    return SecondWeirSubject(counterparts.weir)


def rclone(counterparts: Counterparts) -> Subject:
    return RcloneSubject(counterparts.rclone)


class ShapedSubject(S3Subject):
    """Another weir, some way off."""

    async def open(self) -> None:
        running = RunningShaper(Shaper(self._start().endpoint, Shape(delay_s=0.01)))
        self._running = running
        keys = self._start().keys
        self._start = lambda: S3Endpoint(running.shaper.endpoint, keys)
        await super().open()

    async def close(self) -> None:
        await super().close()
        self._running.stop()


class StrictSubject(ShapedSubject):
    """Another weir behind a front that refuses what a provider's own S3 refuses, and tells if it was asked for it."""

    settings: Mapping[str, str] = {}
    refuses = staticmethod(strict.refused_by_gcp)

    async def open(self) -> None:
        await super().open()
        self._running.shaper.shape.delay_s = 0
        self._running.shaper.refuses = self.refuses


class GcpSubject(StrictSubject):
    """As Google's interoperability API."""

    provider = "gcp"


class OciSubject(StrictSubject):
    """As Oracle's compatibility API."""

    provider = "oci"
    refuses = staticmethod(strict.refused_by_oci)


def shaped(counterparts: Counterparts) -> Subject:
    return ShapedSubject(counterparts.weir)


def gcp(counterparts: Counterparts) -> Subject:
    return GcpSubject(counterparts.weir)


def oci(counterparts: Counterparts) -> Subject:
    return OciSubject(counterparts.weir)
