"""Websites: configuration documents, and what a visitor is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from s3api.edge import S3Front
from s3api.website import Visitors, WebsiteRouter
from tests.unit.s3api.front import Answer, Front

INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
ERROR = "<ErrorDocument><Key>error.html</Key></ErrorDocument>"
REDIRECT_ALL = "<RedirectAllRequestsTo><HostName>a.test</HostName></RedirectAllRequestsTo>"
OPEN = {"x-amz-acl": "public-read"}


def routing(*rules: str) -> str:
    inner = "".join(f"<RoutingRule>{rule}</RoutingRule>" for rule in rules)
    return f"<RoutingRules>{inner}</RoutingRules>"


def redirect(**said: str) -> str:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in said.items())
    return f"<Redirect>{inner}</Redirect>"


def condition(**said: str) -> str:
    return redirect(**said).replace("Redirect>", "Condition>")


def configure(front: Front, *parts: str) -> Answer:
    body = f"<WebsiteConfiguration>{''.join(parts)}</WebsiteConfiguration>".encode()
    return front("PUT", "/bucket?website", body)


class Site:
    """The websites of a front's buckets; by default that of "bucket"."""

    def __init__(self, front: Front) -> None:
        self._visits = Front()
        settings = replace(front.settings, domains=("site.test",))
        self._visits.app = S3Front(front.store, Visitors(), WebsiteRouter(), front.clock, settings)

    def __call__(
        self,
        path: str,
        method: str = "GET",
        *,
        host: str = "bucket.site.test",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return self._visits(method, path, headers={**(headers or {}), "host": host})


@pytest.fixture
def site(front: Front) -> Site:
    """A website of a home page, a "directory" with one, and a page that is not public."""
    assert configure(front, INDEX, ERROR).status == 200
    front("PUT", "/bucket/index.html", b"home", {**OPEN, "content-type": "text/html"})
    front("PUT", "/bucket/docs/index.html", b"docs", OPEN)
    front("PUT", "/bucket/secret.html", b"secret")
    return Site(front)


# --- configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        [INDEX],
        [INDEX, ERROR],
        [REDIRECT_ALL],
        [
            REDIRECT_ALL.replace("</Host", "</Host").replace(
                "</Redir", "<Protocol>https</Protocol></Redir"
            )
        ],
        [INDEX, routing(redirect(HostName="a.test"))],
        [
            INDEX,
            routing(
                condition(KeyPrefixEquals="docs/", HttpErrorCodeReturnedEquals="404")
                + redirect(
                    HostName="a.test",
                    Protocol="https",
                    ReplaceKeyPrefixWith="",
                    HttpRedirectCode="302",
                ),
                redirect(ReplaceKeyWith="other.html"),
            ),
        ],
    ],
)
def test_configuration_comes_back(front: Front, parts: list[str]) -> None:
    assert configure(front, *parts).status == 200
    shown = front("GET", "/bucket?website")
    assert "".join(parts).encode() in shown.body
    assert front("DELETE", "/bucket?website").status == 204
    answer = front("GET", "/bucket?website")
    assert (answer.status, answer.code) == (404, "NoSuchWebsiteConfiguration")


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "InvalidArgument"),
        ([ERROR], "InvalidArgument"),
        ([INDEX.replace("index", "a/index")], "InvalidArgument"),
        ([INDEX.replace("index.html", "")], "InvalidArgument"),
        ([INDEX, ERROR.replace("error.html", "")], "InvalidArgument"),
        ([INDEX, ERROR.replace("error.html", "e" * 1025)], "InvalidArgument"),
        ([INDEX, REDIRECT_ALL], "InvalidRequest"),
        ([REDIRECT_ALL.replace("a.test", "a test")], "InvalidArgument"),
        ([REDIRECT_ALL.replace("a.test", "")], "InvalidArgument"),
        ([INDEX, routing()], "MalformedXML"),
        ([INDEX, routing(redirect())], "MalformedXML"),
        ([INDEX, routing(condition(KeyPrefixEquals="a"))], "MalformedXML"),
        ([INDEX, routing(condition() + redirect(HostName="a.test"))], "InvalidRequest"),
        ([INDEX, routing(*[redirect(HostName="a.test")] * 51)], "InvalidRequest"),
        ([INDEX, routing(redirect(HostName="a\r\nb"))], "InvalidArgument"),
        ([INDEX, routing(redirect(Protocol="ftp"))], "InvalidRequest"),
        ([INDEX, routing(redirect(HttpRedirectCode="200"))], "InvalidRequest"),
        ([INDEX, routing(redirect(HttpRedirectCode="300"))], "InvalidRequest"),
        (
            [INDEX, routing(redirect(ReplaceKeyWith="a", ReplaceKeyPrefixWith="b"))],
            "InvalidRequest",
        ),
        (
            [
                INDEX,
                routing(condition(HttpErrorCodeReturnedEquals="302") + redirect(Protocol="http")),
            ],
            "InvalidRequest",
        ),
        ([INDEX, "x" * 128 * 1024], "EntityTooLarge"),
    ],
)
def test_bad_configuration(front: Front, parts: list[str], code: str) -> None:
    answer = configure(front, *parts)
    assert (answer.status, answer.code) == (400, code)
    assert front("GET", "/bucket?website").status == 404


