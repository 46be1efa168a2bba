"""Whom tokens speak for, what they permit here, and how long that is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.claims import ALL_ACCESS, Claims
from core.encryption import DataKey
from core.errors import BadToken, ExpiredToken, RevokedToken
from core.names import BucketName, BucketRef, UserId
from core.types import User
from gateway.tokens import verifier
from gateway.tokens.keys import static_key_sync
from gateway.tokens.own import TokenIssuer, jwks, live_keys
from gateway.tokens.verifier import Trust
from tests.unit.gateway.tokening import (
    ALICE,
    CLUSTER,
    GOOD,
    NOW_S,
    ROOT,
    SECRET,
    World,
    private_key,
    rules,
    token,
    world,
)

TRUST = Trust(static_key=static_key_sync("HS256", SECRET, "key"))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, TRUST) as made:
        yield made


def claims_of(here: World, **more: Any) -> Claims:
    found = here.identity(token({**GOOD, **more})).claims
    assert found is not None
    return found


# --- for whom ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "is_admin", "user"),
    [
        ("somebody", False, ROOT),
        ("alice", False, ALICE),
        ("alice", True, ROOT),
        ("root", False, ROOT),
        (ALICE.user_id, False, ROOT),
        ("ALICE", False, ROOT),
    ],
)
def test_whom_a_token_speaks_for(here: World, subject: str, is_admin: bool, user: User) -> None:
    identity = here.identity(token({**GOOD, "sub": subject, "admin": is_admin}))
    assert identity.user is not None
    assert identity.user.user_id == user.user_id
    assert identity.claims is not None
    assert (identity.claims.subject, identity.claims.is_admin) == (subject, is_admin)


def bucket(name: str, perm: Any, uuid: str = CLUSTER, provider: str = "ais") -> dict[str, Any]:
    space = {"uuid": uuid, "name": ""}
    return {"bck": {"name": name, "provider": provider, "namespace": space}, "perm": perm}


@pytest.mark.parametrize(
    ("clusters", "permissions"),
    [
        ([], 0),
        (None, 0),
        ([{"id": CLUSTER, "perm": "5"}], 5),
        ([{"id": CLUSTER, "perm": 5}], 5),
        ([{"id": "", "perm": "7"}], 7),
        ([{"perm": "7"}], 7),
        ([{"id": "", "perm": "7"}, {"id": CLUSTER, "perm": "5"}], 5),
        ([{"id": CLUSTER, "perm": "0"}, {"id": "", "perm": "7"}], 0),
        ([{"id": "another", "perm": "7"}], 0),
        ([{"id": CLUSTER, "perm": "5"}, {"id": CLUSTER, "perm": "7"}], 5),
        ([{"id": CLUSTER, "perm": str(ALL_ACCESS)}], ALL_ACCESS),
        ([{"id": CLUSTER}], 0),
    ],
)
def test_permissions_on_the_cluster(here: World, clusters: Any, permissions: int) -> None:
    assert claims_of(here, clusters=clusters).cluster == permissions


def test_permissions_on_buckets(here: World) -> None:
    entries = [
        bucket("one", "1"),
        bucket("two", 2, provider=""),
        bucket("cloud", "4", provider="s3"),
        bucket("elsewhere", "8", uuid="another"),
        bucket("nowhere", "8", uuid=""),
        bucket("unknown", "8", provider="mars"),
        bucket("one", "16"),
        {"bck": {"name": "none"}, "perm": "8"},
    ]
    assert claims_of(here, buckets=entries).buckets == {
        BucketRef(BucketName("one")): 1,
        BucketRef(BucketName("two")): 2,
        BucketRef(BucketName("cloud"), "aws"): 4,
    }


# --- how long ----------------------------------------------------------------------------------------------------


def test_remembered_until_it_expires(here: World) -> None:
    text = token()
    assert here.tokens.known(text) is None
    identity = here.identity(text)
    assert here.tokens.known(text) is identity
    here.clock.seconds = NOW_S + 599
    assert here.tokens.known(text) is identity
    here.clock.seconds = NOW_S + 600
    assert here.tokens.known(text) is None
    with pytest.raises(ExpiredToken):
        here.identity(text)


def test_remembered_no_longer_than_any_may_live(tmp_path: Path) -> None:
    text = token({**GOOD, "iat": NOW_S - 50})
    with world(tmp_path, TRUST, rules(max_age_s=60)) as here:
        here.identity(text)
        here.clock.seconds = NOW_S + 10
        assert here.tokens.known(text) is None
        with pytest.raises(ExpiredToken):
            here.identity(text)


def test_what_is_refused_is_not_remembered(here: World) -> None:
    text = token(GOOD, SECRET + "x")
    with pytest.raises(BadToken):
        here.identity(text)
    assert here.tokens.known(text) is None


def test_memory_is_bounded(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_MAX_CACHED", 5)
    texts = [token({**GOOD, "sub": f"s{number}"}) for number in range(9)]
    for text in texts:
        here.identity(text)
    assert [here.tokens.known(text) is not None for text in texts] == [False] * 4 + [True] * 5


def test_many_at_once(here: World) -> None:
    async def ask() -> None:
        texts = [token({**GOOD, "sub": f"s{number % 7}"}) for number in range(60)]
        found = await asyncio.gather(*(here.tokens.identity(text) for text in texts))
        assert {each.claims.subject for each in found if each.claims} == {f"s{n}" for n in range(7)}

    asyncio.run(ask())


def test_changes_of_users_are_seen(here: World) -> None:
    text = token({**GOOD, "sub": "bob"})
    identity = here.identity(text)
    assert identity.user is not None
    assert identity.user.is_root
    here.control.add_user_sync(User(UserId("b" * 64), "bob", "Bob"))
    assert here.tokens.known(text) is None
    identity = here.identity(text)
    assert identity.user is not None
    assert identity.user.name == "bob"


# --- taking back -------------------------------------------------------------------------------------------------


def test_revoked_in_every_process_and_for_good(here: World) -> None:
    text, other = token(), token({**GOOD, "sub": "other"})
    for each in (text, other):
        here.identity(each)
    another = World(here.control.home, rules(), TRUST)
    another.identity(text)
    assert asyncio.run(here.tokens.revoke([text, "no token", ""])) == 1
    for worker in (here, another):
        assert worker.tokens.known(text) is None
        with pytest.raises(RevokedToken, match="revoked"):
            worker.identity(text)
        worker.identity(other)
    another.close()
    with world(here.control.home, TRUST) as later, pytest.raises(RevokedToken):
        later.identity(text)


def test_revoking_forgets_what_has_expired(here: World) -> None:
    first = token({**GOOD, "exp": NOW_S + 1})
    asyncio.run(here.tokens.revoke([first]))
    here.clock.seconds = NOW_S + 2
    asyncio.run(here.tokens.revoke([token()]))
    rows = here.control.database.reader.execute("SELECT expires_ns FROM revoked_tokens").fetchall()
    assert rows == [((NOW_S + 600) * 10**9,)]


def test_a_token_that_never_expires_is_remembered_as_long_as_any(here: World) -> None:
    for expiry in (None, "never", 10**11):
        asyncio.run(here.tokens.revoke([token({**GOOD, "exp": expiry})]))
    rows = here.control.database.reader.execute("SELECT expires_ns FROM revoked_tokens").fetchall()
    assert set(rows) == {((NOW_S + 86400) * 10**9,)}


# --- this store's own key ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keys:
    """A key service with one key that never changes."""

    key: bytes = b"k" * 32

    async def new_data_key(self, key_id: str, binding: bytes) -> DataKey:
        return DataKey(self.key, b"wrapped" + binding, key_id)

    async def unwrap(self, key_id: str, wrapped_key: bytes, binding: bytes) -> bytes:
        del key_id
        assert wrapped_key == b"wrapped" + binding
        return self.key


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    """Trusts nobody but itself."""
    with world(tmp_path, None, rules(issuers=["https://other.test"])) as made:
        yield made


def issue(own: World, **more: Any) -> str:
    return asyncio.run(TokenIssuer(own.records, Keys(), own.clock).issue({**GOOD, **more}))


def test_own_tokens_are_believed(own: World) -> None:
    text = issue(own, iss="http://here.test")
    assert own.identity(text).claims is not None
    assert own.tokens.known(text) is not None
    assert len(own.records.all_keys()) == 1
    issue(own)
    assert len(own.records.all_keys()) == 1


def test_two_who_make_the_first_key_make_one(own: World) -> None:
    async def both() -> None:
        await asyncio.gather(
            *(TokenIssuer(own.records, Keys(), own.clock).issue(GOOD) for _ in range(2))
        )

    asyncio.run(both())
    assert len(own.records.all_keys()) == 1


def test_keys_of_before_a_rotation_are_believed_while_their_tokens_live(own: World) -> None:
    text = issue(own, exp=NOW_S + 10**6, iat=NOW_S + 10)
    own.clock.seconds = retired_s = NOW_S + 5
    asyncio.run(TokenIssuer(own.records, Keys(), own.clock).rotate())
    old, new = own.records.all_keys()[1], own.records.all_keys()[0]
    assert old.retired_ns == new.created_ns
    keys = live_keys(own.records, (retired_s + 1) * 10**9, 86400)
    assert [each["kid"] for each in jwks(keys)["keys"]] == [new.key_id, old.key_id]
    assert "d" not in jwks(keys)["keys"][0]
    assert live_keys(own.records, (retired_s + 86401) * 10**9, 86400) == [new]
    own.identity(text)
    assert own.identity(issue(own)).claims is not None
    own.clock.seconds = retired_s + 86401
    with pytest.raises(BadToken, match="long ago"):
        own.identity(text)
    own.records.forget_keys_sync((retired_s + 1) * 10**9)
    assert own.records.all_keys() == [new]


def test_own_key_ids_on_tokens_of_others(own: World) -> None:
    key_id = own.records.all_keys()[0].key_id if issue(own) else ""
    for key, algorithm in ((private_key("other"), "RS256"), (SECRET, "HS256")):
        with pytest.raises(BadToken):
            own.identity(token(GOOD, key, algorithm, kid=key_id))
    with pytest.raises(BadToken, match="nobody"):
        own.identity(token(GOOD, private_key("other"), "RS256", kid="another"))


def test_audiences_hold_for_own_tokens_too(tmp_path: Path) -> None:
    with world(tmp_path, None, rules(audiences=["weir"])) as own:
        with pytest.raises(BadToken, match="audience"):
            own.identity(issue(own))
        own.identity(issue(own, aud=["weir"]))


def test_the_private_key_lies_sealed(own: World) -> None:
    issue(own)
    key = own.records.all_keys()[0]
    assert key.sealed[16:18] != b"\x30\x82", "that would be PKCS #8 as it is"
    assert "sealed" not in repr(key)
