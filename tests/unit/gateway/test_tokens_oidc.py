"""Keys found by OpenID Connect discovery: when they are fetched, which are taken, and issuers that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import BadToken, Unavailable
from gateway.config_auth import AuthConfig
from gateway.config_sources import ConfigError
from gateway.tokens.keys import read_jwks_sync
from gateway.tokens.oidc import FetchError, HttpFetch, OidcKeys, OidcSettings, unfit_url
from gateway.tokens.setup import check_trust
from gateway.tokens.verifier import Trust
from tests.unit.gateway.tokening import GOOD, private_key, public_jwk, token, world

ISSUER = "https://issuer.test/realm"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
KEYS = "https://keys.test/jwks"


class Issuer:
    """An issuer that answers from dictionaries, and counts. `gate` holds it up."""

    def __init__(self) -> None:
        self.keys: list[Any] = [public_jwk(private_key(), "k1")]
        self.discovery: Any = {"issuer": ISSUER, "jwks_uri": KEYS}
        self.is_down = False
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None
        self.now = 1000.0
        self.changes = 0
        self.on_change: Callable[[], None] = lambda: None
        self.oidc = OidcKeys(
            OidcSettings((ISSUER,), 900, 30), self._fetch, self._changed, lambda: self.now
        )

    def _changed(self) -> None:
        self.changes += 1
        self.on_change()

    async def _fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.gate is not None:
            await self.gate.wait()
        if self.is_down:
            raise FetchError("down")
        found = {DISCOVERY: self.discovery, KEYS: {"keys": self.keys}}[url]
        return found if isinstance(found, bytes) else json.dumps(found).encode()

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        async def scene() -> None:
            try:
                await scenario()
            finally:
                await self.oidc.close()

        asyncio.run(scene())


def test_fetched_once_and_kept() -> None:
    issuer = Issuer()

    async def scenario() -> None:
        for _ in range(3):
            await issuer.oidc.key(ISSUER, "k1")

    issuer.run(scenario)
    assert issuer.asked == [DISCOVERY, KEYS]


def test_those_who_wait_share_one_fetch() -> None:
    issuer = Issuer()

    async def scenario() -> None:
        issuer.gate = asyncio.Event()
        asking = [asyncio.create_task(issuer.oidc.key(ISSUER, "k1")) for _ in range(50)]
        while not issuer.asked:
            await asyncio.sleep(0)
        asking[0].cancel()  # who gives up takes nothing from the others
        issuer.gate.set()
        done = await asyncio.gather(*asking[1:])
        assert len(done) == 49

    issuer.run(scenario)
    assert issuer.asked == [DISCOVERY, KEYS]


def test_an_unknown_key_id_refreshes_once_in_a_while() -> None:
    issuer = Issuer()

    async def unknown() -> None:
        with pytest.raises(BadToken, match="no key of this id"):
            await issuer.oidc.key(ISSUER, "k2")

    async def scenario() -> None:
        await issuer.oidc.key(ISSUER, "k1")
        await asyncio.gather(*(unknown() for _ in range(10)))
        assert len(issuer.asked) == 2, "that was a moment ago"
        issuer.now += 31
        await asyncio.gather(*(unknown() for _ in range(10)))
        assert len(issuer.asked) == 4
        issuer.keys.append(public_jwk(private_key("new"), "k2"))
        await unknown()
        issuer.now += 31
        await issuer.oidc.key(ISSUER, "k2")
        assert len(issuer.asked) == 6
        assert issuer.changes == 0

    issuer.run(scenario)


def test_an_issuer_that_is_down() -> None:
    issuer = Issuer()
    issuer.is_down = True

    async def scenario() -> None:
        for _ in range(5):
            with pytest.raises(Unavailable) as caught:
                await issuer.oidc.key(ISSUER, "k1")
            assert 0 < caught.value.retry_after_s <= 30
        assert len(issuer.asked) == 1
        issuer.is_down, issuer.now = False, issuer.now + 31
        await issuer.oidc.key(ISSUER, "k1")
        issuer.is_down, issuer.now = True, issuer.now + 31
        with pytest.raises(BadToken):
            await issuer.oidc.key(ISSUER, "other")
        await issuer.oidc.key(ISSUER, "k1")  # what is known stays known

    issuer.run(scenario)


def test_keys_that_are_gone_are_told() -> None:
    issuer = Issuer()

    async def scenario() -> None:
        await issuer.oidc.key(ISSUER, "k1")
        issuer.keys, issuer.now = [public_jwk(private_key("new"), "k2")], issuer.now + 31
        await issuer.oidc.key(ISSUER, "k2")
        with pytest.raises(BadToken):
            await issuer.oidc.key(ISSUER, "k1")

    issuer.run(scenario)
    assert issuer.changes == 1


@pytest.mark.parametrize("url", ["https://evil.test", ISSUER + "/", ISSUER.upper(), ""])
def test_other_issuers_are_never_asked(url: str) -> None:
    issuer = Issuer()

    async def scenario() -> None:
        with pytest.raises(BadToken, match="not one that is trusted"):
            await issuer.oidc.key(url, "k1")

    issuer.run(scenario)
    assert issuer.asked == []


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.test", "jwks_uri": KEYS},
        {"jwks_uri": KEYS},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": 5},
        {"issuer": ISSUER, "jwks_uri": "http://keys.test/jwks"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER, "jwks_uri": "https://user:pass@keys.test/"},
        {"issuer": ISSUER, "jwks_uri": "https://[bad/"},
        [],
        b"<html>",
        b"[" * 100_000,
        b"\xff",
        b"",
    ],
)
def test_discovery_that_cannot_be_believed(discovery: Any) -> None:
    issuer = Issuer()
    issuer.discovery = discovery

    async def scenario() -> None:
        with pytest.raises(Unavailable):
            await issuer.oidc.key(ISSUER, "k1")

    issuer.run(scenario)
    assert issuer.asked == [DISCOVERY]


ONE = private_key()
GOOD_KEY = public_jwk(ONE, "good")


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "k"},
        {"kty": "oct", "k": "AAAA", "kid": "k"},
        public_jwk(private_key("weak", 1024), "k"),
        public_jwk(ONE, "k", use="enc"),
        public_jwk(ONE, "k", alg="HS256"),
        public_jwk(ONE, "k", alg="none"),
        public_jwk(ONE, "k", alg="PS256"),
        public_jwk(ONE, "k", alg=5),
        public_jwk(ONE, "k", key_ops=["encrypt"]),
        public_jwk(ONE, "k", key_ops="verify it"),
        public_jwk(ONE, "k", d="AQAB"),
        {**public_jwk(ONE, "k"), "e": "AQ"},
        {**public_jwk(ONE, "k"), "e": "AAAA"},
        {**public_jwk(ONE, "k"), "e": "_" * 2000},
        {**public_jwk(ONE, "k"), "n": "!!"},
        {**public_jwk(ONE, "k"), "n": 5},
        {**public_jwk(ONE, "k"), "n": "_" * 10_000},
        {"kty": "RSA", "kid": "k"},
        public_jwk(ONE, None),
        public_jwk(ONE, ""),
        {**public_jwk(ONE, None), "kid": 5},
        "text",
        None,
    ],
)
def test_keys_that_are_passed_over(entry: Any) -> None:
    assert list(read_jwks_sync({"keys": [entry, GOOD_KEY]})) == ["good"]


def test_a_name_that_two_keys_have_is_neithers() -> None:
    twice = [public_jwk(ONE, "k"), public_jwk(private_key("new"), "k")]
    assert list(read_jwks_sync({"keys": [*twice, GOOD_KEY]})) == ["good"]


def test_a_key_may_be_for_one_algorithm_alone() -> None:
    keys = read_jwks_sync({"keys": [public_jwk(ONE, "k", alg="RS512")]})
    assert keys["k"].algorithms == ("RS512",)


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": [GOOD_KEY] * 201}])
def test_what_is_no_key_set(document: Any) -> None:
    with pytest.raises(ValueError, match="no JWK set"):
        read_jwks_sync(document)


def test_tokens_of_an_issuer(tmp_path: Path) -> None:
    issuer = Issuer()
    payload = {**GOOD, "iss": ISSUER}
    good = token(payload, private_key(), "RS256", kid="k1")
    bad = [
        token(payload, private_key("other"), "RS256", kid="k1"),
        token(payload, private_key(), "RS256", kid="k9"),
        token({**payload, "iss": "https://evil.test"}, private_key(), "RS256", kid="k1"),
        token(GOOD, private_key(), "RS256", kid="k1"),
        token(payload, "x" * 40, "HS256", kid="k1"),
    ]

    async def scenario() -> None:
        identity = await made.tokens.identity(good)
        assert identity.claims is not None
        assert identity.claims.issuer == ISSUER
        # One key needs no name.
        await made.tokens.identity(token(payload, private_key(), "RS512"))
        for each in bad:
            with pytest.raises(BadToken):
                await made.tokens.identity(each)
        assert made.tokens.known(good) is identity
        issuer.keys, issuer.now = [public_jwk(private_key("new"), "k2")], issuer.now + 31
        await made.tokens.identity(token(payload, private_key("new"), "RS256", kid="k2"))
        assert made.tokens.known(good) is None
        with pytest.raises(BadToken):
            await made.tokens.identity(good)

    with world(tmp_path, Trust(oidc=issuer.oidc)) as made:
        issuer.on_change = made.tokens.forget
        issuer.run(scenario)


# --- over a socket -----------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
REPLIES = {
    "redirect": b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    "huge": HEAD + b"connection: close\r\n\r\n" + b"x" * 2_000_000,
    "huge in chunks": HEAD + b"transfer-encoding: chunked\r\n\r\n1e8480\r\n" + b"x" * 2_000_000,
    "huge by its own word": HEAD + b"content-length: 999999999999\r\n\r\n" + b"x" * 600_000,
    "error": b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    "cut": HEAD + b"content-length: 100\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(50_000)),
    "silent": b"",
}


@pytest.mark.parametrize("kind", sorted(REPLIES))
def test_fetch_from_who_misbehaves(kind: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REPLIES[kind])
        try:
            await writer.drain()
            if kind == "silent":
                await asyncio.sleep(60)
        except OSError:
            pass
        finally:
            writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        fetch = HttpFetch(0.3 if kind == "silent" else 20, None)
        try:
            with pytest.raises(FetchError) as caught:
                await fetch(f"http://127.0.0.1:{port}/x")
        finally:
            server.close()
        assert len(str(caught.value)) < 1000

    asyncio.run(scenario())


def test_fetch_from_nobody() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(FetchError):
            asyncio.run(HttpFetch(5, None)(url))


def test_fetch_with_a_bundle_that_is_none(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("nothing")
    with pytest.raises(FetchError, match="oidc_ca_bundle"):
        asyncio.run(HttpFetch(5, str(bundle))("https://127.0.0.1:1/"))


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "is_http_allowed", "is_fit"),
    [
        ("https://issuer.test", False, True),
        ("https://issuer.test:8543/realms/x", False, True),
        ("http://127.0.0.1:9000", True, True),
        ("http://[::1]:9000", True, True),
        ("http://localhost", True, True),
        ("http://127.0.0.1:9000", False, False),
        ("http://issuer.test", True, False),
        ("http://127.0.0.1.evil.test", True, False),
        ("http://user@127.0.0.1", True, False),
        ("ftp://127.0.0.1", True, False),
        ("issuer.test", True, False),
        ("https://", True, False),
    ],
)
def test_urls_of_issuers(url: str, is_http_allowed: bool, is_fit: bool) -> None:
    assert (unfit_url(url, is_http_allowed=is_http_allowed) == "") == is_fit


@pytest.mark.parametrize(
    "auth",
    [
        AuthConfig(token_algorithm="HS256"),
        AuthConfig(token_key="x" * 40),
        AuthConfig(token_algorithm="HS256", token_key="x" * 31),
        AuthConfig(token_algorithm="HS256", token_key="x" * 40, token_key_file=Path("/none")),
        AuthConfig(token_algorithm="HS256", token_key="x" * 40, oidc_issuers=(ISSUER,)),
        AuthConfig(token_algorithm="RS256", token_key_file=Path("/none")),
        AuthConfig(token_algorithm="RS256", token_key="x" * 40),
        AuthConfig(oidc_issuers=("http://issuer.test",)),
        AuthConfig(oidc_issuers=(ISSUER,), oidc_ca_bundle=Path("/none")),
    ],
)
def test_settings_that_trust_nobody_rightly(auth: AuthConfig) -> None:
    with pytest.raises(ConfigError) as caught:
        check_trust(auth)
    assert "xxxx" not in str(caught.value)


def test_settings_that_are_right(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x" * 40 + "\n")
    check_trust(AuthConfig())
    check_trust(AuthConfig(oidc_issuers=(ISSUER,)))
    check_trust(AuthConfig(token_algorithm="HS512", token_key_file=file))
    assert "xxxx" not in repr(AuthConfig(token_key="x" * 40))
