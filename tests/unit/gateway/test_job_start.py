"""What `weir job start` makes of its options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from core.configs.backend import BackendBinding
from core.names import BucketName, BucketRef, UserId
from core.types import BucketProps, User
from gateway.cli.arguments import JOB_KINDS, build_parser
from gateway.cli.bulk_words import KINDS as BULK_KINDS
from gateway.cli.job_start import job_arguments
from gateway.cli.options import UsageError
from gateway.config import Config
from jobs.buckets import CopyOptions
from jobs.inventory import InventoryOrder
from jobs.object_group import GroupRequest
from jobs.prefetch import PrefetchOptions

FAR = BucketRef(BucketName("far"), "aws")
OWNER = User(UserId("o" * 64), "owner", "owner")


@pytest.fixture
def control(tmp_path: Path) -> Iterator[EmbeddedControlStore]:
    with closing(EmbeddedControlStore(tmp_path)) as opened:
        opened.add_user_sync(OWNER)
        for name in ("one", "two"):
            ref = BucketRef(BucketName(name))
            opened.create_bucket_sync(ref, OWNER, "us-east-1", BucketProps(), 1)
        cloud = BucketRef(BucketName("cloud"), "aws")
        remote = BucketProps(backend=BackendBinding(cloud))
        opened.create_bucket_sync(cloud, OWNER, "us-east-1", remote, 1)
        props = BucketProps(backend=BackendBinding(FAR))
        opened.create_bucket_sync(FAR, OWNER, "us-east-1", props, 1)
        yield opened


def ask(control: EmbeddedControlStore, *words: str) -> tuple[str, dict[str, str]]:
    options = build_parser().parse_args(["job", "start", *words])
    return job_arguments(options, Config(), control)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["copy-bck"], "needs --bucket"),
        (["copy-bck", "--bucket", "one"], "needs --bucket, and --to"),
        (["copy-bck", "--bucket", "one", "--to", "one"], "onto itself"),
        (["copy-bck", "--bucket", "nope", "--to", "one"], "no bucket 'nope'"),
        (["copy-bck", "--bucket", "one", "--to", "x y"], "no name"),
        (["copy-bck", "--bucket", "one", "--to", "two", "--ext", "jpg"], "OLD=NEW"),
        (["copy-bck", "--bucket", "one", "--to", "two", "--sync", "--prepend", "p"], "--sync"),
        (["move-bck", "--bucket", "one", "--to", "two"], "already"),
        (["move-bck", "--bucket", "one", "--to", "three", "--dry-run"], "copy-bck alone"),
        (["lru", "--prefix", "x"], "copy-bck alone"),
        (["lru", "--to", "one"], "copy-bck and move-bck alone"),
        (["load-lom-cache"], "needs --bucket"),
        (["create-inventory"], "needs --bucket"),
        (["create-inventory", "--bucket", "one"], "lives here"),
        (["create-inventory", "--bucket", "one", "--sync"], "copy-bck alone"),
        (["prefetch-listrange"], "needs --bucket"),
        (["prefetch-listrange", "--bucket", "one"], "remote buckets"),
        (["evict-listrange", "--bucket", "one"], "remote buckets"),
        (["prefetch-listrange", "--bucket", "aws://far", "--blob-threshold", "x"], "no size"),
        (["evict-listrange", "--bucket", "aws://far", "--template", "{2..1}"], "upwards"),
        (["evict-listrange", "--bucket", "aws://far", "--object", "a", "--prefix", "b"], "named"),
        (["copy-listrange", "--bucket", "one"], "another bucket"),
        (["lru", "--latest"], "not for lru"),
    ],
)
def test_mistakes(control: EmbeddedControlStore, words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ask(control, *words)


def test_every_kind_can_be_asked_for(control: EmbeddedControlStore) -> None:
    for kind in JOB_KINDS:
        bucket = "aws://far" if kind in (*BULK_KINDS, "create-inventory") else "one"
        assert ask(control, kind, "--bucket", bucket, *_to(kind))[0] == kind


def _to(kind: str) -> list[str]:
    if kind == "copy-listrange":
        return ["--to", "two"]
    return ["--to", f"to-{kind}"] if kind in ("copy-bck", "move-bck") else []


@pytest.mark.parametrize(
    "name", ["aws://#team/theirs", "aws://@#team/theirs", "theirs", "s3://theirs"]
)
def test_a_bucket_is_named_as_when_it_was_added(control: EmbeddedControlStore, name: str) -> None:
    theirs = BucketRef(BucketName("theirs"), "aws", "@#team")
    props = BucketProps(backend=BackendBinding(theirs))
    control.create_bucket_sync(theirs, OWNER, "us-east-1", props, 1)
    _, arguments = ask(control, "prefetch-listrange", "--bucket", name)
    assert GroupRequest.of_arguments(arguments).source == theirs


def test_work_on_objects_of_a_remote_bucket(control: EmbeddedControlStore) -> None:
    words = ["--template", "s{0..9}", "--latest", "--blob-threshold", "8MiB", "--parallel", "3"]
    _, arguments = ask(control, "prefetch-listrange", "--bucket", "aws://far", *words)
    request = GroupRequest.of_arguments(arguments)
    assert (request.source, request.selection.template) == (FAR, "s{0..9}")
    options = PrefetchOptions(**request.options)
    assert options == PrefetchOptions(latest=True, workers=3, blob_threshold=8 * 1024**2)
    words = ["--object", "a", "--object", "b"]
    _, arguments = ask(control, "evict-listrange", "--bucket", "aws://far", *words)
    assert GroupRequest.of_arguments(arguments).selection.names == ["a", "b"]
    _, arguments = ask(control, "evict-remote-bck", "--bucket", "aws://far", "--keep-bucket")
    assert arguments["keeps_bucket"] == "yes"


def test_a_copy_makes_its_target(control: EmbeddedControlStore) -> None:
    words = ["--bucket", "one", "--to", "ais://new", "--ext", ".jpeg=jpg", "--parallel", "3"]
    _, arguments = ask(control, "copy-bck", *words)
    made = control.bucket(BucketRef(BucketName("new")))
    assert made is not None
    assert made.owner == OWNER
    assert (arguments["bucket"], arguments["to_bucket"]) == ("one", "new")
    options = CopyOptions.parse(arguments["options"])
    assert options == CopyOptions(extensions={"jpeg": "jpg"}, workers=3)


def test_an_inventory_is_made_anew(control: EmbeddedControlStore) -> None:
    words = ["--bucket", "aws://cloud", "--prefix", "p/"]
    _, arguments = ask(control, "create-inventory", *words)
    assert arguments["bucket"] == "aws:///cloud"
    assert InventoryOrder.read(arguments) == InventoryOrder(prefix="p/", renew=True)


def test_a_dry_run_makes_nothing(control: EmbeddedControlStore) -> None:
    ask(control, "copy-bck", "--bucket", "one", "--to", "new", "--dry-run")
    assert control.bucket(BucketRef(BucketName("new"))) is None
