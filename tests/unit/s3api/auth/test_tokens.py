"""Requests that come with a token: where it may stand, and what is left of the signatures beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from core.claims import Claims
from core.errors import BadToken
from core.names import UserId
from core.types import ANONYMOUS, Identity, User
from s3api.auth import Authenticator
from s3api.auth.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidAuthArgument,
    SignatureDoesNotMatch,
)
from s3api.auth.sigv4 import SIGNED_CHUNKS
from s3api.call import Authenticated, Request, TokenAwaited
from tests.s3compat.signing import ChunkSigner, Scope, authorize_v2, authorize_v4
from tests.server import Keys
from tests.unit.s3api.auth.support import (
    ACCESS_KEY,
    EXAMPLE_NS,
    SECRET_KEY,
    SETTINGS,
    Arriving,
    OneKey,
    read,
    request,
)

ROOT = User(UserId("f" * 64), "root", "root", is_root=True)
BEARER = Identity(ROOT, claims=Claims("somebody"))
TOKEN = "aaaa.bbbb.cccc"
KNOWN = Keys(ACCESS_KEY, SECRET_KEY)
FORGED = Keys(ACCESS_KEY, "not its secret")
STRANGER = Keys("NOBODYKNOWSTHISKEY01", "nor the secret of it")


class Verifier:
    """Knows one token, at once or when it is asked for a second time."""

    def __init__(self, *, is_known: bool = True) -> None:
        self._is_known = is_known

    def known(self, token: str) -> Identity | None:
        return BEARER if self._is_known and token == TOKEN else None

    async def identity(self, token: str) -> Identity:
        if token != TOKEN:
            raise BadToken(reason="the token is no JWT")
        return BEARER

    async def revoke(self, tokens: Sequence[str]) -> int:
        raise NotImplementedError


def authenticate(asked: Request, *, is_known: bool = True) -> Authenticated:
    """As the edges do."""
    door = Authenticator(OneKey(), SETTINGS, Verifier(is_known=is_known))
    try:
        return door.authenticate(asked, EXAMPLE_NS)
    except TokenAwaited as awaited:
        return asyncio.run(awaited.authenticated())


def v4(keys: Keys, token: str = TOKEN, payload: str = "UNSIGNED-PAYLOAD") -> Request:
    headers = {"host": "h", "x-amz-security-token": token}
    scope = Scope(keys, EXAMPLE_NS / 1e9, "us-east-1")
    return request("GET", "http://h/b/k", authorize_v4(scope, "GET", "/b/k", headers, payload))


def v2(keys: Keys) -> Request:
    headers = {"host": "h", "x-amz-security-token": TOKEN}
    signed = authorize_v2(keys, "GET", "/b/k", headers, "Fri, 24 May 2013 00:00:00 GMT")
    return request("GET", "http://h/b/k", signed)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer  {TOKEN} "},
        {"authorization": f"Bearer {TOKEN}", "x-amz-security-token": "another"},
        {"x-amz-security-token": TOKEN},
    ],
)
def test_bearer(headers: dict[str, str], is_known: bool) -> None:
    asked = request("GET", "http://h/b/k", headers)
    assert authenticate(asked, is_known=is_known).identity is BEARER


@pytest.mark.parametrize("make", [v4, v2])
@pytest.mark.parametrize("keys", [KNOWN, STRANGER])
def test_beside_a_signature(make: Callable[[Keys], Request], keys: Keys) -> None:
    assert authenticate(make(keys)).identity is BEARER


@pytest.mark.parametrize("make", [v4, v2])
def test_a_known_keys_signature_must_hold(make: Callable[[Keys], Request]) -> None:
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(make(FORGED))


def test_session_credentials_of_somebody_else() -> None:
    with pytest.raises(InvalidAccessKeyId):
        authenticate(v4(STRANGER, "FwoGZXIvYXdzEBYaD"))
    with pytest.raises(BadToken):
        authenticate(v4(KNOWN, "FwoGZXIvYXdzEBYaD"))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "Bearer"])
def test_bad_bearer(token: str) -> None:
    with pytest.raises(BadToken):
        authenticate(request("GET", "http://h/b/k", {"authorization": f"Bearer {token}"}))


def test_where_no_tokens_are_taken() -> None:
    asked = request("GET", "http://h/b/k", {"authorization": f"Bearer {TOKEN}"})
    with pytest.raises(BadToken):
        Authenticator(OneKey(), SETTINGS).authenticate(asked, EXAMPLE_NS)


PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={key}%2F{day}%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date={day}T{time}Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token={token}"
    "&x-amz-acl=private&X-Amz-Signature=00"
)


def presigned(key: str, token: str = TOKEN, day: str = "20130524", time: str = "000000") -> Request:
    query = PRESIGNED.format(key=key, token=token, day=day, time=time)
    return request("PUT", f"http://h/b/k?{query}", {})


@pytest.mark.parametrize("is_known", [True, False])
def test_presigned_with_an_unknown_key(is_known: bool) -> None:
    asked = presigned(STRANGER.access_key)
    assert authenticate(asked, is_known=is_known).identity is BEARER
    assert asked.headers["x-amz-acl"] == "private"


def test_presigned_and_refused() -> None:
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(presigned(ACCESS_KEY))
    with pytest.raises(BadToken):
        authenticate(presigned(STRANGER.access_key, "x.y.z"))
    with pytest.raises(AccessDenied, match="expires"):
        authenticate(presigned(STRANGER.access_key, day="20130523", time="235000"))


def test_a_token_in_the_query_alone_is_none() -> None:
    asked = request("GET", f"http://h/b/k?X-Amz-Security-Token={TOKEN}", {})
    assert authenticate(asked).identity is ANONYMOUS


def test_one_mechanism_alone() -> None:
    asked = request("GET", "http://h/b/k?X-Amz-Signature=0", {"authorization": f"Bearer {TOKEN}"})
    with pytest.raises(InvalidAuthArgument):
        authenticate(asked)


def test_preflights_carry_no_token() -> None:
    asked = request("OPTIONS", "http://h/b/k", {"authorization": f"Bearer {TOKEN}"})
    assert authenticate(asked).identity is ANONYMOUS


@pytest.mark.parametrize("keys", [KNOWN, STRANGER])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_chunks_are_checked_where_their_key_is_known(keys: Keys, is_damaged: bool) -> None:
    data = b"x" * 9000
    scope = Scope(keys, EXAMPLE_NS / 1e9, "us-east-1")
    headers = {
        "host": "h",
        "x-amz-security-token": TOKEN,
        "x-amz-decoded-content-length": str(len(data)),
    }
    signed = authorize_v4(scope, "PUT", "/b/k", headers, SIGNED_CHUNKS)
    signer = ChunkSigner(scope, signed["authorization"].rpartition("Signature=")[2])
    frames = signer.frame(data) + signer.frame(b"") + b"\r\n"
    if is_damaged:
        frames = frames.replace(b"x" * 10, b"y" * 10, 1)
    body = authenticate(request("PUT", "http://h/b/k", signed)).open_body(Arriving([frames]))
    if is_damaged and keys is KNOWN:
        with pytest.raises(SignatureDoesNotMatch):
            asyncio.run(read(body))
        return
    assert len(asyncio.run(read(body))) == len(data)
