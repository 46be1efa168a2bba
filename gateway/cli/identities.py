"""Owns `weir user` and `weir key`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

from cluster.control import EmbeddedControlStore
from cluster.keys import ACCESS_KEY_FORM, is_access_key, new_access_key, new_secret_key, new_user_id
from core.errors import NoSuchUser
from core.names import AccessKey, UserId
from core.types import Credential, User
from gateway.cli.options import UsageError, load
from gateway.cli.table import print_rows
from gateway.startup import open_control

# Names and ids stand in ARNs and in policies, so what has a meaning there has no place in them; the characters and
# the length are those of IAM's user names. An id may be longer: S3's have 64 digits.
_USER_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}\Z")
_USER_ID = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}\Z")


def add_user(arguments: argparse.Namespace) -> int:
    """weir user add"""
    if not _USER_NAME.match(arguments.name):
        raise UsageError("a user's name has 1 to 64 letters, digits and characters of _+=,.@-")
    if arguments.id and not _USER_ID.match(arguments.id):
        raise UsageError("a user's id has 1 to 128 letters, digits and characters of _+=,.@-")
    user = User(
        UserId(arguments.id or new_user_id()),
        arguments.name,
        arguments.display_name or arguments.name,
        arguments.email,
    )
    credential = _new_credential(arguments, user)
    with open_store(arguments) as control:
        control.add_user_sync(user)
        try:
            control.add_credential_sync(credential)
        except BaseException:
            control.remove_user_sync(user.user_id)
            raise
    print(f"user        {user.name}\nid          {user.user_id}")
    _print_pair(credential)
    return 0


def list_users(arguments: argparse.Namespace) -> int:
    """weir user ls"""
    with open_store(arguments) as control:
        rows = [
            {
                "name": user.name,
                "id": user.user_id,
                "display_name": user.display_name,
                "email": user.email,
                "is_root": user.is_root,
                "keys": len(control.credentials(user.user_id)),
                "buckets": len(control.buckets(user.user_id)),
            }
            for user in control.users()
        ]
    print_rows(rows, ["name", "id", "display_name", "email", "keys", "buckets"], arguments.json)
    return 0


def remove_user(arguments: argparse.Namespace) -> int:
    """weir user rm"""
    with open_store(arguments) as control:
        user = find_user(control, arguments.name)
        owned = control.buckets(user.user_id)
        if owned:
            raise UsageError(
                f"{user.name} owns {len(owned)} buckets ({owned[0].name}, ...); delete these first"
            )
        if user.is_root:
            raise UsageError(
                "root cannot be removed; its keys can be changed with weir key add and rm"
            )
        control.remove_user_sync(user.user_id)
    print(f"removed {user.name} and its keys")
    return 0


def add_key(arguments: argparse.Namespace) -> int:
    """weir key add"""
    with open_store(arguments) as control:
        credential = _new_credential(arguments, find_user(control, arguments.user))
        control.add_credential_sync(credential)
    _print_pair(credential)
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """weir key ls"""
    with open_store(arguments) as control:
        users = [find_user(control, arguments.user)] if arguments.user else control.users()
        rows = [
            {
                "access_key": credential.access_key,
                "secret_key": credential.secret_key if arguments.show_secrets else "***",
                "user": user.name,
            }
            for user in users
            for credential in control.credentials(user.user_id)
        ]
    print_rows(rows, ["access_key", "secret_key", "user"], arguments.json)
    return 0


def remove_key(arguments: argparse.Namespace) -> int:
    """weir key rm"""
    with open_store(arguments) as control:
        control.remove_credential_sync(AccessKey(arguments.access_key))
    print(f"removed {arguments.access_key}")
    return 0


@contextmanager
def open_store(arguments: argparse.Namespace) -> Iterator[EmbeddedControlStore]:
    with closing(open_control(load(arguments).config)) as control:
        yield control


def find_user(control: EmbeddedControlStore, name_or_id: str) -> User:
    found = control.user_named(name_or_id) or control.user(UserId(name_or_id))
    if found is None:
        raise NoSuchUser(user=name_or_id)
    return found


def _new_credential(arguments: argparse.Namespace, user: User) -> Credential:
    access_key, secret_key = arguments.access_key, arguments.secret_key
    if (access_key is None) != (secret_key is None):
        raise UsageError(
            "--access-key and --secret-key are given together, or neither for a new pair"
        )
    if access_key is None:
        return Credential(new_access_key(), new_secret_key(), user)
    if not is_access_key(access_key):
        raise UsageError(f"--access-key: {ACCESS_KEY_FORM} are wanted")
    if len(secret_key) < 8:
        raise UsageError("a secret key has at least 8 characters")
    return Credential(AccessKey(access_key), secret_key, user)


def _print_pair(credential: Credential) -> None:
    print(f"access key  {credential.access_key}\nsecret key  {credential.secret_key}")
