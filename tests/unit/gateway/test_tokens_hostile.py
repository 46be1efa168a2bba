"""Tokens that must be refused, each for its own reason, and never with anything but BadToken."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadToken, ExpiredToken, InvalidArgument
from gateway.tokens.keys import static_key_sync
from gateway.tokens.parse import MAX_TOKEN_BYTES, parse_token
from gateway.tokens.verifier import Trust
from tests.unit.gateway.tokening import (
    GOOD,
    NOW_S,
    SECRET,
    World,
    encode,
    private_key,
    public_jwk,
    public_pem,
    rules,
    segment,
    signature,
    token,
    world,
)

PEM = public_pem(private_key())


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Trusts tokens of HS256 with SECRET, of one issuer and for one audience."""
    trust = Trust(static_key=static_key_sync("HS256", SECRET, "key"))
    wanted = rules(issuers=["https://issuer.test"], audiences=["weir"])
    with world(tmp_path_factory.mktemp("secret"), trust, wanted) as made:
        yield made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Trusts tokens of RS256 signed with the private key of PEM."""
    trust = Trust(static_key=static_key_sync("RS256", PEM, "key"))
    with world(tmp_path_factory.mktemp("pair"), trust) as made:
        yield made


FULL = {**GOOD, "iss": "https://issuer.test", "aud": ["other", "weir"]}


def but(**changes: Any) -> dict[str, Any]:
    """FULL with some claims changed; None takes one away."""
    return {name: value for name, value in {**FULL, **changes}.items() if value is not None}


def refusal(trusting: World, text: str) -> str:
    with pytest.raises(BadToken) as caught:
        trusting.identity(text)
    reason: str = caught.value.reason
    assert text not in reason
    return reason


def test_the_good_ones(secret: World, pair: World) -> None:
    assert secret.identity(token(FULL)).claims is not None
    assert secret.identity(token(but(aud="weir"))).claims is not None
    assert pair.identity(token(GOOD, private_key(), "RS256")).claims is not None


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "nOnE", None, 5, ["HS256"]])
def test_algorithm_none(secret: World, alg: Any) -> None:
    head = segment({"alg": alg, "typ": "JWT"})
    for end in ("", encode(b"x")):
        assert refusal(secret, f"{head}.{segment(FULL)}.{end}")


@pytest.mark.parametrize("alg", ["ES256", "PS256", "EdDSA", "RS1", "HS1", "dir", "A256GCM"])
def test_algorithms_that_are_not_taken(secret: World, alg: str) -> None:
    text = f"{segment({'alg': alg})}.{segment(FULL)}.{encode(b'x' * 64)}"
    assert "signed with one of" in refusal(secret, text)


@pytest.mark.parametrize("material", [PEM, PEM.strip(), PEM.encode() + b"\n"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_public_key_used_as_a_secret(pair: World, material: Any, alg: str) -> None:
    assert "another algorithm" in refusal(pair, token(GOOD, material, alg))


def test_another_algorithm_of_the_same_family(secret: World, pair: World) -> None:
    assert "another algorithm" in refusal(secret, token(FULL, SECRET, "HS512"))
    assert "another algorithm" in refusal(pair, token(GOOD, private_key(), "RS512"))


def test_another_key(secret: World, pair: World) -> None:
    assert "does not hold" in refusal(secret, token(FULL, SECRET + "x"))
    assert "does not hold" in refusal(pair, token(GOOD, private_key("other"), "RS256"))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (but(iss="https://evil.test"), "issuer"),
        (but(iss="https://issuer.test/"), "issuer"),
        (but(iss=None), "issuer"),
        (but(iss=["https://issuer.test"]), "issuer"),
        (but(aud=None), "audience"),
        (but(aud="weird"), "audience"),
        (but(aud=[]), "audience"),
        (but(aud=["other", 5]), "audience"),
        (but(aud={"weir": 1}), "audience"),
        (but(exp=None), "no expiry"),
        (but(exp="2099-01-01T00:00:00Z"), "exp is no time"),
        (but(exp=str(NOW_S + 60)), "exp is no time"),
        (but(exp=True), "exp is no time"),
        (but(exp=-1), "exp is no time"),
        (but(exp=10**400), "exp is no time"),
        (but(sub=None), "subject"),
        (but(sub=""), "subject"),
        (but(sub=5), "subject"),
        (but(sub="x" * 257), "subject"),
        (but(nbf=NOW_S + 61), "not valid yet"),
        (but(nbf="x"), "nbf is no time"),
        (but(iat=NOW_S + 61), "future"),
        (but(iat=None, exp=NOW_S + 86401), "does not say since when"),
    ],
)
def test_claims(secret: World, payload: dict[str, Any], said: str) -> None:
    assert said in refusal(secret, token(payload))


@pytest.mark.parametrize(
    "payload", [but(exp=NOW_S), but(exp=0), but(exp=NOW_S - 0.5), but(iat=NOW_S - 86400)]
)
def test_expired_or_too_old(secret: World, payload: dict[str, Any]) -> None:
    with pytest.raises(ExpiredToken):
        secret.identity(token(payload))


@pytest.mark.parametrize(
    "head",
    [
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"cty": "JWT"},
        {"typ": "JWE"},
        {"typ": "secevent+jwt"},
        {"kid": 5},
        {"kid": ""},
        {"kid": ["a"]},
        {"kid": "x" * 257},
    ],
)
def test_headers(secret: World, head: dict[str, Any]) -> None:
    assert refusal(secret, token(FULL, **head))


def test_compressed_payload(secret: World) -> None:
    body = encode(zlib.compress(json.dumps(FULL).encode())[2:-4])
    signed = f"{segment({'alg': 'HS256', 'zip': 'DEF'})}.{body}"
    assert refusal(secret, f"{signed}.{encode(signature(signed.encode(), SECRET, 'HS256'))}")


@pytest.mark.parametrize(
    "key_id",
    [
        "../../etc/passwd",
        "/dev/null",
        "file:///etc/passwd",
        "http://evil.test/k",
        "' OR 1=1 --",
        "\0",
    ],
)
def test_key_ids_name_nothing_outside(secret: World, tmp_path: Path, key_id: str) -> None:
    """A static key has no id, so none matters; and where ids matter, nothing is looked up by them but keys."""
    assert secret.identity(token(FULL, kid=key_id)).claims is not None
    with world(tmp_path) as own:
        assert "nobody who is trusted" in refusal(own, token(FULL, kid=key_id))


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "x5t"])
def test_keys_that_a_token_brings_along_are_ignored(pair: World, name: str) -> None:
    evil = private_key("other")
    value: Any = public_jwk(evil, "evil") if name == "jwk" else "https://evil.test/keys"
    assert "does not hold" in refusal(pair, token(GOOD, evil, "RS256", **{name: value}))
    assert pair.identity(token(GOOD, private_key(), "RS256", **{name: value})).claims is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "a..c",
        " a.b.c",
        "a.b.c\n",
        "ä.b.c",
        "e30.e30.!!!!",
        "e30=.e30.e30",
        "e3+/.e30.e30",
        "A.e30.e30",
        "é" * 5000,
    ],
)
def test_what_is_no_token(secret: World, text: str) -> None:
    with pytest.raises(BadToken):
        secret.identity(text)


def test_huge(secret: World) -> None:
    text = token({**FULL, "filler": "x" * MAX_TOKEN_BYTES})
    assert "longer" in refusal(secret, text)
    assert secret.tokens.known(text) is None


@pytest.mark.parametrize(
    "payload",
    [
        '{"sub":"a","sub":"b","exp":1}',
        '{"sub":"a","exp":1,"exp":9999999999}',
        '{"sub":"a","exp":NaN}',
        '{"sub":"a","exp":Infinity}',
        "[" * 6000,
        '{"a":' * 1500,
        "[]",
        "null",
        '"text"',
        "5",
        "",
        "{",
        '{"sub":"\\ud800"',
        '{"buckets":[{"perm":"1","perm":"2"}]}',
        '{"exp":' + "9" * 5000 + "}",
    ],
)
def test_payloads_that_are_no_plain_object(secret: World, payload: str) -> None:
    assert refusal(secret, token(payload))


def test_header_that_says_its_algorithm_twice(secret: World) -> None:
    head = segment('{"alg":"none","alg":"HS256"}')
    signed = f"{head}.{segment(FULL)}"
    assert refusal(secret, f"{signed}.{encode(signature(signed.encode(), SECRET, 'HS256'))}")


def test_one_spelling_for_each_token(secret: World) -> None:
    """The last character of a signature has bits that decoding drops: no other spelling of a token is taken."""
    text = token(FULL)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [text[:-1] + letter for letter in alphabet if letter != text[-1]]
    assert all(refusal(secret, other) for other in others)


PERMS = [-1, "-1", 2**64, str(2**64), "1e3", "0x1", "", " 1", "٣", 1.0, 1.5, True, [], {}, "9" * 30]


@pytest.mark.parametrize("perm", [*PERMS, None])
def test_permissions_that_are_none(secret: World, perm: Any) -> None:
    bucket = {"name": "b", "provider": "ais", "namespace": {"uuid": "cluster-of-tests", "name": ""}}
    for claim in (
        {"clusters": [{"id": "", "perm": perm}]},
        {"buckets": [{"bck": bucket, "perm": perm}]},
    ):
        assert "perm" in refusal(secret, token({**FULL, **claim}))


@pytest.mark.parametrize(
    "claim",
    [
        {"admin": "true"},
        {"admin": 1},
        {"admin": {}},
        {"clusters": {}},
        {"clusters": "x"},
        {"clusters": [5]},
        {"clusters": [{"id": 5, "perm": 1}]},
        {"clusters": [{"id": "", "perm": 1}] * 1001},
        {"buckets": [{"perm": 1}]},
        {"buckets": [{"bck": "b", "perm": 1}]},
        {"buckets": [{"bck": {"name": 5}, "perm": 1}]},
        {"buckets": [{"bck": {"name": "b", "namespace": "x"}, "perm": 1}]},
        {"buckets": [{"bck": {"name": "b" * 300}, "perm": 1}]},
    ],
)
def test_claims_of_other_shapes(secret: World, claim: dict[str, Any]) -> None:
    assert refusal(secret, token({**FULL, **claim}))


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [
        ("HS256", "x" * 31),
        ("HS512", "  " + "x" * 31 + "\n"),
        ("HS256", ""),
        ("HS256", PEM),
        ("HS256", "ssh-rsa " + "A" * 100),
        ("RS256", public_pem(private_key("weak", 1024))),
        ("RS256", SECRET),
        ("RS256", ""),
        ("RS256", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"),
        ("RS256", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"),
    ],
)
def test_keys_of_the_settings_that_are_too_weak_or_none(algorithm: str, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        static_key_sync(algorithm, text, "auth.token_key")
    assert not text or text not in str(caught.value)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: f"{encode(raw)}.e30.e30"))
def test_anything_at_all_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(BadToken):
        parse_token(text)
