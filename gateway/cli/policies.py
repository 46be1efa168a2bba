"""Owns `weir user policy`: what users may do, of what their accounts may."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster.user_policies import put_policy_sync, remove_policy_sync
from core.errors import NoSuchPolicy
from core.policy.document import MAX_USER_POLICY_BYTES, parsed
from gateway.cli.identities import find_user, open_store
from gateway.cli.options import UsageError
from gateway.cli.table import print_rows


def put_policy(arguments: argparse.Namespace) -> int:
    """weir user policy put"""
    document = _read(arguments.file)
    with open_store(arguments) as control:
        user = find_user(control, arguments.user)
        put_policy_sync(control.database, user.user_id, arguments.policy, document)
        is_first = not user.policies
    print(f"attached {arguments.policy} to {user.name}")
    if is_first:
        print(f"{user.name} may do from now on only what its policies allow")
    return 0


def list_policies(arguments: argparse.Namespace) -> int:
    """weir user policy ls"""
    with open_store(arguments) as control:
        users = [find_user(control, arguments.user)] if arguments.user else control.users()
    rows = [
        {"user": user.name, "policy": name, "statements": len(parsed(document).statements)}
        for user in users
        for name, document in user.policies
    ]
    print_rows(rows, ["user", "policy", "statements"], arguments.json)
    return 0


def show_policy(arguments: argparse.Namespace) -> int:
    """weir user policy show"""
    with open_store(arguments) as control:
        user = find_user(control, arguments.user)
    for name, document in user.policies:
        if name == arguments.policy:
            print(document)
            return 0
    raise NoSuchPolicy(user=user.user_id, policy=arguments.policy)


def remove_policy(arguments: argparse.Namespace) -> int:
    """weir user policy rm"""
    with open_store(arguments) as control:
        user = find_user(control, arguments.user)
        remove_policy_sync(control.database, user.user_id, arguments.policy)
        is_last = len(user.policies) == 1
    print(f"removed {arguments.policy} from {user.name}")
    if is_last:
        print(f"{user.name} has no policy left, and may do all that its account may")
    return 0


def _read(name: str) -> str:
    """The document in a file; - is the standard input."""
    try:
        if name == "-":
            raw = sys.stdin.buffer.read(MAX_USER_POLICY_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                raw = file.read(MAX_USER_POLICY_BYTES + 1)
        return raw.decode().strip()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name} is no text in UTF-8") from None
