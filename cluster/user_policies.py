"""Owns the policies attached to users, as rows of the control store. What they say is core.policy's; that they are
obeyed, core.access's.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict

from cluster.database import ControlDatabase
from core.errors import Conflict, InvalidArgument, NoSuchPolicy, NoSuchUser
from core.names import UserId
from core.policy.document import user_policy

MAX_POLICIES = 10
"""Of one user; AWS allows as many managed policies (IAM and AWS STS quotas)."""

IDENTITY = "identity"
"""The kind under which changes of users, keys and policies are noted."""

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}\Z")


def put_policy_sync(database: ControlDatabase, user_id: UserId, name: str, document: str) -> None:
    """Attach a policy, in place of one of the same name. Raises MalformedPolicy, InvalidArgument, NoSuchUser; Conflict
    for root, whom no policy holds back, and for one policy too many."""
    if not _NAME.match(name):
        reason = "a policy's name has 1 to 128 letters, digits and characters of _+=,.@-"
        raise InvalidArgument(name="policy name", value=name, reason=reason)
    user_policy(document)
    with database.transaction() as change:
        row = change.execute("SELECT is_root FROM users WHERE user_id = ?", (user_id,)).fetchone()
        if row is None:
            raise NoSuchUser(user=user_id)
        if row[0]:
            raise Conflict(user=user_id, reason="no policy can be attached to root")
        others = change.execute(
            "SELECT count(*) FROM user_policies WHERE user_id = ? AND name <> ?", (user_id, name)
        ).fetchone()[0]
        if others >= MAX_POLICIES:
            raise Conflict(user=user_id, reason=f"has {others} policies already")
        change.execute(
            "INSERT OR REPLACE INTO user_policies (user_id, name, document) VALUES (?, ?, ?)",
            (user_id, name, document),
        )
        change.note(IDENTITY, user_id)


def remove_policy_sync(database: ControlDatabase, user_id: UserId, name: str) -> None:
    """Raises NoSuchPolicy."""
    with database.transaction() as change:
        cursor = change.execute(
            "DELETE FROM user_policies WHERE user_id = ? AND name = ?", (user_id, name)
        )
        if not cursor.rowcount:
            raise NoSuchPolicy(user=user_id, policy=name)
        change.note(IDENTITY, user_id)


def read_policies(reader: sqlite3.Connection) -> dict[UserId, tuple[tuple[str, str], ...]]:
    """The policies of all users that have any, each with its name, in order of names."""
    found: dict[UserId, list[tuple[str, str]]] = defaultdict(list)
    rows = reader.execute("SELECT user_id, name, document FROM user_policies ORDER BY name")
    for user_id, name, document in rows:
        found[UserId(user_id)].append((name, document))
    return {user_id: tuple(policies) for user_id, policies in found.items()}
