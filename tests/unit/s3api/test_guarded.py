"""Permissions for tags and locks: their conditions see what documents say, and nobody learns what they may not read."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.names import BucketName, BucketRef
from tests.unit.s3api.front import Answer, Front

UNTIL = "2030-01-01T00:00:00.000Z"


def send(front: Front, path: str, body: str, **headers: str) -> Answer:
    digest = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return front("PUT", path, body.encode(), {"content-md5": digest, **named}, user="bob")


def allow(front: Front, action: str, condition: dict[str, Any] | None = None) -> None:
    """Everybody may do `action` to the objects of the bucket "locked", and nothing else."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": action,
        "Resource": "arn:aws:s3:::locked/*",
    }
    if condition:
        statement["Condition"] = condition
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    bucket = front.store.get_bucket(BucketRef(BucketName("locked")))
    change = front.store.update_bucket_props(bucket, lambda props: replace(props, policy=policy))
    asyncio.run(change)


@pytest.fixture
def locked(front: Front) -> Front:
    front("PUT", "/locked", headers={"x-amz-bucket-object-lock-enabled": "true"})
    assert front("PUT", "/locked/key", b"data").status == 200
    return front


def tagging(key: str, value: str) -> str:
    return f"<Tagging><TagSet><Tag><Key>{key}</Key><Value>{value}</Value></Tag></TagSet></Tagging>"


def test_conditions_on_the_tags_of_a_document(locked: Front) -> None:
    allow(locked, "s3:PutObjectTagging", {"StringEquals": {"s3:RequestObjectTag/team": "a b+é"}})
    path = "/locked/key?tagging"
    assert send(locked, path, tagging("team", "a b+é")).status == 200
    assert send(locked, path, tagging("team", "b")).code == "AccessDenied"
    assert send(locked, path, tagging("other", "a b+é")).code == "AccessDenied"
    # Only the document counts.
    assert send(locked, path, tagging("team", "b"), x_amz_tagging="team=a").code == "AccessDenied"


def test_conditions_on_the_retention_of_a_document(locked: Front) -> None:
    allow(locked, "s3:PutObjectRetention", {"StringEquals": {"s3:object-lock-mode": "GOVERNANCE"}})
    document = "<Retention><Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>"
    path = "/locked/key?retention"
    refused = send(
        locked, path, document % ("COMPLIANCE", UNTIL), x_amz_object_lock_mode="GOVERNANCE"
    )
    assert refused.code == "AccessDenied"
    assert send(locked, path, "<Retention/>").code == "AccessDenied"
    assert send(locked, path, document % ("GOVERNANCE", UNTIL)).status == 200


def test_conditions_on_the_hold_of_a_document(locked: Front) -> None:
    allow(locked, "s3:PutObjectLegalHold", {"StringEquals": {"s3:object-lock-legal-hold": "ON"}})
    document = "<LegalHold><Status>%s</Status></LegalHold>"
    assert send(locked, "/locked/key?legal-hold", document % "ON").status == 200
    assert send(locked, "/locked/key?legal-hold", document % "OFF").code == "AccessDenied"


@pytest.mark.parametrize("subresource", ["tagging", "retention", "legal-hold"])
def test_strangers(locked: Front, subresource: str) -> None:
    bodies = {
        "tagging": tagging("a", "b"),
        "retention": "<Retention/>",
        "legal-hold": "<LegalHold><Status>ON</Status></LegalHold>",
    }
    for key in ("/locked/key", "/locked/absent", "/bucket/key"):
        path = f"{key}?{subresource}"
        assert send(locked, path, bodies[subresource]).code == "AccessDenied"
        assert locked("GET", path, user="bob").code == "AccessDenied"
        assert locked("GET", path, user="").code == "AccessDenied"


def test_a_version_has_permissions_of_its_own(locked: Front) -> None:
    version = locked("HEAD", "/locked/key").headers["x-amz-version-id"]
    allow(locked, "s3:GetObjectVersionTagging")
    assert locked("GET", "/locked/key?tagging", user="bob").code == "AccessDenied"
    assert locked("GET", f"/locked/key?tagging&versionId={version}", user="bob").status == 200


# --- hostile documents -------------------------------------------------------------------------------------------

_NAMES = """
    Tagging TagSet Tag Key Value VersioningConfiguration Status MfaDelete ObjectLockConfiguration ObjectLockEnabled
    Rule DefaultRetention Mode Days Years Retention RetainUntilDate LegalHold
"""
_TEXTS = st.one_of(
    st.sampled_from(["Enabled", "GOVERNANCE", "ON", UNTIL, "1", "-0", "٣", "9" * 400, ""]),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20),
)
_NODES = st.recursive(
    _TEXTS.map(escape),
    lambda inner: st.builds(
        lambda name, content: f"<{name}>{''.join(content)}</{name}>",
        st.sampled_from(_NAMES.split()),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)
_ROOTS = {
    "/locked?versioning": "VersioningConfiguration",
    "/locked?tagging": "Tagging",
    "/locked?object-lock": "ObjectLockConfiguration",
    "/locked/key?tagging": "Tagging",
    "/locked/key?retention": "Retention",
    "/locked/key?legal-hold": "LegalHold",
}


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(sorted(_ROOTS)), st.lists(_NODES, max_size=4))
def test_no_document_breaks_the_front(locked: Front, path: str, content: list[str]) -> None:
    body = f"<{_ROOTS[path]}>{''.join(content)}</{_ROOTS[path]}>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    assert locked("PUT", path, body, {"content-md5": digest}).status < 500


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
def test_no_header_breaks_the_front(locked: Front, value: str) -> None:
    headers = dict.fromkeys(
        ("x-amz-tagging", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"), value
    )
    assert locked("PUT", "/locked/other", b"", headers).status < 500
    assert locked("PUT", "/locked/other", b"", {"x-amz-tagging": value}).status < 500
    assert locked("GET", f"/locked/key?versionId={value.encode().hex()}%{value[:2]}").status < 500
