"""How refusals of tokens are said to each kind of client, and that no secret is said to anybody."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from core.errors import BadToken, ExpiredToken, RevokedToken
from gateway.cli.main import main
from gateway.tokens.keys import static_key_sync
from gateway.tokens.published import Published
from gateway.tokens.verifier import Trust
from s3api.errors import shown
from tests.unit.gateway.tokening import GOOD, SECRET, token, world


@pytest.mark.parametrize(
    ("kind", "code"),
    [(BadToken, "InvalidToken"), (RevokedToken, "InvalidToken"), (ExpiredToken, "ExpiredToken")],
)
def test_in_the_words_of_s3(kind: type[BadToken], code: str) -> None:
    said = shown(kind(reason="why, for native clients"))
    assert (said.code, said.status) == (code, 400)
    assert "why" not in said.message


def test_settings_are_shown_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_AUTH_TOKEN_KEY", SECRET)
    monkeypatch.setenv("WEIR_AUTH_TOKEN_ALGORITHM", "HS256")
    for form in ([], ["--json"]):
        assert main(["config", *form]) == 0
        out = capsys.readouterr().out
        assert SECRET not in out
        assert "HS256" in out


def test_a_bad_key_of_the_settings_is_not_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEIR_AUTH_TOKEN_KEY", "short and secret")
    monkeypatch.setenv("WEIR_AUTH_TOKEN_ALGORITHM", "HS256")
    assert main(["serve", "--data", str(tmp_path / "data")]) != 0
    said = capsys.readouterr().err
    assert "32 bytes" in said
    assert "short and secret" not in said
    assert not (tmp_path / "data").exists()


def test_nothing_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    trust = Trust(static_key=static_key_sync("HS256", SECRET, "key"))
    good, bad = token(), token(GOOD, SECRET + "x")
    with world(tmp_path, trust) as here:
        here.identity(good)
        with pytest.raises(BadToken):
            here.identity(bad)
    for secret in (SECRET, good, bad, good.rpartition(".")[2]):
        assert secret not in caplog.text
        assert secret not in repr(trust)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "openid-configuration", 200),
        ("HEAD", "openid-configuration", 200),
        ("GET", "jwks.json", 200),
        ("POST", "jwks.json", 405),
        ("GET", "acme-challenge/x", 404),
    ],
)
@pytest.mark.parametrize("issuer_url", ["", "https://weir.test/at/this"])
def test_what_is_published(
    tmp_path: Path, method: str, path: str, status: int, issuer_url: str
) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("no body is read")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "method": method,
        "scheme": "http",
        "raw_path": f"/.well-known/{path}".encode(),
        "headers": [(b"host", b'127.0.0.1:9000"\n')],
    }
    with world(tmp_path) as here:
        published = Published(here.records, here.clock, 60, issuer_url)
        asyncio.run(published(scope, receive, send))
    head, body = sent
    assert head["status"] == status
    headers = dict(head["headers"])
    if method == "HEAD":
        assert body["body"] == b""
        return
    document = json.loads(body["body"])
    assert int(headers[b"content-length"]) == len(body["body"])
    if path == "openid-configuration":
        is_fixed = bool(issuer_url)
        assert document["issuer"] == (issuer_url or 'http://127.0.0.1:9000"\n')
        assert document["jwks_uri"] == f"{document['issuer']}/.well-known/jwks.json"
        assert (headers[b"cache-control"] == b"no-store") != is_fixed