@pytest.mark.parametrize("value", ["elsewhere.html", "ftp://a.test/", "/" + "a" * 2048])
def test_bad_redirect_location(front: Front, value: str) -> None:
    answer = front("PUT", "/bucket/k", b"", {"x-amz-website-redirect-location": value})
    assert (answer.status, answer.code) == (400, "InvalidRedirectLocation")


# --- visits ------------------------------------------------------------------------------------------------------


def test_index_documents(site: Site) -> None:
    home = site("/")
    assert (home.status, home.body) == (200, b"home")
    assert home.headers["content-type"] == "text/html"
    assert site("/docs/").body == b"docs"
    assert site("/docs/index.html").body == b"docs"
    answer = site("/docs")
    assert (answer.status, answer.headers["location"], answer.body) == (302, "/docs/", b"")


def test_query_plays_no_part(site: Site) -> None:
    assert site("/?acl&versionId=x&response-content-type=a").body == b"home"


def test_head(site: Site) -> None:
    answer = site("/", "HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "4")
    answer = site("/absent", "HEAD")
    assert (answer.status, answer.body) == (403, b"")
    assert int(answer.headers["content-length"]) > 0


def test_ranges_and_conditions(site: Site) -> None:
    answer = site("/", headers={"range": "bytes=1-2"})
    assert (answer.status, answer.body) == (206, b"om")
    etag = answer.headers["etag"]
    assert site("/", headers={"if-none-match": etag}).status == 304
    answer = site("/", headers={"range": "bytes=9-"})
    assert (answer.status, answer.headers["x-amz-error-code"]) == (416, "InvalidRange")


@pytest.mark.parametrize("path", ["/secret.html", "/absent", "/absent/"])
def test_what_is_not_public_is_not_told_from_what_is_absent(site: Site, path: str) -> None:
    answer = site(path)
    assert answer.status == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-amz-error-code"] == "AccessDenied"
    assert b"<h1>403 Forbidden</h1>" in answer.body
    assert b"<li>Code: AccessDenied</li>" in answer.body
    assert b"error document of this site could not be read" in answer.body


def test_signature_of_a_visitor_does_not_count(site: Site) -> None:
    assert site("/secret.html", headers={"authorization": "AWS a:b"}).status == 403


def test_absent_page_of_a_bucket_that_anyone_may_list(front: Front, site: Site) -> None:
    front("PUT", "/bucket?acl", b"", OPEN)
    answer = site("/<absent>")
    assert (answer.status, answer.headers["x-amz-error-code"]) == (404, "NoSuchKey")
    assert b"<li>Key: &lt;absent&gt;</li>" in answer.body


def test_error_document(front: Front, site: Site) -> None:
    front("PUT", "/bucket/error.html", b"oops", {**OPEN, "content-type": "text/x-error"})
    answer = site("/absent", headers={"if-none-match": "*", "range": "bytes=0-0"})
    assert (answer.status, answer.body) == (403, b"oops")
    assert answer.headers["content-type"] == "text/x-error"
    answer = site("/absent", "HEAD")
    assert (answer.status, answer.headers["content-length"]) == (403, "4")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_other_methods(site: Site, method: str) -> None:
    answer = site("/index.html", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert b"MethodNotAllowed" in answer.body


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("absent.site.test", "NoSuchBucket"),
        ("plain.site.test", "NoSuchWebsiteConfiguration"),
        ("www.other.test", "NoSuchBucket"),
        ("[::1]:80", "NoSuchBucket"),
        ("", "NoSuchBucket"),
    ],
)
def test_no_such_site(front: Front, site: Site, host: str, code: str) -> None:
    front("PUT", "/plain")
    answer = site("/", host=host)
    assert (answer.status, answer.headers["x-amz-error-code"]) == (404, code)
    assert f"<li>Code: {code}</li>".encode() in answer.body


