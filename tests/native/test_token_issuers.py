"""Tokens of others: of who shares a secret, and of another weir, whose keys are found by discovery over the network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jose import jwt

from tests.native.tokens import Guarded, start_guarded

BUCKET = "guarded"
PATH = f"/v1/objects/{BUCKET}/k"


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Guarded]:
    made = start_guarded(tmp_path / "first")
    try:
        yield made
    finally:
        made.server.stop()


@pytest.fixture
def second(tmp_path: Path, first: Guarded) -> Iterator[Guarded]:
    settings = {
        "auth.oidc_issuers": first.server.endpoint,
        "auth.oidc_allow_http": "true",
        "auth.oidc_min_refresh_interval_s": "1",
    }
    options = [text for name, value in settings.items() for text in ("--set", f"{name}={value}")]
    made = start_guarded(tmp_path / "second", *options)
    try:
        yield made
    finally:
        made.server.stop()


SECRET = "shared with the issuer, and long enough for it"


def test_tokens_signed_with_a_shared_secret(tmp_path: Path) -> None:
    """As AIStore's authentication service signs them where it is given a secret."""
    made = start_guarded(
        tmp_path / "data",
        WEIR_AUTH_TOKEN_ALGORITHM="HS256",
        WEIR_AUTH_TOKEN_KEY=SECRET,
        WEIR_AUTH_TOKEN_AUDIENCES="training",
    )
    try:
        admin = made.s3(made.issue("--admin"))
        admin.create_bucket(Bucket=BUCKET)
        admin.put_object(Bucket=BUCKET, Key="k", Body=b"data")
        space = {"uuid": id_of(made), "name": ""}
        claims = {
            "sub": "somebody",
            "aud": ["training"],
            "exp": int(time.time()) + 600,
            "buckets": [
                {"bck": {"name": BUCKET, "provider": "ais", "namespace": space}, "perm": "771"}
            ],
        }
        token = jwt.encode(claims, SECRET, "HS256")
        assert made.ask("GET", PATH, token).content == b"data"
        assert made.s3(token).get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"data"
        assert made.ask("PUT", PATH, token, data=b"x").status_code == 403
        for bad in (
            jwt.encode(claims, SECRET + "x", "HS256"),
            jwt.encode(claims, SECRET, "HS512"),
            jwt.encode({**claims, "aud": "others"}, SECRET, "HS256"),
            jwt.encode({**claims, "exp": 1}, SECRET, "HS256"),
        ):
            assert made.ask("GET", PATH, bad).status_code == 401
    finally:
        made.server.stop()


def id_of(store: Guarded) -> str:
    """What a store is called in the claims of tokens."""
    said = store.server.admin("token", "inspect", store.issue("--cluster", "ro")).stdout
    found: str = json.loads(said)["claims"]["clusters"][0]["id"]
    return found


def test_a_second_weir_believes_the_first(first: Guarded, second: Guarded) -> None:
    issuer = ("--issuer", first.server.endpoint)
    token = first.issue("--admin", *issuer)
    made = second.s3(token)
    made.create_bucket(Bucket=BUCKET)
    made.put_object(Bucket=BUCKET, Key="k", Body=b"second")
    assert second.ask("GET", PATH, token).content == b"second"
    # What is said of the first cluster alone permits nothing here.
    assert second.ask("GET", PATH, first.issue("--cluster", "all", *issuer)).status_code == 403
    cluster_id = id_of(second)
    there = first.issue("--cluster", "ro", "--cluster-id", cluster_id, *issuer)
    assert second.ask("GET", PATH, there).content == b"second"
    assert second.ask("PUT", PATH, there, data=b"x").status_code == 403
    # The issuer that a token names must be one that is trusted, whoever signed it.
    reply = second.ask("GET", PATH, first.issue("--admin", "--issuer", "http://127.0.0.1:1"))
    assert (reply.status_code, "issuer" in reply.text) == (401, True)
    # A key that is new is fetched, though not at once after the last fetch.
    first.server.admin("token", "rotate-key")
    rotated = first.issue("--admin", *issuer, subject="rotated")
    deadline = time.monotonic() + 20
    while second.ask("GET", PATH, rotated).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # What is known outlives its issuer's death.
    first.server.kill()
    assert second.ask("GET", PATH, token).status_code == 200
    assert (
        second.ask("GET", PATH, first.issue("--admin", *issuer, subject="late")).status_code == 200
    )
