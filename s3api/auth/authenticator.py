"""Owns the choice among S3's forms of authentication, and refuses mixtures and what it does not know."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.control import TokenVerifier
from core.errors import BadToken
from core.types import ANONYMOUS, Credential, Identity
from s3api.auth import sigv2, sigv4
from s3api.auth.body import UNCHECKED, UNSIGNED, Unchecked, open_body
from s3api.auth.canonical import query_headers
from s3api.auth.digests import CHECKSUM_PREFIX
from s3api.auth.errors import AccessDenied, InvalidAccessKeyId, InvalidAuthArgument
from s3api.auth.post_form import PostForm
from s3api.auth.post_policy import verify_post
from s3api.call import Authenticated, Request, Settings, TokenAwaited
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
_TOKEN = "x-amz-security-token"

_Verify = Callable[[Request, sigv4.CredentialSource, Settings, int], sigv4.Verified | Credential]


class Authenticator:
    """Implements s3api.call.Authenticator over the users and keys of the control store, and bearer tokens."""

    def __init__(
        self,
        control: sigv4.CredentialSource,
        settings: Settings,
        tokens: TokenVerifier | None = None,
    ) -> None:
        self._control = control
        self._settings = settings
        self._tokens = tokens

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        """As s3api.call.Authenticator. Headers that a presigned URL carries join `request.headers`."""
        authorization = request.headers.get("authorization")
        query = request.query
        is_query_v4 = not _QUERY_V4.isdisjoint(query)
        is_query_v2 = not is_query_v4 and not _QUERY_V2.isdisjoint(query)
        if request.method == "OPTIONS":
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
            return self._by_query_v4(request, now_ns)
        if is_query_v2:
            return self._by_query_v2(request, now_ns)
        token = request.headers.get(_TOKEN)
        return _unsigned(request, ANONYMOUS) if not token else self._by_token(request, token)

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        """As s3api.call.Authenticator. A form takes no token: who hands it out binds others by its policy, and that
        only a known key's signature keeps from being changed."""
        return verify_post(form, self._control, now_ns, self._settings, bucket)

    def _by_header(self, request: Request, authorization: str, now_ns: int) -> Authenticated:
        scheme, _, rest = authorization.partition(" ")
        if scheme == sigv4.ALGORITHM:
            if token := request.headers.get(_TOKEN):
                signed = self._check_beside(request, token, sigv4.verify_header, now_ns)
                return self._by_token(request, token, signed)
            return _signed(
                request, sigv4.verify_header(request, self._control, self._settings, now_ns)
            )
        if scheme.lower() == "bearer":
            return self._by_token(request, rest.strip())
        if scheme == "AWS" and rest:
            if token := request.headers.get(_TOKEN):
                signed = self._check_beside(request, token, sigv2.verify_header, now_ns)
                return self._by_token(request, token, signed)
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

    def _by_query_v4(self, request: Request, now_ns: int) -> Authenticated:
        token = request.query.get("X-Amz-Security-Token") or request.headers.get(_TOKEN)
        if token:
            signed = self._check_beside(request, token, sigv4.verify_query, now_ns)
            add_query_headers(request)
            return self._by_token(request, token, signed)
        verified = sigv4.verify_query(request, self._control, self._settings, now_ns)
        if len(request.query) > _LEAST_PARAMETERS_V4:
            add_query_headers(request)
        return _signed(request, verified)

    def _by_query_v2(self, request: Request, now_ns: int) -> Authenticated:
        token = request.query.get(_TOKEN) or request.headers.get(_TOKEN)
        if token:
            signed = self._check_beside(request, token, sigv2.verify_query, now_ns)
            add_query_headers(request)
            return self._by_token(request, token, signed)
        credential = sigv2.verify_query(request, self._control, self._settings, now_ns)
        add_query_headers(request)
        return _unsigned(request, _identity(credential))

    def _check_beside(
        self, request: Request, token: str, verify: _Verify, now_ns: int
    ) -> sigv4.Verified | Unchecked | None:
        """What the signature of a request that comes with a token is worth. The token is what authenticates; a known
        key's signature must hold all the same. One by a key that nobody here knows cannot be checked, and SDKs sign
        with whatever key pair is lying about."""
        try:
            found = verify(request, self._control, self._settings, now_ns)
        except InvalidAccessKeyId:
            if token.count(".") != 2:
                # Session credentials of somebody else: the key is what to complain about.
                raise
            return UNCHECKED
        return found if isinstance(found, sigv4.Verified) else UNSIGNED

    def _by_token(
        self,
        request: Request,
        token: str,
        signed: sigv4.Verified | Unchecked | None = UNCHECKED,
    ) -> Authenticated:
        if self._tokens is None:
            raise BadToken(reason="tokens are not taken here")
        open_token_body = partial(open_body, request, signed)
        identity = self._tokens.known(token)
        if identity is None:
            raise TokenAwaited(token, self._tokens, open_token_body)
        return Authenticated(identity, open_token_body)


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