def test_bucket_called_as_the_host(front: Front, site: Site) -> None:
    front("PUT", "/www.site.org")
    body = f"<WebsiteConfiguration>{INDEX}</WebsiteConfiguration>".encode()
    front("PUT", "/www.site.org?website", body)
    front("PUT", "/www.site.org/index.html", b"own", OPEN)
    assert site("/", host="www.Site.org:8080").body == b"own"


# --- redirects ---------------------------------------------------------------------------------------------------


def test_object_that_redirects(front: Front, site: Site) -> None:
    for key, target in (("old.html", "/new.html"), ("away", "https://a.test/x?y")):
        headers = {**OPEN, "x-amz-website-redirect-location": target}
        front("PUT", f"/bucket/{key}", b"ignored", headers)
        answer = site(f"/{key}")
        assert (answer.status, answer.headers["location"], answer.body) == (301, target, b"")
    front("PUT", "/bucket/closed", b"", {"x-amz-website-redirect-location": "/secret"})
    assert site("/closed").status == 403


def test_redirect_all(front: Front, site: Site) -> None:
    configure(front, REDIRECT_ALL)
    answer = site("/a%20b")
    assert (answer.status, answer.headers["location"]) == (301, "http://a.test/a%20b")


def test_routing_by_prefix(front: Front, site: Site) -> None:
    rule = condition(KeyPrefixEquals="old/") + redirect(
        ReplaceKeyPrefixWith="docs/", HttpRedirectCode="307"
    )
    configure(front, INDEX, routing(rule))
    answer = site("/old/x")
    assert answer.status == 307
    assert answer.headers["location"] == "http://bucket.site.test/docs/x"
    assert site("/").body == b"home"


def test_routing_by_error(front: Front, site: Site) -> None:
    rule = condition(HttpErrorCodeReturnedEquals="403") + redirect(
        HostName="a.test", ReplaceKeyPrefixWith="report/"
    )
    configure(front, INDEX, ERROR, routing(rule))
    answer = site("/absent")
    assert (answer.status, answer.headers["location"]) == (301, "http://a.test/report/absent")
    assert site("/").status == 200


# --- pages of other origins --------------------------------------------------------------------------------------


def test_cors(front: Front, site: Site) -> None:
    rule = "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://p</AllowedOrigin>"
    body = f"<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>".encode()
    front("PUT", "/bucket?cors", body)
    for path in ("/", "/absent"):
        answer = site(path, headers={"origin": "http://p"})
        assert answer.headers["access-control-allow-origin"] == "http://p"
    asked = {"origin": "http://p", "access-control-request-method": "GET"}
    assert site("/", "OPTIONS", headers=asked).status == 200
    assert site("/", "OPTIONS").status == 400
