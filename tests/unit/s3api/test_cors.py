"""CORS: configuration documents, preflights, and the headers of actual answers."""

from __future__ import annotations

import pytest

from tests.unit.s3api.front import Answer, Front

ORIGIN = "http://page.test"
PREFIX = "access-control-allow-"


def rule(*, origin: str = ORIGIN, method: str = "GET", more: str = "") -> str:
    return (
        f"<CORSRule><AllowedMethod>{method}</AllowedMethod>"
        f"<AllowedOrigin>{origin}</AllowedOrigin>{more}</CORSRule>"
    )


def configure(front: Front, *rules: str) -> Answer:
    body = f"<CORSConfiguration>{''.join(rules)}</CORSConfiguration>".encode()
    return front("PUT", "/bucket?cors", body)


def ask(front: Front, path: str = "/bucket/k", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return front("OPTIONS", path, headers=sent, user="")


def test_configuration_comes_back(front: Front) -> None:
    more = (
        "<AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
        "<MaxAgeSeconds>30</MaxAgeSeconds><ID>one</ID>"
    )
    assert configure(front, rule(more=more), rule(method="PUT", origin="*")).status == 200
    answer = front("GET", "/bucket?cors")
    assert [(node.tag, node.text) for node in answer.xml[0]] == [
        ("ID", "one"),
        ("AllowedMethod", "GET"),
        ("AllowedOrigin", ORIGIN),
        ("AllowedHeader", "x-amz-*"),
        ("ExposeHeader", "ETag"),
        ("MaxAgeSeconds", "30"),
    ]
    assert [node.tag for node in answer.xml[1]] == ["AllowedMethod", "AllowedOrigin"]
    assert front("PUT", "/bucket?cors", answer.body).status == 200
    assert front("DELETE", "/bucket?cors").status == 204
    answer = front("GET", "/bucket?cors")
    assert (answer.status, answer.code) == (404, "NoSuchCORSConfiguration")


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([], "MalformedXML"),
        ([rule()] * 101, "MalformedXML"),
        (["<CORSRule/>"], "MalformedXML"),
        (["<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>"], "MalformedXML"),
        ([rule(more="<MaxAgeSeconds>-1</MaxAgeSeconds>")], "MalformedXML"),
        ([rule(method="PATCH")], "InvalidRequest"),
        ([rule(method="get")], "InvalidRequest"),
        ([rule(origin="http://*.*.test")], "InvalidRequest"),
        ([rule(origin="")], "InvalidRequest"),
        ([rule(origin="a b")], "InvalidRequest"),
        ([rule(more="<AllowedHeader>*-*</AllowedHeader>")], "InvalidRequest"),
        ([rule(more="<ExposeHeader>x-*</ExposeHeader>")], "InvalidRequest"),
        ([rule(more="<ExposeHeader>a&#10;b: c</ExposeHeader>")], "InvalidRequest"),
        ([rule(more=f"<ID>{'i' * 256}</ID>")], "InvalidRequest"),
        ([rule(origin="o" * 65_536)], "EntityTooLarge"),
    ],
)
def test_bad_configuration(front: Front, rules: list[str], code: str) -> None:
    answer = configure(front, *rules)
    assert (answer.status, answer.code) == (400, code)
    assert front("GET", "/bucket?cors").status == 404


def test_preflight(front: Front) -> None:
    more = (
        "<AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
        "<ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>30</MaxAgeSeconds>"
        "<AllowedMethod>PUT</AllowedMethod>"
    )
    configure(front, rule(more=more))
    answer = ask(
        front,
        origin=ORIGIN,
        access_control_request_method="PUT",
        access_control_request_headers="X-Amz-Date,  x-amz-acl",
    )
    assert answer.status == 200
    assert answer.body == b""
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-methods"] == "GET, PUT"
    assert answer.headers["access-control-allow-headers"] == "x-amz-date, x-amz-acl"
    assert answer.headers["access-control-expose-headers"] == "ETag, x-amz-request-id"
    assert answer.headers["access-control-max-age"] == "30"
    assert "Origin" in answer.headers["vary"]


def test_a_preflight_names_so_many_headers(front: Front) -> None:
    configure(front, rule(more="<AllowedHeader>x-*</AllowedHeader>"))
    asked = {"origin": ORIGIN, "access_control_request_method": "GET"}
    few, many = (",".join(f"x-{number}" for number in range(count)) for count in (100, 101))
    assert ask(front, access_control_request_headers=few, **asked).status == 200
    assert ask(front, access_control_request_headers=many, **asked).code == "BadRequest"


def test_preflight_of_any_origin(front: Front) -> None:
    configure(front, rule(origin="*"))
    answer = ask(front, "/bucket", origin=ORIGIN, access_control_request_method="GET")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "BadRequest"),
        ({"access_control_request_method": "GET"}, 400, "BadRequest"),
        ({"origin": ORIGIN}, 400, "BadRequest"),
        ({"origin": ORIGIN, "access_control_request_method": "PATCH"}, 400, "BadRequest"),
        ({"origin": ORIGIN, "access_control_request_method": "PUT"}, 403, "AccessForbidden"),
        ({"origin": "http://b", "access_control_request_method": "GET"}, 403, "AccessForbidden"),
        (
            {
                "origin": ORIGIN,
                "access_control_request_method": "GET",
                "access_control_request_headers": "x-a",
            },
            403,
            "AccessForbidden",
        ),
        (
            {
                "origin": ORIGIN,
                "access_control_request_method": "GET",
                "access_control_request_headers": "a b",
            },
            400,
            "BadRequest",
        ),
    ],
)
def test_preflight_refused(front: Front, headers: dict[str, str], status: int, code: str) -> None:
    configure(front, rule())
    answer = ask(front, **headers)
    assert (answer.status, answer.code) == (status, code)
    assert not [name for name in answer.headers if name.startswith(PREFIX)]


@pytest.mark.parametrize(
    ("path", "message"),
    [("/bucket", "CORS is not enabled for this bucket."), ("/absent/k", "Bucket not found")],
)
def test_preflight_without_rules(front: Front, path: str, message: str) -> None:
    answer = ask(front, path, origin=ORIGIN, access_control_request_method="GET")
    assert (answer.status, answer.code) == (403, "AccessForbidden")
    assert answer.text("Message") == f"CORSResponse: {message}"


def test_actual_request(front: Front) -> None:
    configure(front, rule(more="<ExposeHeader>ETag</ExposeHeader>"), rule(method="PUT", origin="*"))
    front("PUT", "/bucket/k", b"x")
    answer = front("GET", "/bucket/k", headers={"origin": ORIGIN})
    assert answer.body == b"x"
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "ETag"
    answer = front("PUT", "/bucket/k", b"x", {"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_errors_can_be_read_by_the_page_too(front: Front) -> None:
    configure(front, rule())
    for path, user, status in (("/bucket/absent", "alice", 404), ("/bucket/k", "", 403)):
        answer = front("GET", path, headers={"origin": ORIGIN}, user=user)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://b"}, {"origin": ORIGIN, "x-method": "HEAD"}]
)
def test_no_headers_where_no_rule_allows(front: Front, headers: dict[str, str]) -> None:
    configure(front, rule())
    method = headers.get("x-method", "GET")
    answer = front(method, "/bucket", headers=headers)
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith(PREFIX)]
    assert ("vary" in answer.headers) is ("origin" in headers)


def test_no_headers_without_rules_or_bucket(front: Front) -> None:
    for path in ("/bucket", "/absent", "/"):
        assert "vary" not in front("GET", path, headers={"origin": ORIGIN}).headers
