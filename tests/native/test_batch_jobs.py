"""The jobs that batches count in, through the SDK."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from aistore.sdk import Bucket, Client
from mypy_boto3_s3 import S3Client
from urllib3.exceptions import HTTPError

KIND = "get-batch"
DEADLINE_S = 20.0


def job_ids(client: Client) -> set[str]:
    """All get-batch jobs that the cluster knows of."""
    return {snap.id for snap in client.job(job_kind=KIND).get_details().list_snapshots() if snap.id}


def new_job(client: Client, before: set[str]) -> str:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := job_ids(client) - before:
            (job_id,) = found
            assert job_id.startswith("gbt-")
            return job_id
        time.sleep(0.05)
    raise AssertionError("no job")


def test_finished_batch(client: Client, bucket: Bucket, s3: S3Client) -> None:
    for n in range(10):
        s3.put_object(Bucket=bucket.name, Key=f"k/{n}", Body=bytes(100))
    before = job_ids(client)
    assert len(list(client.batch([f"k/{n}" for n in range(10)], bucket).get())) == 10
    job_id = new_job(client, before)
    result = client.job(job_id=job_id, job_kind=KIND).wait(timeout=30)
    assert result.success, result.error
    deadline = time.monotonic() + DEADLINE_S
    while True:
        (snap,) = client.job(job_id=job_id).get_details().list_snapshots()
        if snap.stats.objects == 10 and snap.stats.bytes == 1000:
            break
        assert time.monotonic() < deadline, snap
        time.sleep(0.05)


def test_aborted_job(client: Client, bucket: Bucket, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket.name, Key="k", Body=b"x")
    before = job_ids(client)
    list(client.batch(["k"], bucket).get())
    job_id = new_job(client, before)
    client.job(job_id=job_id, job_kind=KIND).abort()
    result = client.job(job_id=job_id, job_kind=KIND).wait(timeout=30)
    assert not result.success
    assert result.error is not None
    # The next batch has a job of its own.
    list(client.batch(["k"], bucket).get())
    assert new_job(client, before | {job_id})


def test_abort_cuts_a_running_batch(client: Client, bucket: Bucket, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket.name, Key="large", Body=os.urandom(4 * 1024**2))
    before = job_ids(client)
    stream = client.batch(["large"] * 1000, bucket).get(raw=True)
    try:
        stream.read(1024)
        job_id = new_job(client, before)
        client.job(job_id=job_id, job_kind=KIND).abort()
        result = client.job(job_id=job_id, job_kind=KIND).wait(timeout=30)
        assert not result.success
        with Path(os.devnull).open("wb") as nowhere, pytest.raises((HTTPError, OSError)):
            shutil.copyfileobj(stream, nowhere)
    finally:
        stream.close()
