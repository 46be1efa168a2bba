"""A backend that throttles, breaks off, lies, loses answers or refuses us: what clients see, and what is kept."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from urllib3.exceptions import ProtocolError

from tests.contract.world import pattern
from tests.remote.clients import Weir, running
from tests.s3compat.boto import code_of, read, status_of

DATA = pattern(3_000_000)
CUT = (ClientError, IncompleteReadError, ResponseStreamingError, ProtocolError)


@dataclass(frozen=True, slots=True)
class World:
    """`near` reaches `far` by an account that goes wrong as a file says."""

    near: Weir
    far: Weir
    file: Path

    def fault(self, *faults: dict[str, Any]) -> None:
        """From now on these go wrong, and nothing else."""
        beside = self.file.with_suffix(".new")
        beside.write_text(json.dumps(faults))
        beside.replace(self.file)

    def is_cached(self, bucket: str, key: str) -> bool:
        query = f"provider=ais&namespace={_FAR}&presence=2&props=name"
        reply = self.near.ask("HEAD", f"/v1/objects/{bucket}/{key}?{query}")
        return reply.status_code == 200


_FAR = "%40far%23"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("faults")
    file = directory / "faults.json"
    with running(directory / "near", {}) as near, running(directory / "far", {}) as far:
        account = ("account", "add", "ais", "far", "--endpoint", far.server.endpoint)
        near.server.admin(*account, "--option", f"faults_file={file}")
        yield World(near, far, file)


@pytest.fixture
def bucket(world: World) -> Iterator[str]:
    """A bucket at `far` that `near` knows, with an object "k"."""
    name = f"faulty-{secrets.token_hex(6)}"
    world.far.s3.create_bucket(Bucket=name)
    world.far.s3.put_object(Bucket=name, Key="k", Body=DATA)
    world.near.add_bucket(name, f"provider=ais&namespace={_FAR}")
    yield name
    world.fault()


def test_throttled_once(world: World, bucket: str) -> None:
    world.fault({"name": "open", "error": "busy", "times": 1})
    assert read(world.near.s3, bucket, "k") == DATA


def test_throttled_for_good(world: World, bucket: str) -> None:
    world.fault({"error": "busy", "retry_after_s": 100})
    with pytest.raises(ClientError) as caught:
        world.near.s3.get_object(Bucket=bucket, Key="k")
    assert (status_of(caught.value), code_of(caught.value)) == (503, "SlowDown")
    reply = world.near.ask("GET", f"/v1/objects/{bucket}/k?provider=ais&namespace={_FAR}")
    assert reply.status_code == 429
    with pytest.raises(ClientError) as caught:
        world.near.s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert (status_of(caught.value), code_of(caught.value)) == (503, "SlowDown")
    world.fault()
    assert read(world.near.s3, bucket, "k") == read(world.far.s3, bucket, "k") == DATA


def test_credentials_that_are_revoked(world: World, bucket: str) -> None:
    world.fault({"error": "denied"})
    with pytest.raises(ClientError) as caught:
        world.near.s3.get_object(Bucket=bucket, Key="k")
    assert status_of(caught.value) == 403
    assert not world.is_cached(bucket, "k")


@pytest.mark.parametrize("fault", [{"error": "down"}, {"error": "broken"}, {"ends": True}])
def test_a_read_that_breaks_goes_on(world: World, bucket: str, fault: dict[str, Any]) -> None:
    world.fault({"name": "open", "after_bytes": 1_000_000, "times": 2, **fault})
    assert read(world.near.s3, bucket, "k") == DATA


def test_deleted_in_mid_read(world: World, bucket: str) -> None:
    world.fault(
        {"name": "open", "error": "down", "after_bytes": 1_000_000, "times": 1},
        {"name": "open", "error": "absent"},
    )
    with pytest.raises(CUT):
        read(world.near.s3, bucket, "k")
    assert not world.is_cached(bucket, "k")
    world.fault()
    assert read(world.near.s3, bucket, "k") == DATA


def test_wrong_bytes_are_not_kept(world: World, bucket: str) -> None:
    world.fault({"name": "open", "after_bytes": 1_000_000, "flips": True})
    with pytest.raises(CUT):
        read(world.near.s3, bucket, "k")
    assert not world.is_cached(bucket, "k")
    world.fault()
    assert read(world.near.s3, bucket, "k") == DATA


def test_a_write_whose_answer_is_lost(world: World, bucket: str) -> None:
    world.fault({"name": "put", "error": "down", "lost": True, "times": 1})
    world.near.s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert read(world.near.s3, bucket, "k") == read(world.far.s3, bucket, "k") == b"new"


def test_a_write_that_never_ends_well(world: World, bucket: str) -> None:
    assert read(world.near.s3, bucket, "k") == DATA
    world.fault({"name": "put", "error": "denied", "after_bytes": 1_000_000})
    with pytest.raises(ClientError) as caught:
        world.near.s3.put_object(Bucket=bucket, Key="k", Body=pattern(2_000_000, seed=2))
    assert status_of(caught.value) == 403
    world.fault()
    assert read(world.near.s3, bucket, "k") == read(world.far.s3, bucket, "k") == DATA
