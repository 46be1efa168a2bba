"""Owns how errors look to native clients: AIStore's JSON shape, its status codes, and texts that its SDK recognizes.

The SDK finds out what is missing from the first name of the form PROVIDER://BUCKET in the body: followed by "/" it is
an object, else the bucket. So messages name buckets and objects that way, and nothing else does before them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from core import errors
from core.accounts import NoSuchAccount
from core.jobs import NoSuchJob
from core.names import BucketRef
from core.shards import BadShard, NoSuchMember, NotAShard, ShardChanged
from gateway.batch.errors import BatchStopped, ClientLeft, TooManySoftErrors
from gateway.native.call import NativeResponse
from gateway.native.faults import (
    BackendUnreached,
    CopyOutdated,
    GoneFromBackend,
    NoSuchKind,
    NoSuchNode,
    NoSuchTransform,
    NotServed,
    ObjectExists,
    SourceChanged,
)
from gateway.native.request import NativeRequest
from gateway.native.routes import MethodNotAllowed, NoSuchAction, NoSuchQuery, NoSuchRoute
from jobs.local_files import NoSuchFile
from s3api.errors import shown

_SCHEMES = {"aws": "s3", "gcp": "gs", "azure": "az", "oci": "oc"}

Say = Callable[[errors.StoreError, str, str], str]


def cname(ref: BucketRef) -> str:
    """A bucket as people and the SDK read it: ais://name."""
    scheme = _SCHEMES.get(ref.provider, ref.provider)
    namespace = f"{ref.namespace}/" if ref.namespace else ""
    return f"{scheme}://{namespace}{ref.name}"


def _bucket_absent(_: errors.StoreError, bucket: str, __: str) -> str:
    return f'bucket "{bucket}" does not exist'


def _object_absent(_: errors.StoreError, bucket: str, name: str) -> str:
    return f"{bucket}/{name} does not exist"


def _account_absent(error: errors.StoreError, _: str, __: str) -> str:
    provider, name = error.provider, error.account
    return (
        f"{provider} has no account {name!r} here; add it with: weir account add {provider} {name}"
    )


def _unreached(error: errors.StoreError, bucket: str, _: str) -> str:
    why = error.error.fields.get("reason") or type(error.error).__name__
    return f'bucket "{bucket}" cannot be reached: {why}'


def _inventory_absent(error: errors.StoreError, _: str, __: str) -> str:
    """Not by the bucket's whole name, which the SDK takes for word that there is no such bucket."""
    named = f" {error.inventory!r}" if error.inventory else ""
    return (
        f"bucket {error.bucket} has no inventory{named} to answer from: create-inventory makes one"
    )


def _reason(error: errors.StoreError, bucket: str, name: str) -> str:
    reason = error.fields.get("reason")
    return str(reason) if reason else _own_words(error, bucket, name)


def _own_words(error: errors.StoreError, bucket: str, _: str) -> str:
    text = shown(error).message
    return f"{text} ({bucket})" if bucket else text


