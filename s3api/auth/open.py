"""Owns the authentication of a playground, where every request is the root user's.

A playground on a loopback address is for the programs of one machine. Its browser is one of them, and runs what
strangers wrote: a page that has the browser send requests here, by a name of its own that it lets point to this machine
or across sites, is the one caller who is turned away.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache, partial
from urllib.parse import urlsplit

from core.types import Identity, User
from s3api.auth.authenticator import add_query_headers
from s3api.auth.body import UNCHECKED, open_body
from s3api.auth.errors import AccessDenied
from s3api.auth.post_form import PostForm
from s3api.call import Authenticated, Request

_PRESIGNED = frozenset({"X-Amz-Signature", "X-Amz-Algorithm", "Signature", "AWSAccessKeyId"})


class OpenAuthenticator:
    """Implements s3api.call.Authenticator without looking at credentials, signatures, tokens or form policies.

    What clients do when they sign is still undone: framed bodies are un-chunked, and a presigned URL's headers count.
    `is_for_strangers`: whoever reaches the address may come in, by whatever name. `domains` are names of our own.
    """

    def __init__(
        self, root: User, *, is_for_strangers: bool = False, domains: tuple[str, ...] = ()
    ) -> None:
        self._identity = Identity(root)
        self._is_for_strangers = is_for_strangers
        self._domains = domains

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        """As s3api.call.Authenticator. Raises AccessDenied."""
        del now_ns
        if not self._is_for_strangers:
            self._check_page(request)
        if not _PRESIGNED.isdisjoint(request.query):
            add_query_headers(request)
        return Authenticated(self._identity, partial(open_body, request, UNCHECKED))

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        """As s3api.call.Authenticator."""
        del form, bucket, now_ns
        return self._identity

    def _check_page(self, request: Request) -> None:
        if request.host and not is_near(request.host, self._domains):
            raise AccessDenied(
                "Without access control, requests must address this machine as localhost or 127.0.0.1."
            )
        origin = request.headers.get("origin")
        if origin is not None and not is_near(_host_of(origin), self._domains):
            raise AccessDenied("Without access control, pages of other sites are not let in.")


def _host_of(origin: str) -> str:
    """The host and port of an origin; empty for one that has none (`null`)."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def is_near(host: str, domains: tuple[str, ...]) -> bool:
    """Whether a host, with or without port, is a name of this machine that no stranger can give away, or one of
    `domains` or below it."""
    name = host.lower() if host.endswith("]") else host.rpartition(":")[0].lower() or host.lower()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return any(name == known or name.endswith(f".{known}") for known in ("localhost", *domains))
