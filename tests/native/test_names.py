"""Names of objects: what a path decodes to, once, is the name on every way in and out."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import requests
from aistore.sdk import Bucket
from mypy_boto3_s3 import S3Client

from tests.server import Server

NAMES = [
    "%",
    "%25",
    "%3D",
    "%2F",
    "a%2Fb",
    "track%20space.wav",
    "track?name=lofi&v=1",
    "file_#@!$%^&*()_+.mp3",
    "my audio file .m4a",
    "你好世界",
    "-hidden.ogg",
    ".audio_hidden.wav",
    "yHvMJM(s\\(0hR\\3\\)",
    "a+b c",
    "dir/..hidden/...",
    "a//b",
    " leading and trailing ",
    "quote\"s'and`ticks",
    "semi;colon,comma",
    "new\nline",
    "\U0001f600/é/e\u0301",
    "~tilde",
    "x" * 1024,
    "deep/" * 200 + "k",
]
BAD = ["..", ".", "a/../b", "a/./b", "../a", "a/..", "dir/", "~/a", "x" * 1025]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_name_round_trips(bucket: Bucket, s3: S3Client, name: str) -> None:
    data = name.encode()
    bucket.object(name).get_writer().put_content(data)
    assert bucket.object(name).get_reader().read_all() == data
    assert s3.get_object(Bucket=bucket.name, Key=name)["Body"].read() == data
    (listed,) = s3.list_objects_v2(Bucket=bucket.name)["Contents"]
    assert listed["Key"] == name
    target = f"copy of {name}"[:1024]
    bucket.object(name).copy(bucket.object(target))
    assert bucket.object(target).get_reader().read_all() == data
    bucket.object(name).delete()
    bucket.object(target).delete()
    assert s3.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0


@pytest.mark.parametrize("name", BAD, ids=range(len(BAD)))
def test_name_that_is_none(
    server: Server, bucket: Bucket, http: requests.Session, name: str
) -> None:
    url = f"{server.endpoint}/v1/objects/{bucket.name}/{quote(name, safe='')}"
    # Sent as it stands: clients tidy dots away.
    request = http.prepare_request(requests.Request("PUT", url, data=b"x"))
    request.url = url.replace(".", "%2E").replace("127%2E0%2E0%2E1", "127.0.0.1")
    reply = http.send(request, timeout=10)
    assert reply.status_code == 400
    assert reply.json()["status"] == 400


def test_bytes_that_are_no_text(server: Server, bucket: Bucket, http: requests.Session) -> None:
    url = f"{server.endpoint}/v1/objects/{bucket.name}/%ff%fe"
    assert http.put(url, data=b"x", timeout=10).status_code == 400
    assert http.get(url, timeout=10).status_code == 400


def test_keys_of_s3_that_are_no_names(
    server: Server, bucket: Bucket, s3: S3Client, http: requests.Session
) -> None:
    """They stay S3's; a virtual directory can be asked after."""
    s3.put_object(Bucket=bucket.name, Key="dir/", Body=b"")
    url = f"{server.endpoint}/v1/objects/{bucket.name}/dir/"
    assert http.get(url, timeout=10).status_code == 400
    assert http.head(f"{url}?props=", timeout=10).status_code == 200
    assert http.head(f"{url[:-1]}s/", timeout=10).status_code == 404
