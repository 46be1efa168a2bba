"""Owns the words of `weir account` and `weir bucket` on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from core.accounts import PROVIDERS

_PROVIDERS = {
    "aws": "AWS, and whatever else speaks S3",
    "gcp": "Google Cloud Storage",
    "azure": "Azure Blob Storage",
    "oci": "Oracle Cloud Infrastructure",
    "ht": "a plain HTTP server",
    "ais": "another weir or AIStore cluster",
}
_SECRETS = """\
secrets:
  --secret secret_key                 ask for it, or read it as a line of the standard input
  --secret secret_key=env:VARIABLE    from the environment
  --secret secret_key=file:PATH       from a file
What an account leaves empty comes from the provider's own standard chain (environment, profiles, the machine's role).
"""


def add_account(group: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Its subcommands. `command` makes one, as gateway.cli.arguments has it."""
    add = command(group, "add", "accounts:add", "add an account, or replace the one of its name")
    add.formatter_class = argparse.RawDescriptionHelpFormatter
    add.epilog = "providers:\n" + "".join(f"  {n:8}{t}\n" for n, t in _PROVIDERS.items()) + _SECRETS
    _add_identity(add)
    add.add_argument("--endpoint", metavar="URL", default="", help="where its S3 or other API is")
    add.add_argument("--account-region", metavar="NAME", default="", help="the provider's region")
    add.add_argument("--profile", metavar="NAME", default="", help="of the provider's own files")
    for option, form, help in (
        ("--option", "NAME=VALUE", "what else its adapter knows (docs/cloud.md); may be repeated"),
        ("--secret", "NAME[=WHERE]", "a secret, see below; may be repeated"),
    ):
        add.add_argument(option, metavar=form, action="append", default=[], help=help)
    listing = command(group, "ls", "accounts:list_accounts", "list the accounts, without secrets")
    listing.add_argument("--json", action="store_true", help="as JSON")
    remove = command(group, "rm", "accounts:remove", "remove an account and its secrets")
    _add_identity(remove)
    remove.add_argument("--force", action="store_true", help="though buckets are reached by it")
    test = command(group, "test", "accounts:test", "see whether an account works")
    _add_identity(test)
    test.add_argument("--bucket", metavar="NAME", default="", help="ask for this bucket alone")
    test.add_argument("--json", action="store_true", help="as JSON")


def add_bucket(group: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """As `add_account`."""
    add = command(group, "add", "buckets:add", "have a bucket that lives elsewhere known here")
    add.add_argument(
        "url", metavar="URL", help="s3://BUCKET, gs://, az://, or aws://#ACCOUNT/BUCKET"
    )
    add.add_argument("--account", metavar="NAME", default="", help="to reach it by")
    add.add_argument(
        "--as",
        metavar="NAME",
        default="",
        dest="as_name",
        help="name of a bucket of ours bound to it",
    )
    add.add_argument(
        "--unasked", action="store_true", help="without asking the provider whether it is there"
    )


def _add_identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("provider", metavar="PROVIDER", choices=PROVIDERS)
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default="",
        help="of the account, and of the namespace #NAME that uses it (default: the provider's default account)",
    )
