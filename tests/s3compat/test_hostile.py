"""Requests that are meant to do harm: what they ask for is refused, and nobody else suffers."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import purge
from tests.s3compat.conftest import DOMAIN
from tests.s3compat.signing import UNSIGNED, Scope, authorize_v4, presign_v2, presign_v4
from tests.s3compat.wire import Reply, Wire, exchange, head, host_of, signed_headers
from tests.server import OTHER_KEYS, ROOT_KEYS, Keys, Server


@pytest.fixture
def open_bucket(client: S3Client) -> Iterator[str]:
    """A bucket that anyone may write to."""
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name, ACL="public-read-write")
    yield name
    purge(client, name)


def presigned(server: Server, method: str, target: str, body: bytes = b"") -> Reply:
    """The answer to a URL of version 4 presigned by root."""
    url = presign_v4(Scope(ROOT_KEYS, time.time()), method, target, {"host": host_of(server)})
    headers = {"host": host_of(server), "content-length": str(len(body))}
    with Wire(server) as wire:
        return wire.request(method, url, headers, body)


# --- what a URL carries in place of headers


@pytest.mark.parametrize(
    "parameter",
    [
        "x-amz-meta-a%0D%0ASet-Cookie:%20evil%3D1%0D%0Ab=1",
        "x-amz-meta-a:%20b=1",
        "x-amz-meta-%E6%97%A5=1",
        "x-amz-meta-a=1%0D%0ASet-Cookie:%20evil%3D1",
        "x-amz-website-redirect-location=/%00",
    ],
)
def test_parameter_that_is_no_header(server: Server, bucket: str, parameter: str) -> None:
    reply = presigned(server, "PUT", f"/{bucket}/k?{parameter}", b"x")
    assert (reply.status, reply.error_code) == (400, "InvalidArgument")
    assert exchange(server, "GET", f"/{bucket}/k").status == 404


def test_parameter_that_is_no_header_in_version_2(server: Server, bucket: str) -> None:
    url = presign_v2(ROOT_KEYS, "GET", f"/{bucket}", 9_999_999_999) + "&x-amz-%E6%97%A5=1"
    with Wire(server) as wire:
        reply = wire.request("GET", url, {"host": host_of(server)})
    assert (reply.status, reply.error_code) == (400, "InvalidArgument")


@pytest.mark.parametrize("parameter", ["%75ploads", "version%73", "l%6Fcation="])
def test_encoded_subresource_is_signed_too(server: Server, bucket: str, parameter: str) -> None:
    url = presign_v2(ROOT_KEYS, "GET", f"/{bucket}", 9_999_999_999) + f"&{parameter}"
    with Wire(server) as wire:
        reply = wire.request("GET", url, {"host": host_of(server)})
    assert (reply.status, reply.error_code) == (403, "SignatureDoesNotMatch")


def test_key_that_begins_as_the_prefix_of_path_style(server: Server, bucket: str) -> None:
    host = f"{bucket}.{DOMAIN}"
    headers = {"host": host, "content-length": "1"}
    signed = authorize_v4(Scope(ROOT_KEYS, time.time()), "PUT", "/s3/k", headers, UNSIGNED)
    with Wire(server) as wire:
        assert wire.request("PUT", "/s3/k", signed, b"x").status == 200
    assert exchange(server, "GET", f"/{bucket}/s3/k").body == b"x"
    assert exchange(server, "GET", f"/{bucket}/k").status == 404
    # Signed for another key of that bucket, in the form that path style would allow.
    url = presign_v2(ROOT_KEYS, "GET", f"/{bucket}/k", 9_999_999_999).replace(
        f"/{bucket}/k", "/s3/k"
    )
    with Wire(server) as wire:
        assert wire.request("GET", url, {"host": host}).error_code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("expires", ["٣٠٠", "3_00", "+300", "9" * 4000])
def test_expires_is_in_plain_digits(server: Server, bucket: str, expires: str) -> None:
    url = presign_v4(
        Scope(ROOT_KEYS, time.time()), "GET", f"/{bucket}", {"host": host_of(server)}, expires
    )
    with Wire(server) as wire:
        reply = wire.request("GET", url, {"host": host_of(server)})
    assert (reply.status, reply.error_code) == (400, "AuthorizationQueryParametersError")


def test_numbers_are_in_plain_digits(server: Server, bucket: str) -> None:
    assert exchange(server, "GET", f"/{bucket}?max-keys={quote('١')}").status == 400


# --- metadata


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "undefined"])
def test_encoded_word_of_an_odd_charset(server: Server, bucket: str, charset: str) -> None:
    word = f"=?{charset}?Q?=5Cud800?="
    reply = exchange(server, "PUT", f"/{bucket}/k", body=b"x", headers={"x-amz-meta-a": word})
    assert reply.status == 200
    assert exchange(server, "HEAD", f"/{bucket}/k").headers["x-amz-meta-a"].isascii()


@pytest.mark.parametrize("repeats", [(300, 500), (4000, 6000)])
def test_almost_an_encoded_word_takes_no_time(
    server: Server, bucket: str, repeats: tuple[int, int]
) -> None:
    value = "=?x" * repeats[0] + "?B" * repeats[1]
    started = time.monotonic()
    exchange(server, "PUT", f"/{bucket}/k", body=b"x", headers={"x-amz-meta-a": value})
    assert time.monotonic() - started < 0.2


# --- forms


def post(server: Server, bucket: str, fields: list[tuple[str, str]]) -> Reply:
    """An anonymous form with a small file."""
    parts = [*fields, ("file", "data")]
    body = "".join(
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts
    )
    headers = {"content-type": "multipart/form-data; boundary=B"}
    sent = (body + "--B--\r\n").encode()
    return exchange(server, "POST", f"/{bucket}", body=sent, headers=headers, keys=None)


@pytest.mark.parametrize("name", ["x-amz-meta-a: b", "x-amz-meta-日", "x-amz-meta-a b"])
def test_form_field_that_is_no_header(server: Server, open_bucket: str, name: str) -> None:
    reply = post(server, open_bucket, [("key", "k"), (name, "1")])
    assert (reply.status, reply.error_code) == (400, "InvalidArgument")


def test_policy_with_half_a_character(server: Server, open_bucket: str) -> None:
    scope = Scope(ROOT_KEYS, time.time())
    document = json.dumps({"expiration": "\ud800", "conditions": []}).encode()
    policy = base64.b64encode(document).decode()
    fields = [
        ("key", "k"),
        ("policy", policy),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", f"{scope.keys.access_key}/{scope.credential}"),
        ("x-amz-date", scope.timestamp),
        ("x-amz-signature", scope.sign(policy)),
    ]
    reply = post(server, open_bucket, fields)
    assert (reply.status, reply.error_code) == (400, "InvalidPolicyDocument")


# --- what unknown callers may make the server keep


def test_credentials_of_unknown_callers_are_not_kept(server: Server) -> None:
    before = server.resident_bytes()
    with Wire(server) as wire:
        for number in range(500):
            credential = f"{number}{'A' * 50_000}/20260101/us-east-1/s3/aws4_request"
            headers = {
                "host": host_of(server),
                "x-amz-date": "20260101T000000Z",
                "x-amz-content-sha256": UNSIGNED,
                "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, "
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00",
            }
            assert wire.request("GET", "/", headers).status == 400
    assert server.resident_bytes() < before + 16 * 1024**2


def test_flood_of_pipelined_requests(server: Server) -> None:
    before = server.resident_bytes()
    sent = 0
    deadline = time.monotonic() + 3
    with Wire(server, timeout_s=1) as wire:
        try:
            while sent < 8_000_000 and time.monotonic() < deadline:
                wire.send(b"GET / HTTP/1.1\r\n\r\n" * 2000)
                sent += 36_000
        except OSError:
            pass  # refused, or not taken any more
        assert server.resident_bytes() < before + 24 * 1024**2
    assert exchange(server, "GET", "/").status == 200


def test_more_headers_than_anyone_needs(server: Server) -> None:
    with Wire(server) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 3000 + b"\r\n")
        assert wire.receive().error_code == "RequestHeaderSectionTooLarge"


# --- what stands in the body's place


def chunked(server: Server, target: str, end: bytes) -> bytes:
    """A signed PUT of a chunk of five bytes, and `end`."""
    headers = signed_headers(
        server, "PUT", target, headers={"transfer-encoding": "chunked"}, payload_hash=UNSIGNED
    )
    return head("PUT", target, headers) + b"5\r\nabcde\r\n" + end


@pytest.mark.parametrize("end", [b"XX\r\n", b"-1\r\n", b"f" * 17 + b"\r\n", b"5 \0\r\n"])
@pytest.mark.parametrize("is_split", [False, True])
def test_chunks_that_are_none(server: Server, bucket: str, end: bytes, is_split: bool) -> None:
    with Wire(server, timeout_s=5) as wire:
        wire.send(chunked(server, f"/{bucket}/k", b"" if is_split else end))
        if is_split:
            time.sleep(0.1)
            wire.send(end)
        assert wire.receive().status == 400
        assert wire.is_ended()
    assert exchange(server, "GET", f"/{bucket}/k").status == 404


def test_http_trailers_do_not_become_headers(server: Server, bucket: str) -> None:
    end = b"0\r\nContent-Type: evil/evil\r\n\r\n"
    get = head("GET", f"/{bucket}/k", signed_headers(server, "GET", f"/{bucket}/k"))
    with Wire(server, timeout_s=5) as wire:
        wire.send(chunked(server, f"/{bucket}/k", end))
        assert wire.receive().status == 200
        wire.send(get)
        reply = wire.receive()
    assert (reply.body, reply.headers["content-type"]) == (b"abcde", "binary/octet-stream")


def test_head_in_pieces_after_its_length(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    signed = signed_headers(server, "PUT", target, body=b"12345")
    signed = {"content-length": signed.pop("content-length"), **signed}
    sent = head("PUT", target, signed) + b"12345"
    with Wire(server, timeout_s=5) as wire:
        for _ in range(2):
            for place in range(0, len(sent), 50):
                wire.send(sent[place : place + 50])
                time.sleep(0.002)
            assert wire.receive().status == 200
    assert exchange(server, "GET", target).body == b"12345"


# --- what others began, and what others can read


@pytest.mark.parametrize("keys", [OTHER_KEYS, None], ids=["other", "anonymous"])
def test_upload_is_left_to_who_began_it(
    server: Server, client: S3Client, open_bucket: str, keys: Keys | None
) -> None:
    upload = client.create_multipart_upload(Bucket=open_bucket, Key="k")["UploadId"]
    target = f"/{open_bucket}/k?uploadId={upload}"
    client.put_object(Bucket=open_bucket, Key="open", Body=b"x", ACL="public-read")
    copy = {"x-amz-copy-source": f"/{open_bucket}/open"}
    part = b"<Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"
    document = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % part
    replies = [
        exchange(server, "PUT", f"{target}&partNumber=1", body=b"x", keys=keys),
        exchange(server, "PUT", f"{target}&partNumber=1", headers=copy, keys=keys),
        exchange(server, "POST", target, body=document, keys=keys),
        exchange(server, "DELETE", target, keys=keys),
    ]
    assert [reply.error_code for reply in replies] == ["AccessDenied"] * 4
    client.abort_multipart_upload(Bucket=open_bucket, Key="k", UploadId=upload)


def test_others_continue_their_own_uploads(
    server: Server, other_client: S3Client, open_bucket: str
) -> None:
    made = other_client.create_multipart_upload(Bucket=open_bucket, Key="k")["UploadId"]
    names = {"Bucket": open_bucket, "Key": "k", "UploadId": made}
    tag = other_client.upload_part(**names, PartNumber=1, Body=b"x")["ETag"]  # type: ignore[arg-type]
    parts = {"Parts": [{"ETag": tag, "PartNumber": 1}]}
    other_client.complete_multipart_upload(**names, MultipartUpload=parts)  # type: ignore[arg-type]
    anonymous = exchange(server, "POST", f"/{open_bucket}/a?uploads", keys=None)
    identifier = anonymous.document.findtext("{*}UploadId")
    target = f"/{open_bucket}/a?uploadId={identifier}"
    assert exchange(server, "PUT", f"{target}&partNumber=1", body=b"x", keys=None).status == 200
    assert exchange(server, "DELETE", target, keys=None).status == 204


def test_other_accounts_of_the_machine_read_nothing(server: Server, bucket: str) -> None:
    exchange(server, "PUT", f"/{bucket}/large", body=bytes(3_000_000))
    directory = server.options.data_dirs[0]
    found = [path for path in directory.rglob("*") if path.stat().st_mode & 0o077]
    assert found == []
