"""Owns the website endpoints: a bucket served to browsers as a site, by its website configuration.

Everybody is anonymous here, whatever they send. Objects are read by the operations of the API, after the same
authorization; what differs is which object answers, where redirects lead, and that errors are pages.

Source: AWS, Website endpoints (key differences between a website endpoint and a REST API endpoint); Configuring an
index document; Configuring a custom error document; Configuring a webpage redirect.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from html import escape
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from core.configs.website import Redirect, Website
from core.errors import Denied, NoSuchKey, NotModified, StoreError
from core.names import BucketName, parse_object_key
from core.protocols import BodyStream
from core.types import ANONYMOUS, Identity
from core.website import find_rule, path_of, redirect_url
from s3api.auth.post_form import PostForm
from s3api.call import Authenticated, Call, Level, Operation, Request, Response
from s3api.errors import HOST_ID, shown
from s3api.operations.cors import preflight
from s3api.operations.object import get_object, head_object
from s3api.protocol_errors import MethodNotAllowed, NoSuchWebsite
from s3api.server_log import LogEntry

_HTML = (b"content-type", b"text/html; charset=utf-8")
_REDIRECT = b"x-amz-website-redirect-location"
_METHODS = ("GET", "HEAD")
# What a request says of the object that it asks for, and not of the error document.
_ABOUT_OBJECT = ("range", "if-")


# --- the parts that a front is made of ---------------------------------------------------------------------------


class Visitors:
    """An Authenticator to whom everybody is anonymous."""

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        return Authenticated(ANONYMOUS, _no_body)

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        return ANONYMOUS


def _no_body(chunks: AsyncIterable[bytes]) -> BodyStream:
    raise NotImplementedError("no operation of a website takes a body")


class WebsiteRouter:
    """A Router to whom everything is a visit."""

    def match(self, request: Request) -> Operation:
        return _VISIT


# --- visits ------------------------------------------------------------------------------------------------------


async def visit(call: Call) -> Response:
    """Answer one request to a website endpoint. What fails on the server's side is left to the edge."""
    request = call.request
    if not request.is_virtual_host:
        # The listener of websites: a host name that is none of ours is the name of the bucket itself.
        request.bucket, request.is_virtual_host = bucket_of_host(request.host), True
        request.key = unquote_to_bytes(request.raw_path[1:]) or None
    request.query = {}
    try:
        if request.method == "OPTIONS":
            return await preflight(call)
        if request.method not in _METHODS:
            raise MethodNotAllowed(method=request.method, resource="OBJECT", allowed=_METHODS)
        call.bucket = call.store.find_bucket(BucketName(request.bucket or ""))
        if call.bucket.props.logging is not None:
            visited = (request.key or b"").decode("utf-8", "replace")
            operation = f"WEBSITE.{request.method}.OBJECT"
            request.log_entries = [LogEntry(call, call.bucket, visited, operation)]
        website = call.bucket.props.website
        if website is None:
            raise NoSuchWebsite(bucket=call.bucket.name)
    except StoreError as error:
        return _page(call, error)
    key = (request.key or b"").decode("utf-8", "replace")
    if website.redirect_all is not None:
        return _redirected(call, website.redirect_all, key)
    if (rule := find_rule(website.rules, key)) is not None:
        return _redirected(call, rule.redirect, key, rule.prefix)
    try:
        return await _answer(call, website, request.key or b"")
    except NotModified:
        raise
    except StoreError as error:
        return await _answer_error(call, website, key, error)


def bucket_of_host(host: str) -> str:
    """The bucket that a whole host name stands for."""
    return host.partition(":")[0].lower()


async def _answer(call: Call, website: Website, key: bytes) -> Response:
    """The object of the key, or the index document of a "directory"; without its "/", that leads to the right name."""
    suffix = website.index_suffix.encode()
    if not key or key.endswith(b"/"):
        return await _read(call, key + suffix)
    try:
        return await _read(call, key)
    except (NoSuchKey, Denied):
        if not await _can_read(call, key + b"/" + suffix):
            raise
    location = path_of(key.decode("utf-8", "replace") + "/")
    return Response(302, [(b"location", location.encode())])


async def _read(call: Call, key: bytes) -> Response:
    """The answer of GetObject or HeadObject to the visitor, unless the object itself is a redirect."""
    await _admit(call, key)
    response = await (head_object if call.request.method == "HEAD" else get_object)(call)
    for name, value in response.headers:
        if name == _REDIRECT:
            if not isinstance(response.body, bytes):
                await response.body.close()
            return Response(301, [(b"location", value)])
    return response


async def _can_read(call: Call, key: bytes) -> bool:
    try:
        await _admit(call, key)
        await call.store.head(call.target_bucket, call.target_key)
    except StoreError as error:
        if shown(error).status >= 500:
            raise
        return False
    return True


async def _admit(call: Call, key: bytes) -> None:
    """Raises Denied, or what an absent object raises."""
    call.key = parse_object_key(key)
    assert call.authorize is not None
    call.access = None
    await call.authorize(call, "s3:GetObject", call.key)


# --- errors and redirects ----------------------------------------------------------------------------------------


async def _answer_error(call: Call, website: Website, key: str, error: StoreError) -> Response:
    """What a routing rule, the error document or a page of our own says to an error of the visitor's side."""
    status = shown(error).status
    if status >= 500:
        raise error
    if (rule := find_rule(website.rules, key, status)) is not None:
        return _redirected(call, rule.redirect, key, rule.prefix)
    if not website.error_key:
        return _page(call, error)
    headers = call.request.headers
    call.request.headers = {
        name: value for name, value in headers.items() if not name.startswith(_ABOUT_OBJECT)
    }
    try:
        response = await _read(call, website.error_key.encode())
    except StoreError as second:
        return _page(call, error, second)
    if response.status == 200:
        response.status = status
    return response


def _redirected(call: Call, redirect: Redirect, key: str, prefix: str = "") -> Response:
    request = call.request
    url = redirect_url(redirect, key, prefix, request.scheme, request.host)
    return Response(redirect.code or 301, [(b"location", url.encode("latin-1", "replace"))])


def _page(call: Call, error: StoreError, second: StoreError | None = None) -> Response:
    """An error as a page; `second` is what went wrong with the error document."""
    said = shown(error)
    status = HTTPStatus(said.status)
    title = f"{said.status} {status.phrase}"
    lines = [
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<h1>{title}</h1>",
        _list(error, [("RequestId", call.request.request_id), ("HostId", HOST_ID.decode())]),
    ]
    if second is not None:
        lines += ["<h3>The error document of this site could not be read</h3>", _list(second, [])]
    lines += ["<hr/>", "</body>", "</html>", ""]
    body = "\n".join(lines).encode()
    headers = [_HTML, (b"x-amz-error-code", said.code.encode())]
    message = "".join(filter(str.isprintable, said.message))
    headers.append((b"x-amz-error-message", message.encode("latin-1", "replace")))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if call.request.method == "HEAD":
        return Response(said.status, [*headers, (b"content-length", b"%d" % len(body))])
    return Response(said.status, headers, body)


def _list(error: StoreError, more: list[tuple[str, str]]) -> str:
    said = shown(error)
    named = [("Code", said.code), ("Message", said.message), *said.elements, *more]
    items = [f"<li>{escape(name)}: {escape(value)}</li>" for name, value in named]
    return "\n".join(["<ul>", *items, "</ul>"])


_VISIT = Operation("WebsiteRequest", Level.BUCKET, visit, "", resolves_bucket=False)
