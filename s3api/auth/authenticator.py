"""Owns the choice among S3's forms of authentication, and refuses mixtures and what it does not know."""

from __future__ import annotations

from functools import partial

from core.types import ANONYMOUS, Credential, Identity
from s3api.auth import sigv2, sigv4
from s3api.auth.body import UNSIGNED, open_body
from s3api.auth.canonical import query_headers
from s3api.auth.digests import CHECKSUM_PREFIX
from s3api.auth.errors import AccessDenied, InvalidAuthArgument
from s3api.auth.post_form import PostForm
from s3api.auth.post_policy import verify_post
from s3api.call import Authenticated, Request, Settings
from s3api.protocol_errors import InvalidRequest

_QUERY_V4 = frozenset({"X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential"})
_QUERY_V2 = frozenset({"Signature", "AWSAccessKeyId"})
# The x-amz- parameters of a presigned URL that are not headers: what it says of its signature, and the checksum that
# some SDKs compute while there is no body yet. S3 does not look at that one in a query.
_NOT_HEADERS = frozenset(
    f"x-amz-{name}"
    for name in (
        "algorithm",
        "credential",
        "date",
        "expires",
        "signedheaders",
        "signature",
        "security-token",
        "content-sha256",
        "sdk-checksum-algorithm",
    )
)
_LEAST_PARAMETERS_V4 = 6


class Authenticator:
    """Implements s3api.call.Authenticator over the users and keys of the control store."""

    def __init__(self, control: sigv4.CredentialSource, settings: Settings) -> None:
        self._control = control
        self._settings = settings

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        """As s3api.call.Authenticator. Headers that a presigned URL carries join `request.headers`."""
        authorization = request.headers.get("authorization")
        query = request.query
        is_query_v4 = not _QUERY_V4.isdisjoint(query)
        is_query_v2 = not is_query_v4 and not _QUERY_V2.isdisjoint(query)
        if request.method == "OPTIONS" or (
            authorization is None and not is_query_v4 and not is_query_v2
        ):
            # Preflights are asked by browsers, which send no credentials with them; AWS looks at none.
            return _unsigned(request, ANONYMOUS)
        if authorization is not None:
            if is_query_v4 or is_query_v2:
                raise InvalidAuthArgument(
                    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                    "Signature query string parameter or the Authorization header should be "
                    "specified",
                    name="Authorization",
                    value=authorization,
                )
            return self._by_header(request, authorization, now_ns)
        if is_query_v4:
            verified = sigv4.verify_query(request, self._control, self._settings, now_ns)
            if len(request.query) > _LEAST_PARAMETERS_V4:
                add_query_headers(request)
            return _signed(request, verified)
        credential = sigv2.verify_query(request, self._control, self._settings, now_ns)
        add_query_headers(request)
        return _unsigned(request, _identity(credential))

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        """As s3api.call.Authenticator."""
        return verify_post(form, self._control, now_ns, self._settings, bucket)

    def _by_header(self, request: Request, authorization: str, now_ns: int) -> Authenticated:
        scheme, _, rest = authorization.partition(" ")
        if scheme == sigv4.ALGORITHM:
            return _signed(
                request, sigv4.verify_header(request, self._control, self._settings, now_ns)
            )
        if scheme == "AWS" and rest:
            credential = sigv2.verify_header(request, self._control, self._settings, now_ns)
            return _unsigned(request, _identity(credential))
        if not authorization:
            raise AccessDenied
        if scheme.startswith("AWS4-"):
            raise InvalidRequest(
                reason="The authorization mechanism you have provided is not supported. "
                f"Please use {sigv4.ALGORITHM}."
            )
        raise InvalidAuthArgument(name="Authorization", value=scheme)


def _unsigned(request: Request, identity: Identity) -> Authenticated:
    return Authenticated(identity, partial(open_body, request, UNSIGNED))


def _signed(request: Request, verified: sigv4.Verified) -> Authenticated:
    return Authenticated(_identity(verified.credential), partial(open_body, request, verified))


def _identity(credential: Credential) -> Identity:
    return Identity(credential.user, credential.access_key)


def add_query_headers(request: Request) -> None:
    """Have the headers that a presigned URL carries as parameters join `request.headers`."""
    found = {
        name: value
        for name, value in query_headers(request.query).items()
        if name not in _NOT_HEADERS and not name.startswith(CHECKSUM_PREFIX)
    }
    if found:
        request.headers = {**found, **request.headers}
