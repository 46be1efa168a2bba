"""The records of server access logs: every field, and that nothing a client sends can look like another field."""

from __future__ import annotations

import pytest

from core.configs.logging import Logging
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.types import Bucket, BucketProps, Identity, User
from s3api.call import Call, Request, Response, Settings
from s3api.server_log import BATCH_DELETE, LogEntry, Outcome, row_of

USER = User(UserId("alice"), "alice", "Alice")
BUCKET = Bucket(
    BucketRef(BucketName("bucket")),
    1,
    User(UserId("owner"), "owner", "Owner"),
    1,
    "us-east-1",
    BucketProps(logging=Logging("target", "log/")),
)


class Clock:
    def now_ns(self) -> int:
        return 0


def request(
    operation: str = "PutObject",
    method: str = "PUT",
    query: dict[str, str] | None = None,
    raw_query: bytes = b"",
    **headers: str,
) -> Request:
    return Request(
        method,
        b"/bucket/key",
        raw_query,
        {name.replace("_", "-"): value for name, value in headers.items()},
        query or {},
        "bucket",
        None if "Bucket" in operation else b"key",
        "http",
        "s3.test",
        "10.0.0.1",
        request_id="ID",
        operation=operation,
    )


def line(
    asked: Request,
    response: Response | None = None,
    user: User | None = USER,
    key: str = "key",
    operation: str = "",
) -> list[str]:
    call = Call(asked, Identity(user), None, Clock(), Settings())  # type: ignore[arg-type]
    call.key = ObjectKey(key)
    entry = LogEntry(call, BUCKET, operation=operation, status=204 if operation else 0)
    done = Outcome(response or Response(), 200, 7, 0.0123, 0.0104, 10**18)
    row = row_of(entry, asked, done)
    assert (row.source.name, row.target.target_bucket, row.time_ns) == ("bucket", "target", 10**18)
    return _split(row.line)


def _split(text: str) -> list[str]:
    """By blanks, but for those in brackets and quotes."""
    fields, current, end = [], "", " "
    for character in text:
        if character == end and end == " ":
            fields.append(current)
            current = ""
        elif character == end:
            current, end = current + character, " "
        else:
            if not current and character in '["':
                end = {"[": "]", '"': '"'}[character]
            current += character
    return [*fields, current]


def test_all_fields() -> None:
    asked = request(authorization="AWS4-HMAC-SHA256 x", user_agent="me 1.0", content_length="5")
    fields = line(asked, Response(200, [(b"x-amz-version-id", b"v1")]))
    host_id = fields.pop(18)
    assert len(host_id) > 10
    assert fields == [
        "owner",
        "bucket",
        "[09/Sep/2001:01:46:40 +0000]",
        "10.0.0.1",
        "alice",
        "ID",
        "REST.PUT.OBJECT",
        "key",
        '"PUT /bucket/key HTTP/1.1"',
        "200",
        "-",
        "7",
        "5",
        "12",
        "10",
        '"-"',
        '"me 1.0"',
        "v1",
        "SigV4",
        "-",
        "AuthHeader",
        "s3.test",
        "-",
        "-",
        "-",
    ]


@pytest.mark.parametrize("harm", ['" "', "a b", "\n", "\x00\x7f", "] [", '"', "\x85\xa0"])
def test_nothing_that_was_sent_breaks_a_record(harm: str) -> None:
    asked = request(user_agent=harm, referer=harm, raw_query=b"x=%s" % harm.encode("latin-1"))
    asked.host = harm
    asked.query = {"versionId": harm}
    fields = line(asked, key=harm)
    assert len(fields) == 26
    assert all(" " <= character <= "~" for field in fields for character in field)


def test_signatures_are_left_out() -> None:
    raw_query = b"X-Amz-Credential=c&X-Amz-Signature=abcdef&x=1"
    query = {"X-Amz-Signature": "abcdef"}
    fields = line(request("GetObject", "GET", query, raw_query))
    assert fields[8] == '"GET /bucket/key?X-Amz-Credential=c&X-Amz-Signature=...&x=1 HTTP/1.1"'
    assert (fields[19], fields[21]) == ("SigV4", "QueryString")


@pytest.mark.parametrize(
    ("operation", "method", "query", "said"),
    [
        ("GetObject", "GET", {}, "REST.GET.OBJECT"),
        ("DeleteBucket", "DELETE", {}, "REST.DELETE.BUCKET"),
        ("GetBucketVersioning", "GET", {"versioning": ""}, "REST.GET.VERSIONING"),
        ("PutBucketTagging", "PUT", {"tagging": ""}, "REST.PUT.TAGGING"),
        ("PutObjectTagging", "PUT", {"tagging": ""}, "REST.PUT.OBJECT_TAGGING"),
        ("GetObjectAcl", "GET", {"acl": ""}, "REST.GET.ACL"),
        ("UploadPart", "PUT", {"partNumber": "1", "uploadId": "u"}, "REST.PUT.PART"),
        ("GetBucketLogging", "GET", {"logging": ""}, "REST.GET.LOGGING_STATUS"),
    ],
)
def test_operations(operation: str, method: str, query: dict[str, str], said: str) -> None:
    assert line(request(operation, method, query))[6] == said


def test_errors_and_strangers() -> None:
    refused = Response(403, code="AccessDenied")
    fields = line(request(signature="x"), refused, user=None)
    assert (fields[4], fields[10], fields[19], fields[21]) == ("-", "AccessDenied", "-", "-")


def test_a_key_of_a_batch() -> None:
    fields = line(request("DeleteObjects", "POST"), operation=BATCH_DELETE)
    assert fields[6:12] == [BATCH_DELETE, "key", "-", "204", "-", "-"]
