"""Owns what an administrator reads when the store refuses: what is wrong, and what to do next."""

from __future__ import annotations

from core.accounts import NoSuchAccount
from core.errors import (
    AccessKeyExists,
    Conflict,
    Corrupt,
    EncryptionKeyExists,
    InvalidArgument,
    MalformedPolicy,
    MasterKeyMissing,
    MountpathUnavailable,
    NoSuchAccessKey,
    NoSuchEncryptionKey,
    NoSuchPolicy,
    NoSuchUser,
    OutOfSpace,
    StoreError,
    UserExists,
)
from core.jobs import NoSuchJob
from gateway.startup import NoSuchStore, StoreInUse
from storage.database import OtherSchema


def explain(error: StoreError) -> str:
    """A sentence for people."""
    match error:
        case NoSuchStore():
            return (
                f"no store in {', '.join(error.paths)}; name its directories with --data DIR or WEIR_DATA,"
                " or make a store there with weir serve"
            )
        case StoreInUse():
            return (
                f"{error.path} is served by another weir (process {error.pid}); stop that one first"
            )
        case UserExists():
            return f"a user with the name or id of {error.user!r} exists already; see weir user ls"
        case NoSuchJob():
            return f"no job {error.job_id!r}; see weir job ls --all"
        case NoSuchUser():
            return f"no user {error.user!r}; see weir user ls"
        case AccessKeyExists():
            return f"access key {error.access_key} exists already; choose another"
        case NoSuchAccessKey():
            return f"no access key {error.access_key}; see weir key ls"
        case OutOfSpace():
            return f"the disk of {error.mountpath} is full; make room there"
        case MountpathUnavailable():
            return f"{error.mountpath} cannot be used: {error.reason}; check that it is mounted and writable"
        case Corrupt():
            return _explain_damage(error)
        case InvalidArgument():
            advice = "; name the directories that the store was made in, each with --data"
            return f"{error.name} {error.value}: {error.reason}{advice if error.name == 'data' else ''}"
    return _explain_policy(error)


def _explain_damage(error: Corrupt) -> str:
    if not isinstance(error, OtherSchema):
        return f"{error.where}: {error.what} is damaged; run weir doctor"
    if error.is_older:
        return (
            f"{error.where} was written by an older weir ({error.what}); make its index anew, once, with"
            " weir doctor --rebuild-index"
        )
    return f"{error.where} was written by a newer weir ({error.what}); use that one"


def _explain_policy(error: StoreError) -> str:
    match error:
        case NoSuchAccount():
            return f"{error.provider} has no account {error.account!r}; see weir account ls"
        case NoSuchPolicy():
            return "the user has no policy of that name; see weir user policy ls"
        case MalformedPolicy():
            return f"the policy is refused: {error.reason}"
    return _explain_encryption(error)


def _explain_encryption(error: StoreError) -> str:
    match error:
        case NoSuchEncryptionKey():
            return f"no encryption key {error.key_id!r}; see weir kms ls"
        case EncryptionKeyExists():
            return f"an encryption key {error.key_id!r} exists already; see weir kms ls"
        case MasterKeyMissing():
            return f"the master key is missing: {error.reason}; see docs/operations.md, Encryption"
        case Conflict():
            return f"refused: {error.fields.get('reason') or error}"
    return f"{type(error).__name__}: {error}"
