"""Websites: their configuration through boto3, and visits as browsers make them."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect
from tests.s3compat.conftest import WEBSITE_DOMAIN
from tests.s3compat.wire import Reply, exchange
from tests.server import Server, ServerOptions


def visit(server: Server, bucket: str, path: str, method: str = "GET", **headers: str) -> Reply:
    host = f"{bucket}.{WEBSITE_DOMAIN}:{server.port}"
    return exchange(server, method, path, keys=None, headers={"host": host, **headers})


def publish(client: S3Client, bucket: str) -> None:
    client.put_bucket_website(
        Bucket=bucket,
        WebsiteConfiguration={
            "IndexDocument": {"Suffix": "index.html"},
            "ErrorDocument": {"Key": "error.html"},
            "RoutingRules": [
                {
                    "Condition": {"KeyPrefixEquals": "old/"},
                    "Redirect": {"ReplaceKeyPrefixWith": "docs/", "HttpRedirectCode": "302"},
                }
            ],
        },
    )
    for key, body in (("index.html", b"home"), ("docs/index.html", b"docs"), ("error.html", b"?")):
        client.put_object(
            Bucket=bucket, Key=key, Body=body, ContentType="text/html", ACL="public-read"
        )
    client.put_object(Bucket=bucket, Key="secret.html", Body=b"secret")
    client.put_object(
        Bucket=bucket, Key="moved", WebsiteRedirectLocation="/docs/", ACL="public-read"
    )


@pytest.fixture
def site(client: S3Client, bucket: str) -> str:
    publish(client, bucket)
    return bucket


def test_configuration(client: S3Client, site: str) -> None:
    shown = client.get_bucket_website(Bucket=site)
    assert shown["IndexDocument"] == {"Suffix": "index.html"}
    assert shown["ErrorDocument"] == {"Key": "error.html"}
    assert shown["RoutingRules"][0]["Redirect"]["ReplaceKeyPrefixWith"] == "docs/"
    client.delete_bucket_website(Bucket=site)
    client.delete_bucket_website(Bucket=site)
    with pytest.raises(ClientError) as caught:
        client.get_bucket_website(Bucket=site)
    assert code_of(caught.value) == "NoSuchWebsiteConfiguration"


def test_visits(server: Server, site: str) -> None:
    home = visit(server, site, "/")
    assert (home.status, home.body) == (200, b"home")
    assert home.headers["content-type"] == "text/html"
    assert visit(server, site, "/docs/").body == b"docs"
    assert visit(server, site, "/", range="bytes=0-1").body == b"ho"
    assert visit(server, site, "/", **{"if-none-match": home.headers["etag"]}).status == 304


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/docs", 302, "/docs/"),
        ("/moved", 301, "/docs/"),
        ("/old/a%20b", 302, "http://{bucket}.{domain}:{port}/docs/a%20b"),
    ],
)
def test_redirects(server: Server, site: str, path: str, status: int, location: str) -> None:
    reply = visit(server, site, path)
    assert reply.status == status
    assert reply.headers["location"] == location.format(
        bucket=site, domain=WEBSITE_DOMAIN, port=server.port
    )


def test_errors_are_pages(server: Server, client: S3Client, site: str) -> None:
    for path in ("/secret.html", "/absent"):
        reply = visit(server, site, path)
        assert (reply.status, reply.body) == (403, b"?")
    client.delete_object(Bucket=site, Key="error.html")
    reply = visit(server, site, "/absent")
    assert reply.status == 403
    assert reply.headers["content-type"].startswith("text/html")
    assert b"<li>Code: AccessDenied</li>" in reply.body
    assert visit(server, site, "/", "DELETE").status == 405
    assert visit(server, "absent-bucket", "/").status == 404


def test_api_knows_nothing_of_index_documents(server: Server, site: str) -> None:
    assert exchange(server, "GET", f"/{site}/docs/").status == 404


def test_listener_of_its_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = Server(
        ServerOptions([data], workers=1, arguments=("--set", "website_listen=127.0.0.1:0"))
    )
    server.start()
    try:
        announced = re.search(r"websites on http://127\.0\.0\.1:(\d+)", server.log_tail())
        assert announced
        client = connect(server)
        client.create_bucket(Bucket="www.weir.test")
        publish(client, "www.weir.test")
        plain = http.client.HTTPConnection("127.0.0.1", int(announced[1]), timeout=10)
        plain.request("GET", "/docs/", headers={"Host": "www.weir.test"})
        answer = plain.getresponse()
        assert (answer.status, answer.read()) == (200, b"docs")
        plain.request("GET", "/-/health", headers={"Host": "www.weir.test"})
        assert plain.getresponse().status == 403
        plain.close()
    finally:
        server.stop()
