"""The aistore SDK writes to buckets that live elsewhere."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.remote.front import Front
from tests.s3compat.boto import MIB, list_keys, read


def test_put_get_delete(front: Front, remote: str, tmp_path: Path) -> None:
    bucket = front.bucket(remote)
    data = secrets.token_bytes(3 * MIB)
    bucket.object("dir/k").get_writer().put_content(data)
    assert front.read_there(remote, "dir/k") == data
    assert bucket.object("dir/k").get_reader().read_all() == data
    path = tmp_path / "file"
    path.write_bytes(b"from a file")
    bucket.object("file").get_writer().put_file(path)
    assert front.read_there(remote, "file") == b"from a file"
    bucket.object("dir/k").delete()
    assert list_keys(front.there, remote) == ["file"]


def test_custom_properties_go_there(front: Front, remote: str) -> None:
    handle = front.bucket(remote).object("k")
    handle.get_writer().put_content(b"data")
    handle.get_writer().set_custom_props({"color": "blue"})
    assert front.there.head_object(Bucket=remote, Key="k")["Metadata"]["color"] == "blue"
    handle.get_writer().set_custom_props({"shape": "round"}, replace_existing=True)
    assert front.there.head_object(Bucket=remote, Key="k")["Metadata"] == {"shape": "round"}
    assert read(front.s3, remote, "k") == b"data"


def test_multipart(front: Front, remote: str) -> None:
    upload = front.bucket(remote).object("k").multipart_upload().create()
    parts = [secrets.token_bytes(5 * MIB), b"the end"]
    for number, part in enumerate(parts, 1):
        upload.add_part(number).put_content(part)
    upload.complete()
    assert front.read_there(remote, "k") == read(front.s3, remote, "k") == b"".join(parts)
    given_up = front.bucket(remote).object("other").multipart_upload().create()
    given_up.add_part(1).put_content(b"part")
    given_up.abort()
    assert list_keys(front.there, remote) == ["k"]
    assert not front.there.list_multipart_uploads(Bucket=remote).get("Uploads")


def test_jobs_on_many(front: Front, remote: str) -> None:
    bucket = front.bucket(remote)
    for number in range(5):
        bucket.object(f"n{number}").get_writer().put_content(b"data")
    job = bucket.objects(obj_names=["n0", "n1"]).delete()
    front.sdk.job(job).wait(timeout=60)
    assert list_keys(front.there, remote) == ["n2", "n3", "n4"]
    other = front.bucket(front.new_bucket())
    for job in bucket.objects(obj_names=["n2", "n3"]).copy(other):
        front.sdk.job(job).wait(timeout=60)
    assert list_keys(front.there, other.name) == ["n2", "n3"]


def test_a_local_bucket_with_a_backend(front: Front, remote: str) -> None:
    view = front.sdk.bucket(f"view-{secrets.token_hex(6)}").create()
    reply = front.ask(
        "PATCH",
        f"/v1/buckets/{view.name}",
        json={
            "action": "set-bprops",
            "value": {"backend_bck": {"name": remote, "provider": "aws"}},
        },
    )
    assert reply.status_code == 200, reply.text
    view.object("k").get_writer().put_content(b"data")
    assert front.read_there(remote, "k") == b"data"
    assert read(front.s3, view.name, "k") == b"data"
    with pytest.raises(front.there.exceptions.NoSuchKey):
        front.read_there(remote, "absent")
