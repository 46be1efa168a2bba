"""The counterparts themselves: each comes up and does what tests take for granted."""

from __future__ import annotations

import secrets

import pytest

from tests.counterparts.started import Counterparts, S3Endpoint


@pytest.mark.parametrize("name", ["moto", "weir", "rclone"])
def test_counterpart(counterparts: Counterparts, name: str) -> None:
    endpoint: S3Endpoint = getattr(counterparts, name)()
    client = endpoint.client()
    bucket = f"there-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="dir/k", Body=b"data")
    with client.get_object(Bucket=bucket, Key="dir/k")["Body"] as body:
        assert body.read() == b"data"
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["dir/k"]
