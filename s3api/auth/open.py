"""Owns the authentication of a playground, where every request is the root user's."""

from __future__ import annotations

from functools import partial

from core.types import Identity, User
from s3api.auth.authenticator import add_query_headers
from s3api.auth.body import UNCHECKED, open_body
from s3api.auth.post_form import PostForm
from s3api.call import Authenticated, Request

_PRESIGNED = frozenset({"X-Amz-Signature", "X-Amz-Algorithm", "Signature", "AWSAccessKeyId"})


class OpenAuthenticator:
    """Implements s3api.call.Authenticator without looking at credentials, signatures, tokens or form policies.

    What clients do when they sign is still undone: framed bodies are un-chunked, and a presigned URL's headers count.
    """

    def __init__(self, root: User) -> None:
        self._identity = Identity(root)

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        """As s3api.call.Authenticator."""
        del now_ns
        if not _PRESIGNED.isdisjoint(request.query):
            add_query_headers(request)
        return Authenticated(self._identity, partial(open_body, request, UNCHECKED))

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        """As s3api.call.Authenticator."""
        del form, bucket, now_ns
        return self._identity
