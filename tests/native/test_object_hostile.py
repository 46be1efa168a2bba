"""Requests about objects that no sane client sends: each is refused as the client's fault, and the server goes on."""

from __future__ import annotations

import pytest
import requests
from aistore.sdk import Bucket
from mypy_boto3_s3 import S3Client

from tests.server import Server

QUERIES = [
    ("PUT", "uploadId=x&partNumber=1"),
    ("PUT", "uploadId=x&partNumber=0"),
    ("PUT", "uploadId=x&partNumber=-1"),
    ("PUT", "uploadId=x&partNumber=%D9%A1"),
    ("PUT", "uploadId=x&partNumber=99999999999999999999"),
    ("PUT", "uploadId=x"),
    ("PUT", "uploadId=%FF%00%E2&partNumber=1"),
    ("PUT", "append_type=nonesuch"),
    ("PUT", "append_type=append&append_handle=%FF.1"),
    ("PUT", "append_type=append&append_handle=x.%D9%A1"),
    ("PUT", "append_type=append&append_handle=..1"),
    ("PUT", "append_type=flush&append_handle=" + "x" * 5000),
    ("PUT", "object_to=ais/@%23/"),
    ("PUT", "object_to=%00"),
    ("PUT", "object_to=ais/@%23/other%2Fname"),
    ("PUT", "provider=nonesuch"),
    ("PUT", "namespace=@uuid%23name"),
    ("DELETE", "uploadId=x"),
    ("DELETE", "uploadId=%FF"),
    ("GET", "archpath=../../etc/passwd"),
    ("GET", "archregx=(a%2B)%2B$&archmode=nonesuch"),
    ("GET", "etl_name=x"),
    ("HEAD", "props=" + "x," * 2000),
    ("POST", "uploadId=x"),
    ("POST", ""),
    ("PATCH", ""),
]

MESSAGES = [
    b"",
    b"{",
    b"[]",
    b"5",
    b'"text"',
    b"[" * 100_000,
    b'{"action": 5}',
    b'{"action": {"a": "b"}}',
    b'{"action": "mpt-complete"}',
    b'{"action": "mpt-complete", "value": 5}',
    b'{"action": "mpt-complete", "value": [5]}',
    b'{"action": "mpt-complete", "value": [{"part-number": {}}]}',
    b'{"action": "mpt-complete", "value": [{"part-number": 1e400}]}',
    b'{"action": "mpt-complete", "value": [{"part-number": true, "etag": []}]}',
    b'{"action": "rename-obj", "name": ""}',
    b'{"action": "rename-obj", "name": "\\ud800"}',
    b'{"action": "rename-obj", "name": "x/../y"}',
    b'{"action": "nonesuch"}',
    b"\xff\xfe",
]


@pytest.fixture
def url(server: Server, bucket: Bucket) -> str:
    bucket.object("k").get_writer().put_content(b"data")
    return f"{server.endpoint}/v1/objects/{bucket.name}/k"


def test_queries(url: str, http: requests.Session, server: Server) -> None:
    for method, query in QUERIES:
        reply = http.request(method, f"{url}?{query}", data=b"x", timeout=10)
        assert 400 <= reply.status_code < 500, (method, query)
    assert http.get(url, timeout=10).content == b"data"
    assert server.health() == 200


def test_messages(url: str, http: requests.Session, bucket: Bucket) -> None:
    upload = bucket.object("k").multipart_upload().create()
    for message in MESSAGES:
        for method in ("POST", "PATCH"):
            for query in ("", f"uploadId={upload.upload_id}"):
                reply = http.request(method, f"{url}?{query}", data=message, timeout=10)
                assert 400 <= reply.status_code < 500, (method, query, message[:80])
    assert http.get(url, timeout=10).content == b"data"


def test_nothing_is_told_of_what_a_clients_key_encrypts(
    url: str, http: requests.Session, bucket: Bucket, s3: S3Client
) -> None:
    s3.put_object(
        Bucket=bucket.name,
        Key="sealed",
        Body=b"data",
        Metadata={"of": "the sealed"},
        SSECustomerAlgorithm="AES256",
        SSECustomerKey="k" * 32,
    )
    where = url.replace("/k", "/sealed")
    for method in ("HEAD", "GET"):
        for query in ("", "?props=all", "?archpath=x"):
            reply = http.request(method, where + query, timeout=10)
            assert reply.status_code == 400
            assert "ais-custom-md" not in reply.headers


@pytest.mark.parametrize("path", ["buckets/BUCKET", "ml/moss/BUCKET"])
def test_messages_of_brackets(server: Server, http: requests.Session, url: str, path: str) -> None:
    where = f"{server.endpoint}/v1/{path.replace('BUCKET', url.split('/')[-2])}"
    for piece in (b"[],", b"{},", b"[{},"):
        message = b'{"action":"list","in":[' + piece * 1_000_000 + b"{}]}"
        reply = http.request("GET", where, data=message, timeout=20)
        assert (reply.status_code, "objects and lists" in reply.text) == (400, True)


@pytest.mark.parametrize("half", ['"\\ud800"', '"\\uDFFF"', '"\xed\xa0\x80"'])
def test_halves_of_characters(server: Server, http: requests.Session, url: str, half: str) -> None:
    bucket = url.replace("/objects/", "/buckets/").rpartition("/")[0]
    asked = [
        *(
            ("GET", f"{server.endpoint}/v1/cluster?what={what}", f'{{"uuid": {half}}}')
            for what in ("status", "status_all", "running_all", "qryxstats")
        ),
        *(
            ("GET", bucket, f'{{"action": "{action}", "value": {{"uuid": {half}}}}}')
            for action in ("list", "summary-bck", "summary-shard")
        ),
        *(
            (
                "POST",
                f"{bucket}?bck_to=other",
                f'{{"action": "copy-bck", "value": {{"{field}": {half}}}}}',
            )
            for field in ("prefix", "prepend")
        ),
    ]
    for method, where, message in asked:
        reply = http.request(method, where, data=message.encode("latin-1"), timeout=10)
        assert reply.status_code == 400, (method, where, message)


@pytest.mark.parametrize(
    "text",
    ["bytes=", "bytes=a-b", "bytes=5-1", "bytes=0-1,2-3", "items=0-1", "bytes=--1", "bytes=١-٢"],
)
def test_ranges_that_are_none_are_ignored(url: str, http: requests.Session, text: str) -> None:
    reply = http.get(url, headers={"Range": text.encode()}, timeout=10)
    assert (reply.status_code, reply.content) == (200, b"data")


@pytest.mark.parametrize("path", ["nonesuch", "a//b", "", "objects", "objects/"])
def test_paths_that_lead_nowhere(server: Server, http: requests.Session, path: str) -> None:
    for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        reply = http.request(method, f"{server.endpoint}/v1/{path}", timeout=10)
        assert 400 <= reply.status_code < 500, method
        if method != "HEAD":
            assert reply.headers["Content-Type"] == "application/json"
