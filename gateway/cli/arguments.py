"""Owns the words of the command line: subcommands, options, help. Each names the function that runs it as text."""

from __future__ import annotations

import argparse
import difflib
import re
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from gateway.cli import bulk_words
from gateway.cli.account_arguments import add_account, add_bucket
from gateway.cli.options import add_serve_options, add_store_options
from gateway.version import __version__

JOB_KINDS = {
    "lifecycle": "carry out the lifecycle rules of buckets",
    "copy-bck": "copy what is in --bucket into --to, which is made if there is none",
    "move-bck": "rename --bucket to --to",
    **bulk_words.KINDS,
    "index-shard": "make indexes of the TAR shards in --bucket",
    "create-inventory": "take the inventories of --bucket anew, or the first (of --prefix)",
    "cleanup-store": "remove what crashes left behind",
    "load-lom-cache": "bring the index of --bucket into memory",
    "lru": "evict copies of what backends have, those read longest ago, down to the low watermark",
    "rechunk": "rewrite the objects in --bucket as its settings of chunks say",
    "rebalance": "move objects to the nodes they belong to; on a single node there is nothing to move",
    "resilver": "the same for the disks of a node",
}

_EXAMPLES = """\
examples:
  weir serve                                  serve ./weir-data on 127.0.0.1:9000
  weir serve --data /disk1 --data /disk2 --listen 0.0.0.0:9000
  weir user add alice                         make a user and a key pair for it
  weir key ls root --show-secrets             what the root key pair is
  weir job start lifecycle --bucket logs      carry out the lifecycle rules of a bucket now
  weir account add aws                        reach the buckets of an AWS account; more: docs/cloud.md
  weir doctor --data /disk1 --data /disk2     check every stored byte
  weir config --config weir.toml              what is in force, and where it comes from
"""


