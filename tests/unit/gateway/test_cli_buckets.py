"""`weir bucket`: buckets that live elsewhere are made known, and what is none is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from core.configs.backend import BackendBinding
from core.names import BucketName, BucketRef
from gateway.cli.main import main
from gateway.config import Config
from gateway.startup import prepare_store

FAR = BucketRef(BucketName("far"), "aws")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WEIR_", "AWS_"))]:
        monkeypatch.delenv(name)
    # No provider is reached from here: port 9 of loopback has no listener.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for fd in prepare_store(Config(data=(tmp_path / "data",))).held_fds:
        os.close(fd)
    return tmp_path / "data"


def add(data: Path, *arguments: str) -> int:
    return main(["bucket", "add", *arguments, "--data", str(data)])


@contextmanager
def control(data: Path) -> Iterator[EmbeddedControlStore]:
    with closing(EmbeddedControlStore(data)) as store:
        yield store


def test_a_bucket_under_its_own_name_and_another(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(data, "s3://far", "--unasked") == 0
    assert "s3://far" in capsys.readouterr().out
    assert add(data, "s3://#team/far/", "--unasked", "--as", "mine") == 0
    assert add(data, "gs://far", "--unasked", "--account", "team", "--as", "other") == 0
    with control(data) as store:
        far = store.bucket(FAR)
        mine, other = (store.bucket(BucketRef(BucketName(name))) for name in ("mine", "other"))
        assert far is not None
        assert mine is not None
        assert other is not None
        assert far.owner.is_root
        assert far.props.backend == BackendBinding(FAR)
        team = BucketRef(BucketName("far"), "aws", "@#team")
        assert mine.props.backend == BackendBinding(team)
        google = BucketRef(BucketName("far"), "gcp")
        assert other.props.backend == BackendBinding(google, "team")
    assert add(data, "aws://far", "--unasked") == 1
    assert "known here already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["far"], "is wanted"),
        (["s3://"], "is wanted"),
        (["s3://far/key"], "is wanted"),
        (["nimbus://far"], "unknown provider"),
        (["ais://far"], "lives elsewhere"),
        (["s3://..", "--unasked"], "no bucket can be called so"),
        (["s3://#a!b/far", "--unasked"], "a namespace has"),
        (["s3://far", "--as", ".hidden", "--unasked"], "no bucket can be called so"),
        (["s3://#absent/far"], "no account"),
    ],
)
def test_what_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert add(data, *arguments) == 1
    assert said in capsys.readouterr().err
    with control(data) as store:
        assert not store.buckets()
