"""Object Lock: a bucket's configuration, retentions and legal holds of versions, and who overcomes them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import pytest

from tests.unit.s3api.front import Answer, Front

UNTIL = "2030-01-01T00:00:00.500Z"
LATER = "2031-01-01T00:00:00.000Z"
BYPASS = {"x-amz-bypass-governance-retention": "true"}
GOVERNANCE = {
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-retain-until-date": UNTIL,
}


def send(
    front: Front, method: str, path: str, body: str | bytes, headers: Mapping[str, str] = {}
) -> Answer:
    """With the digest that locks demand."""
    raw = body.encode() if isinstance(body, str) else body
    digest = base64.b64encode(hashlib.md5(raw).digest()).decode()
    return front(method, path, raw, {"content-md5": digest, **headers})


@pytest.fixture
def locked(front: Front) -> Front:
    front("PUT", "/locked", headers={"x-amz-bucket-object-lock-enabled": "true"})
    return front


def put(front: Front, headers: Mapping[str, str] = {}) -> str:
    answer = send(front, "PUT", "/locked/key", b"data", headers)
    assert answer.status == 200
    return answer.headers["x-amz-version-id"]


def retention(mode: str, until: str) -> str:
    return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"


def configuration(period: str, mode: str = "GOVERNANCE") -> str:
    return (
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
        f"<DefaultRetention><Mode>{mode}</Mode>{period}</DefaultRetention></Rule>"
        "</ObjectLockConfiguration>"
    )


# --- configuration -----------------------------------------------------------------------------------------------


def test_configuration(locked: Front) -> None:
    fresh = locked("GET", "/locked?object-lock")
    assert (fresh.text("ObjectLockEnabled"), fresh.texts("Rule")) == ("Enabled", [])
    for period, mode in (("<Days>3</Days>", "GOVERNANCE"), ("<Years>2</Years>", "COMPLIANCE")):
        body = configuration(period, mode)
        assert send(locked, "PUT", "/locked?object-lock", body).status == 200
        assert body.encode() in locked("GET", "/locked?object-lock").body.replace(
            b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b""
        )
    without = configuration("").partition("<Rule>")[0] + "</ObjectLockConfiguration>"
    assert send(locked, "PUT", "/locked?object-lock", without).status == 200
    assert locked("GET", "/locked?object-lock").texts("Rule") == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (configuration("<Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (configuration(""), "MalformedXML"),
        (configuration("<Days>x</Days>"), "MalformedXML"),
        (configuration("<Days>0</Days>"), "InvalidRetentionPeriod"),
        (configuration("<Years>-1</Years>"), "InvalidRetentionPeriod"),
        (configuration("<Days>36501</Days>"), "InvalidRetentionPeriod"),
        (configuration("<Years>101</Years>"), "InvalidRetentionPeriod"),
        (configuration("<Days>1</Days>", "governance"), "MalformedXML"),
        (configuration("<Days>1</Days>").replace("Enabled<", "Disabled<"), "MalformedXML"),
        ("<ObjectLockConfiguration/>", "MalformedXML"),
    ],
)
def test_configuration_refused(locked: Front, body: str, code: str) -> None:
    answer = send(locked, "PUT", "/locked?object-lock", body)
    assert (answer.status, answer.code) == (400, code)
    assert locked("GET", "/locked?object-lock").texts("Rule") == []


def test_configuration_of_a_bucket_without_lock(front: Front) -> None:
    answer = front("GET", "/bucket?object-lock")
    assert (answer.status, answer.code) == (404, "ObjectLockConfigurationNotFoundError")
    body = configuration("<Days>1</Days>")
    assert send(front, "PUT", "/bucket?object-lock", body).code == "InvalidBucketState"
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    front("PUT", "/bucket?versioning", enabled)
    assert send(front, "PUT", "/bucket?object-lock", body).status == 200
    assert front("GET", "/bucket?object-lock").text("Rule/DefaultRetention/Days") == "1"


def test_digests_are_demanded(locked: Front) -> None:
    put(locked)
    for path, body in (
        ("/locked?object-lock", configuration("<Days>1</Days>")),
        ("/locked/key?retention", retention("GOVERNANCE", UNTIL)),
        ("/locked/key?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>"),
    ):
        assert locked("PUT", path, body.encode()).code == "InvalidRequest"
    assert locked("PUT", "/locked/key", b"", GOVERNANCE).code == "InvalidRequest"
    assert locked("PUT", "/locked/key", b"").status == 200
    send(locked, "PUT", "/locked?object-lock", configuration("<Days>1</Days>"))
    assert locked("PUT", "/locked/key", b"").code == "InvalidRequest"


# --- retention ---------------------------------------------------------------------------------------------------


def test_retention_of_a_new_version(locked: Front) -> None:
    version = put(locked, GOVERNANCE)
    read = locked("GET", "/locked/key?retention")
    assert (read.text("Mode"), read.text("RetainUntilDate")) == ("GOVERNANCE", UNTIL)
    for method in ("GET", "HEAD"):
        headers = locked(method, "/locked/key").headers
        assert {name: headers[name] for name in GOVERNANCE} == GOVERNANCE
    path = f"/locked/key?versionId={version}"
    refused = locked("DELETE", path)
    assert (refused.status, refused.code) == (403, "AccessDenied")
    assert locked("DELETE", "/locked/key").headers["x-amz-delete-marker"] == "true"
    assert locked("DELETE", path).status == 403
    assert locked("DELETE", path, headers=BYPASS).status == 204


def test_default_retention(locked: Front) -> None:
    send(locked, "PUT", "/locked?object-lock", configuration("<Days>1</Days>", "COMPLIANCE"))
    version = put(locked)
    read = locked("GET", "/locked/key?retention")
    # The clock stands at 22:13:20.123 on the 14th.
    assert read.text("RetainUntilDate") == "2023-11-15T22:13:20.123Z"
    path = f"/locked/key?versionId={version}"
    assert locked("DELETE", path, headers=BYPASS).status == 403
    locked.clock.time_ns += 86_400 * 10**9
    assert locked("DELETE", path).status == 204


def test_retention_grows_and_shrinks_only_by_bypass(locked: Front) -> None:
    put(locked)
    for mode, until, headers, status in (
        ("GOVERNANCE", UNTIL, {}, 200),
        ("GOVERNANCE", LATER, {}, 200),
        ("GOVERNANCE", UNTIL, {}, 403),
        ("COMPLIANCE", LATER, {}, 403),
        ("GOVERNANCE", UNTIL, BYPASS, 200),
        ("COMPLIANCE", UNTIL, BYPASS, 200),
        ("GOVERNANCE", LATER, BYPASS, 403),
        ("COMPLIANCE", LATER, {}, 200),
    ):
        body = retention(mode, until)
        assert send(locked, "PUT", "/locked/key?retention", body, headers).status == status


def test_retention_is_taken_away_by_bypass(locked: Front) -> None:
    put(locked, GOVERNANCE)
    assert send(locked, "PUT", "/locked/key?retention", "<Retention/>").status == 403
    assert send(locked, "PUT", "/locked/key?retention", "<Retention/>", BYPASS).status == 200
    answer = locked("GET", "/locked/key?retention")
    assert (answer.status, answer.code) == (404, "NoSuchObjectLockConfiguration")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (retention("governance", UNTIL), "MalformedXML"),
        (retention("GOVERNANCE", "soon"), "MalformedXML"),
        (retention("GOVERNANCE", "9999-12-31T23:59:59.999999-23:59"), "InvalidArgument"),
        (retention("GOVERNANCE", "2263-01-01T00:00:00Z"), "InvalidArgument"),
        (retention("GOVERNANCE", "2023-11-14T22:13:20.123Z"), "InvalidArgument"),
        ("<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
    ],
)
def test_retention_refused(locked: Front, body: str, code: str) -> None:
    put(locked)
    answer = send(locked, "PUT", "/locked/key?retention", body)
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-object-lock-mode": "GOVERNANCE"},
        {"x-amz-object-lock-retain-until-date": UNTIL},
        {**GOVERNANCE, "x-amz-object-lock-mode": "governance"},
        {**GOVERNANCE, "x-amz-object-lock-retain-until-date": "soon"},
        {**GOVERNANCE, "x-amz-object-lock-retain-until-date": "2020-01-01T00:00:00Z"},
        {"x-amz-object-lock-legal-hold": "on"},
    ],
)
def test_lock_headers_refused(locked: Front, headers: dict[str, str]) -> None:
    answer = send(locked, "PUT", "/locked/key", b"data", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert locked("HEAD", "/locked/key").status == 404


# --- legal hold --------------------------------------------------------------------------------------------------


def test_legal_hold(locked: Front) -> None:
    version = put(locked, {"x-amz-object-lock-legal-hold": "ON"})
    path = f"/locked/key?versionId={version}"
    assert locked("HEAD", "/locked/key").headers["x-amz-object-lock-legal-hold"] == "ON"
    assert locked("DELETE", path, headers=BYPASS).code == "AccessDenied"
    for status in ("ON", "OFF"):
        body = f"<LegalHold><Status>{status}</Status></LegalHold>"
        assert send(locked, "PUT", "/locked/key?legal-hold", body).status == 200
        assert locked("GET", "/locked/key?legal-hold").text("Status") == status
        assert locked("HEAD", "/locked/key").headers["x-amz-object-lock-legal-hold"] == status
    assert locked("DELETE", path).status == 204


def test_legal_hold_refused(locked: Front) -> None:
    put(locked)
    for method in ("GET", "HEAD"):
        assert "x-amz-object-lock-legal-hold" not in locked(method, "/locked/key").headers
    unset = locked("GET", "/locked/key?legal-hold")
    assert (unset.status, unset.code) == (404, "NoSuchObjectLockConfiguration")
    for body in ("<LegalHold><Status>abc</Status></LegalHold>", "<LegalHold/>", ""):
        assert send(locked, "PUT", "/locked/key?legal-hold", body).code == "MalformedXML"


# --- elsewhere ---------------------------------------------------------------------------------------------------


def test_buckets_without_lock(front: Front) -> None:
    front("PUT", "/bucket/key", b"")
    for path, body in (
        ("/bucket/key?retention", retention("GOVERNANCE", UNTIL)),
        ("/bucket/key?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>"),
    ):
        for answer in (send(front, "PUT", path, body), front("GET", path)):
            assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert send(front, "PUT", "/bucket/key", b"", GOVERNANCE).code == "InvalidRequest"


def test_locks_are_not_copied(locked: Front) -> None:
    put(locked, {**GOVERNANCE, "x-amz-object-lock-legal-hold": "ON", "x-amz-meta-a": "1"})
    source = {"x-amz-copy-source": "/locked/key"}
    for changes in ({}, {"x-amz-storage-class": "REDUCED_REDUNDANCY"}):
        assert locked("PUT", "/locked/copy", headers={**source, **changes}).status == 200
        headers = locked("HEAD", "/locked/copy").headers
        assert headers["x-amz-meta-a"] == "1"
        assert not [name for name in headers if name.startswith("x-amz-object-lock")]
    assert locked("PUT", "/locked/copy", headers={**source, **GOVERNANCE}).status == 200
    headers = locked("HEAD", "/locked/copy").headers
    assert (headers["x-amz-object-lock-mode"], headers["x-amz-meta-a"]) == ("GOVERNANCE", "1")
    assert locked("PUT", "/bucket/copy", headers={**source, **GOVERNANCE}).status == 400


def test_delete_objects(locked: Front) -> None:
    kept, free = put(locked, GOVERNANCE), put(locked)
    body = "<Delete>" + "".join(
        f"<Object><Key>key</Key><VersionId>{version}</VersionId></Object>"
        for version in (kept, free)
    )
    body += "</Delete>"
    answer = send(locked, "POST", "/locked?delete", body)
    assert (answer.texts("Error/Code"), answer.texts("Error/VersionId")) == (
        ["AccessDenied"],
        [kept],
    )
    assert answer.texts("Deleted/VersionId") == [free]
    answer = send(locked, "POST", "/locked?delete", body, BYPASS)
    assert answer.texts("Deleted/VersionId") == [kept, free]


def test_locks_are_shown_to_those_who_may_read_them(locked: Front) -> None:
    lock = {**GOVERNANCE, "x-amz-object-lock-legal-hold": "ON", "x-amz-acl": "public-read"}
    put(locked, lock)
    headers = locked("GET", "/locked/key", user="bob").headers
    assert not [name for name in headers if name.startswith("x-amz-object-lock")]
    assert locked("GET", "/locked/key?retention", user="bob").code == "AccessDenied"


def test_who_may_only_delete_may_not_bypass(locked: Front) -> None:
    front = locked
    acl = {"x-amz-acl": "public-read-write", "x-amz-bucket-object-lock-enabled": "true"}
    front("PUT", "/open", headers=acl)
    version = send(front, "PUT", "/open/key", b"", GOVERNANCE).headers["x-amz-version-id"]
    path = f"/open/key?versionId={version}"
    assert front("DELETE", path, headers=BYPASS, user="bob").code == "AccessDenied"
    assert front("GET", path).status == 200