class _Parser(argparse.ArgumentParser):
    """Says what to do next when it does not understand; subcommands inherit it."""

    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        for action in self._actions:
            known += action.choices or ()
        unknown = re.search(
            r"unrecognized arguments: (--[\w-]+)|invalid choice: '([^']*)'", message
        )
        close = difflib.get_close_matches((unknown[1] or unknown[2]) if unknown else "", known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        self.exit(2, f"{self.prog}: {message}; {hint}see {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            # Here and not at the top, because the command that does not know an option knows its neighbours.
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command. The `run` default is "module:function" under gateway.cli."""
    parser = _Parser(
        prog="weir",
        description="An S3 server on your own disks.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"weir {__version__}", help="show the version"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_user(commands)
    _add_key(commands)
    _add_token(commands)
    _add_kms(commands)
    add_account(_group(commands, "account", "manage accounts at providers of buckets"), _command)
    add_bucket(_group(commands, "bucket", "have buckets that live elsewhere known here"), _command)
    _add_job(commands)
    bulk_words.add_download_options(
        _command(
            commands,
            "download",
            "download:download",
            "download links, datasets and models into a bucket",
            "Download what is on the web into a bucket. The server does it; where none runs, this command does.",
        )
    )
    _add_doctor(commands)
    config = _command(
        commands, "config", "config:show", "show the settings in force, and where each comes from"
    )
    config.add_argument("--json", action="store_true", help="as JSON")
    config.add_argument(
        "--markdown",
        action="store_true",
        help="all settings that there are, as the table in the documentation",
    )
    add_serve_options(config)
    _command(commands, "version", "config:version", "show the version")
    return parser


def _command(
    commands: _Commands,
    name: str,
    run: str,
    help: str,
    description: str = "",
) -> argparse.ArgumentParser:
    text = description or help[0].upper() + help[1:] + "."
    parser = commands.add_parser(name, help=help, description=text, allow_abbrev=False)
    parser.set_defaults(run=run)
    if name != "version":
        add_store_options(parser)
    return parser


def _group(commands: _Commands, name: str, help: str) -> _Commands:
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add_serve(commands: _Commands) -> None:
    serve = _command(
        commands,
        "serve",
        "serve:serve",
        "serve the store over S3",
        "Serve the store over S3. The first start on empty directories makes the store and a root key pair,"
        " and prints the pair once. WEIR_ROOT_ACCESS_KEY and WEIR_ROOT_SECRET_KEY set it instead."
        " SIGTERM or Ctrl-C stops it after the requests in flight; once more stops it at once.",
    )
    add_serve_options(serve)


def _add_user(commands: _Commands) -> None:
    group = _group(commands, "user", "manage users, whether the server runs or not")
    add = _command(group, "add", "identities:add_user", "add a user with a key pair")
    add.add_argument(
        "name", metavar="NAME", help="for commands and policies; letters, digits and _+=,.@-"
    )
    add.add_argument("--id", help="canonical user id (default: a new one of 64 hexadecimal digits)")
    add.add_argument("--display-name", metavar="D", help="name that S3 shows (default: NAME)")
    add.add_argument("--email", metavar="E", default="", help="mail address")
    _add_pair_options(add)
    listing = _command(group, "ls", "identities:list_users", "list the users")
    listing.add_argument("--json", action="store_true", help="as JSON")
    remove = _command(group, "rm", "identities:remove_user", "remove a user and its keys")
    remove.add_argument("name", metavar="NAME", help="name or id")
    _add_user_policy(group)


def _add_user_policy(commands: _Commands) -> None:
    group = _group(commands, "policy", "attach policies to users, and take them away")
    put = _command(
        group,
        "put",
        "policies:put_policy",
        "attach a policy to a user",
        "Attach a policy to a user, in place of one of the same name. With the first, the user may do only what its"
        " policies allow, of what its account may.",
    )
    put.add_argument("user", metavar="USER", help="name or id")
    put.add_argument("policy", metavar="POLICY", help="name of the policy")
    put.add_argument("file", metavar="FILE", help="IAM policy in JSON; - for the standard input")
    listing = _command(group, "ls", "policies:list_policies", "list the policies that users have")
    listing.add_argument("user", metavar="USER", nargs="?", help="of this user alone, name or id")
    listing.add_argument("--json", action="store_true", help="as JSON")
    show = _command(group, "show", "policies:show_policy", "show a policy of a user")
    show.add_argument("user", metavar="USER", help="name or id")
    show.add_argument("policy", metavar="POLICY", help="name of the policy")
    remove = _command(group, "rm", "policies:remove_policy", "take a policy away from a user")
    remove.add_argument("user", metavar="USER", help="name or id")
    remove.add_argument("policy", metavar="POLICY", help="name of the policy")


def _add_key(commands: _Commands) -> None:
    group = _group(commands, "key", "manage access keys, whether the server runs or not")
    add = _command(group, "add", "identities:add_key", "add a key pair for a user")
    add.add_argument("user", metavar="USER", help="name or id")
    _add_pair_options(add)
    listing = _command(group, "ls", "identities:list_keys", "list access keys")
    listing.add_argument("user", metavar="USER", nargs="?", help="of this user alone, name or id")
    listing.add_argument("--show-secrets", action="store_true", help="show secret keys too")
    listing.add_argument("--json", action="store_true", help="as JSON")
    remove = _command(group, "rm", "identities:remove_key", "remove a key pair")
    remove.add_argument("access_key", metavar="ACCESS_KEY")


def _add_token(commands: _Commands) -> None:
    group = _group(commands, "token", "manage bearer tokens (JWT), whether the server runs or not")
    _add_token_create(group)
    for name, help in (
        ("inspect", "show what a token says, and whether it is good here"),
        ("revoke", "refuse a token from now on"),
    ):
        command = _command(group, name, f"tokens:{name}", help)
        command.add_argument("token", metavar="TOKEN", help="the token; - for the standard input")
    _command(
        group,
        "rotate-key",
        "tokens:rotate_key",
        "sign tokens with a new key; those that the old one signed stay good until they expire",
    )


def _add_token_create(group: _Commands) -> None:
    create = _command(
        group,
        "create",
        "tokens:create",
        "issue a token, signed with this store's own key",
        "Issue a token, signed with this store's own key, and print it. It speaks for root's account, or for the user"
        " that --sub names, as far as it permits: PERMS are ro, rw, bucket-admin, cluster-ro, cluster-rw, all, names"
        " of single permissions or their number, separated by commas.",
    )
    create.add_argument("--sub", metavar="NAME", required=True, help="whom the token is for")
    create.add_argument("--admin", action="store_true", help="permit everything")
    create.add_argument(
        "--bucket",
        metavar="NAME=PERMS",
        action="append",
        default=[],
        help="permit this on a bucket, whatever --cluster says",
    )
    create.add_argument(
        "--cluster", metavar="PERMS", default="", help="permit this on all other buckets and beside"
    )
    create.add_argument(
        "--cluster-id",
        metavar="ID",
        default="",
        help="the store that --bucket and --cluster are about (default: this one), if it trusts this issuer",
    )
    create.add_argument(
        "--expires", metavar="TIME", default="24h", help="lifetime, such as 30m or 7d (default 24h)"
    )
    create.add_argument(
        "--aud",
        metavar="NAME",
        action="append",
        default=[],
        help="audience (default: the first demanded)",
    )
    create.add_argument(
        "--issuer", metavar="URL", default="", help="issuer (default: auth.issuer_url or listen)"
    )


def _add_kms(commands: _Commands) -> None:
    group = _group(
        commands, "kms", "manage encryption keys (SSE-KMS), whether the server runs or not"
    )
    create = _command(group, "create", "kms:create_key", "make an encryption key")
    create.add_argument(
        "key_id",
        metavar="KEY_ID",
        nargs="?",
        help="id (default: a new one of 32 hexadecimal digits)",
    )
    create.add_argument(
        "--alias",
        metavar="NAME",
        default="",
        help="another name, as alias/NAME; aws/s3 is what requests use that name no key",
    )
    listing = _command(group, "ls", "kms:list_keys", "list the encryption keys")
    listing.add_argument("--json", action="store_true", help="as JSON")
    for name, run, help in (
        ("rotate", "rotate_key", "give a key a new version, which new writes use"),
        ("disable", "disable_key", "make a key, and what it encrypts, unusable for now"),
        ("enable", "enable_key", "make a disabled key usable again"),
        ("rm", "remove_key", "remove a disabled key; what it encrypts is lost"),
    ):
        command = _command(group, name, f"kms:{run}", help)
        command.add_argument("key", metavar="KEY", help="id or alias")
    master = _command(
        group,
        "rotate-master",
        "kms:rotate_master",
        "wrap all encryption keys with a new master key",
    )
    master.add_argument(
        "--new-key-file",
        metavar="FILE",
        type=Path,
        help="the new master key, where the settings give it (32 bytes in base64)",
    )


def _add_job(commands: _Commands) -> None:
    group = _group(commands, "job", "start, follow and stop background jobs")
    begin = _command(
        group,
        "start",
        "jobs:start",
        "start a job, and print its id",
        "Start a job, and print its id. The server runs it; where none runs, this command does.",
    )
    begin.formatter_class = argparse.RawDescriptionHelpFormatter
    begin.epilog = "kinds:\n" + "\n".join(f"  {n:18} {text}" for n, text in JOB_KINDS.items())
    begin.add_argument("kind", metavar="KIND", choices=JOB_KINDS, help="see below")
    begin.add_argument("--bucket", metavar="NAME", default="", help="for this bucket alone")
    begin.add_argument("--to", metavar="NAME", default="", help="the other bucket")
    _add_copy_options(begin)
    bulk_words.add_options(begin)
    listing = _command(group, "ls", "jobs:list_jobs", "list the jobs that have not ended")
    listing.add_argument("--all", action="store_true", help="those that have ended too")
    listing.add_argument("--json", action="store_true", help="as JSON")
    status = _command(group, "status", "jobs:status", "show all of a job")
    status.add_argument("--json", action="store_true", help="as JSON")
    wait = _command(
        group,
        "wait",
        "jobs:wait",
        "wait for the end of a job",
        "Wait for the end of a job. Exit status 1 says that it failed or was stopped.",
    )
    wait.add_argument("--progress", action="store_true", help="show meanwhile how far it has come")
    wait.add_argument("--timeout", metavar="S", type=float, help="give up after this time")
    stop = _command(group, "stop", "jobs:stop", "stop a job")
    for command in (status, wait, stop):
        command.add_argument("job_id", metavar="ID", help="as weir job start and ls show it")


def _add_copy_options(begin: argparse.ArgumentParser) -> None:
    copy = begin.add_argument_group("options of copy-bck")
    copy.add_argument("--prefix", metavar="P", default="", help="only objects that begin with this")
    copy.add_argument("--prepend", metavar="P", default="", help="put this before the names")
    copy.add_argument(
        "--ext", metavar="OLD=NEW", action="append", help="replace an extension; may be repeated"
    )
    copy.add_argument("--dry-run", action="store_true", help="count, and write nothing")
    copy.add_argument(
        "--sync", action="store_true", help="remove from the target what the source does not have"
    )
    copy.add_argument("--flat", action="store_true", help="without what is in virtual directories")
    copy.add_argument(
        "--keep-going", action="store_true", help="count objects that fail, and go on with others"
    )
    copy.add_argument(
        "--parallel", metavar="N", type=int, default=0, help="objects at a time (default: some)"
    )


def _add_pair_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--access-key", metavar="K", help="access key (default: a new one)")
    parser.add_argument(
        "--secret-key", metavar="S", help="secret key; set together with the access key"
    )


def _add_doctor(commands: _Commands) -> None:
    doctor = _command(
        commands,
        "doctor",
        "doctor:doctor",
        "check a store, and rebuild its index",
        "Check a store: the index against the blobs, every checksum, and leftovers. Exit status 1 says that damage"
        " was found.",
    )
    doctor.add_argument(
        "--rebuild-index",
        action="store_true",
        help="make the index anew from the blobs; stop the server first",
    )
    doctor.add_argument("--clean", action="store_true", help="remove blobs that nothing names")
