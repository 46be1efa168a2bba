"""What an error looks like, and that what weir does not know is never taken for something else."""

from __future__ import annotations

import pytest

from tests.s3compat.wire import exchange
from tests.server import Server

LATER = [
    "accelerate", "analytics", "cors", "encryption", "intelligent-tiering", "inventory",
    "lifecycle", "logging", "metrics", "notification", "object-lock", "ownershipControls",
    "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "tagging",
    "versioning", "website",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("subresource", LATER)
def test_bucket_subresource_not_implemented(
    server: Server, bucket: str, method: str, subresource: str
) -> None:
    reply = exchange(server, method, f"/{bucket}?{subresource}")
    # Those that another capability serves by now answer as themselves; none is the plain operation.
    assert b"ListBucketResult" not in reply.body
    if reply.status == 501:
        assert reply.error_code == "NotImplemented"
    assert exchange(server, "HEAD", f"/{bucket}").status == 200


@pytest.mark.parametrize("subresource", ["retention", "legal-hold", "torrent", "restore", "select"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_object_subresource_not_implemented(
    server: Server, bucket: str, method: str, subresource: str
) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"kept")
    reply = exchange(
        server, method, f"/{bucket}/k?{subresource}", body=b"" if method == "GET" else b"x"
    )
    assert reply.status in {400, 404, 405, 501}
    assert exchange(server, "GET", f"/{bucket}/k").body == b"kept"


def test_error_shape(server: Server, bucket: str) -> None:
    reply = exchange(server, "GET", f"/{bucket}/a%20key")
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/xml"
    error = reply.document
    assert error.tag == "Error"
    assert error.findtext("Code") == "NoSuchKey"
    assert error.findtext("Message") == "The specified key does not exist."
    assert error.findtext("Key") == "a key"
    assert error.findtext("Resource") in {f"/{bucket}/a%20key", f"/{bucket}/a key"}
    assert error.findtext("RequestId") == reply.headers["x-amz-request-id"]
    assert error.findtext("HostId") == reply.headers["x-amz-id-2"]


def test_request_ids_differ(server: Server, bucket: str) -> None:
    replies = [exchange(server, "GET", f"/{bucket}") for _ in range(3)]
    assert len({reply.headers["x-amz-request-id"] for reply in replies}) == 3


def test_error_escapes_xml(server: Server, bucket: str) -> None:
    reply = exchange(server, "GET", f"/{bucket}/%3Cb%3E%26%22%01")
    assert reply.status == 404
    assert b"<b>" not in reply.body
    # A control character has no place in XML 1.0, escaped or not, and S3 puts it there all the same.
    assert b"<Code>NoSuchKey</Code>" in reply.body


def test_method_not_allowed(server: Server, bucket: str) -> None:
    for method, target in (("PATCH", f"/{bucket}/k"), ("DELETE", "/"), ("PUT", "/")):
        reply = exchange(server, method, target)
        assert (reply.status, reply.error_code) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("target", ["/{}/%FF", "/{}/k%C3", "/{}/%ED%A0%80"])
def test_key_not_utf8(server: Server, bucket: str, target: str) -> None:
    reply = exchange(server, "GET", target.format(bucket))
    assert reply.status == 400
    assert b"Traceback" not in reply.body


def test_health_needs_no_key(server: Server) -> None:
    assert exchange(server, "GET", "/-/health", keys=None).status == 200