_ROWS: dict[type[errors.StoreError], tuple[int, str, Say]] = {
    errors.NoSuchBucket: (404, "ErrBckNotFound", _bucket_absent),
    errors.NoSuchKey: (404, "ErrNotFound", _object_absent),
    errors.NoSuchVersion: (404, "ErrNotFound", _object_absent),
    errors.VersionIsDeleteMarker: (404, "ErrNotFound", _object_absent),
    NoSuchMember: (404, "ErrNotFound", lambda e, b, n: f"{b}/{n}/{e.member} does not exist"),
    errors.NoSuchUpload: (
        404,
        "ErrNotFound",
        lambda e, _, __: f"upload {e.upload_id!r} does not exist",
    ),
    NoSuchTransform: (404, "ErrNotFound", lambda e, _, __: f"etl job {e.name!r} does not exist"),
    NotServed: (501, "ErrNotImpl", _reason),
    NoSuchKind: (404, "ErrXactNotFound", lambda e, _, __: f"no job is of kind {e.kind!r}"),
    NoSuchJob: (404, "ErrXactNotFound", lambda e, _, __: f"job {e.job_id!r} does not exist"),
    NoSuchFile: (404, "ErrNotFound", _reason),
    NoSuchNode: (404, "ErrNotFound", lambda e, _, __: f"node {e.node_id!r} does not exist"),
    NoSuchAccount: (404, "ErrNotFound", _account_absent),
    BackendUnreached: (424, "", _unreached),
    errors.NoSuchInventory: (404, "ErrNotFound", _inventory_absent),
    errors.InventoryExists: (
        409,
        "ErrBusy",
        lambda e, _, __: (
            f"bucket {e.bucket} has inventory {e.inventory!r} already: "
            "force replaces it, multi makes one more"
        ),
    ),
    errors.NotFound: (404, "ErrNotFound", _own_words),
    errors.BucketExists: (
        409,
        "ErrBckAlreadyExists",
        lambda _, b, __: f'bucket "{b}" already exists',
    ),
    errors.BucketOwnedByYou: (
        409,
        "ErrBckAlreadyExists",
        lambda _, b, __: f'bucket "{b}" already exists',
    ),
    errors.InvalidBucketState: (409, "ErrBusy", _reason),
    errors.Conflict: (409, "ErrBusy", _own_words),
    ShardChanged: (409, "ErrBusy", lambda _, b, n: f"{b}/{n} was replaced meanwhile"),
    ObjectExists: (409, "ErrBusy", lambda _, b, n: f"{b}/{n} already exists"),
    CopyOutdated: (409, "ErrBusy", lambda _, b, n: f"{b}/{n} is another at its backend by now"),
    GoneFromBackend: (410, "ErrGone", lambda _, b, n: f"{b}/{n} is gone from its backend"),
    SourceChanged: (409, "ErrBusy", lambda _, b, n: f"{b}/{n} was written to while it was renamed"),
    errors.PreconditionFailed: (412, "", _own_words),
    errors.InvalidRange: (416, "ErrRangeNotSatisfiable", _own_words),
    NotAShard: (400, "", _reason),
    BadShard: (400, "", _reason),
    errors.Invalid: (400, "", _reason),
    errors.EntityTooLarge: (413, "", _own_words),
    errors.ObjectLocked: (403, "", _reason),
    errors.BadToken: (401, "", _reason),
    errors.Denied: (403, "", lambda _, b, __: f"access denied{f' ({b})' if b else ''}"),
    TooManySoftErrors: (
        400,
        "",
        lambda e, _, __: f"more than {e.max_errors} items failed, at last: {message_of(e.error)}",
    ),
    ClientLeft: (
        400,
        "",
        lambda _, __, ___: "the connection was closed on the client's side too early",
    ),
    BatchStopped: (410, "ErrAborted", lambda _, __, ___: "the get-batch job was stopped"),
    NoSuchRoute: (404, "", lambda e, _, __: f"no such path: {e.path}"),
    NoSuchAction: (400, "", lambda e, _, __: f"unknown action {e.action!r}"),
    NoSuchQuery: (400, "", lambda e, _, __: f"unknown query what={e.what!r}"),
    MethodNotAllowed: (405, "", lambda e, _, __: f"{e.method} is not allowed here"),
    errors.BackendDenied: (403, "", _own_words),
    errors.BackendBusy: (429, "ErrTooManyRequests", _own_words),
    errors.Unsupported: (501, "ErrNotImpl", _reason),
    errors.OutOfSpace: (507, "ErrCapacityExceeded", _own_words),
    errors.Overloaded: (429, "ErrTooManyRequests", _own_words),
    errors.Unavailable: (503, "", _own_words),
    errors.Corrupt: (500, "", _own_words),
}


def error_response(
    error: BaseException, request: NativeRequest, ref: BucketRef | None
) -> NativeResponse:
    """The response that says `error`. A HEAD has the JSON in a header."""
    if isinstance(error, errors.NotModified):
        return NativeResponse(304, [(b"etag", f'"{error.info.etag}"'.encode())])
    status, code, message = _said(error, request, ref)
    body = json.dumps(
        {
            **({"tcode": code} if code else {}),
            "message": message,
            "method": request.method,
            "url_path": request.s3.raw_path.decode("latin-1"),
            "remote_addr": request.s3.client_address,
            "caller": "",
            "node": "",
            "status": status,
        }
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    if isinstance(error, errors.Unavailable):
        seconds = math.ceil(error.fields.get("retry_after_s") or 1)
        headers.append((b"retry-after", b"%d" % seconds))
    if isinstance(error, errors.BadToken):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, errors.InvalidRange):
        headers.append((b"content-range", b"bytes */%d" % error.size_bytes))
    if request.method == "HEAD":
        return NativeResponse(status, [*headers, (b"hdr-error", body)])
    return NativeResponse(status, headers, body)


def message_of(error: errors.StoreError) -> str:
    """What native clients are told of an error that names its bucket (`ref`) and its object (`key`)."""
    return _say(error, error.fields.get("ref"), "")[2]


def _said(
    error: BaseException, request: NativeRequest, ref: BucketRef | None
) -> tuple[int, str, str]:
    if not isinstance(error, errors.StoreError):
        return 500, "", "internal error"
    return _say(error, ref, request.object_name.decode("utf-8", "replace"))


def _say(error: errors.StoreError, ref: BucketRef | None, name: str) -> tuple[int, str, str]:
    """Status, code and text. The bucket and the name are those of the request, unless the error has others."""
    status, code, say = next(
        (_ROWS[base] for base in type(error).__mro__ if base in _ROWS), (500, "", _own_words)
    )
    if type(error).__module__.startswith("s3api"):
        # What signatures and their like raise says itself which status it has.
        status, say = shown(error).status, _own_words
    named = error.fields.get("ref", ref)
    named_key = str(error.fields.get("key") or name)
    return status, code, say(error, "" if named is None else cname(named), named_key)
