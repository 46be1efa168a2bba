"""Every operation of S3 is one that the permissions of tokens speak of: none is forgotten."""

from __future__ import annotations

import pytest

from core.claims import Permission
from core.policy.actions import of_version
from core.policy.permissions import PERMISSIONS
from s3api.router import TABLE

LATE = {
    "DeleteObjects": "s3:DeleteObject",
    "PostObject": "s3:PutObject",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "PutObjectRetention": "s3:PutObjectRetention",
    "PutObjectTagging": "s3:PutObjectTagging",
}
"""Operations that ask for their action when they know what they are about."""

ACTIONS = {row.operation.name: row.operation.action for row in TABLE}


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_each_operation_has_permissions(name: str) -> None:
    action = ACTIONS[name] or LATE[name]
    for each in (action, of_version(action)):
        assert each in PERMISSIONS, f"{each}: put it into core/policy/permissions.py"


def test_what_needs_admin_is_said_in_the_table() -> None:
    admins = {action for action, needed in PERMISSIONS.items() if Permission.ADMIN in needed}
    assert admins == {"s3:BypassGovernanceRetention"}
