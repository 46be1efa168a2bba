"""A provider that cuts answers short as if that were all, or says another length than it sends: whole objects are right
or an error, whether a copy is kept or there is no room for one, and none is kept that is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.contract.world import pattern
from tests.counterparts.started import S3Endpoint
from tests.remote.cold import CUT, MIB
from tests.remote.front import Front, start_front
from tests.s3compat.boto import read, status_of
from tests.shaper import Kind, Shaper, shaped

DATA, NEXT = pattern(3 * MIB), pattern(3 * MIB, seed=2)
WRONGS: list[tuple[Kind, int]] = [
    ("truncate", 2 * MIB),
    ("truncate", 0),
    ("lie", -1),
    ("lie", 1),
    ("flip", MIB),
]


@pytest.fixture(scope="module")
def shaper(second_weir: S3Endpoint) -> Iterator[Shaper]:
    with shaped(second_weir.endpoint) as made:
        yield made


@pytest.fixture(scope="module", params=["kept", "past"])
def far(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    second_weir: S3Endpoint,
    shaper: Shaper,
) -> Iterator[Front]:
    """A weir with room for copies, and one without."""
    endpoint = S3Endpoint(shaper.endpoint, second_weir.keys)
    quota = {} if request.param == "kept" else {"WEIR_STORAGE_QUOTA_BYTES": str(2 * MIB)}
    started = start_front(tmp_path_factory.mktemp(request.param), endpoint, settings=quota)
    try:
        yield started
    finally:
        started.server.stop()


def is_refused(far: Front, bucket: str) -> bool:
    """Whether a read ends in an error, of whichever kind."""
    try:
        read(far.s3, bucket, "k")
    except ClientError as error:
        return status_of(error) == 503
    except CUT:
        return True
    return False


@pytest.mark.parametrize(("kind", "at_bytes"), WRONGS)
def test_a_cold_read(far: Front, shaper: Shaper, kind: Kind, at_bytes: int) -> None:
    bucket = far.new_bucket()
    far.put_there(bucket, "k", DATA)
    shaper.fail(kind, method="GET", path="/k", times=-1, at_bytes=at_bytes)
    assert is_refused(far, bucket)
    shaper.release()
    assert read(far.s3, bucket, "k") == DATA


@pytest.mark.parametrize(("kind", "at_bytes"), WRONGS)
def test_a_copy_that_is_outdated(far: Front, shaper: Shaper, kind: Kind, at_bytes: int) -> None:
    bucket = far.new_bucket()
    message = {"action": "set-bprops", "value": {"versioning": {"validate_warm_get": True}}}
    reply = far.ask("PATCH", f"/v1/buckets/{bucket}?provider=aws", json=message)
    assert reply.status_code == 200, reply.text
    far.put_there(bucket, "k", DATA)
    assert read(far.s3, bucket, "k") == DATA
    far.put_there(bucket, "k", NEXT)
    shaper.fail(kind, method="GET", path="/k", times=-1, at_bytes=at_bytes)
    assert is_refused(far, bucket)
    shaper.release()
    assert read(far.s3, bucket, "k") == NEXT
