"""Owns how a bucket is named on the command line: by its bare name, or PROVIDER://[#ACCOUNT/]BUCKET."""

from __future__ import annotations

import re

from cluster.control import EmbeddedControlStore
from core.errors import Invalid
from core.names import BucketName, BucketRef
from core.types import Bucket
from gateway.cli.options import UsageError
from gateway.native.request import bucket_ref

_URL = re.compile(r"([a-z0-9]+)://(?:([@#][^/]*)/)?([^/]+)/?\Z")


def parse_url(url: str) -> BucketRef:
    """Raises UsageError."""
    match = _URL.match(url)
    if match is None:
        raise UsageError(f"{url}: PROVIDER://[#ACCOUNT/]BUCKET is wanted, such as s3://my-bucket")
    provider, namespace, name = match.groups()
    try:
        return bucket_ref(name, provider, namespace or "")
    except Invalid as error:
        raise UsageError(f"{url}: {error.reason}") from None


def parse_name(text: str) -> BucketRef:
    """A bare name is one of our own. Raises UsageError."""
    return parse_url(text) if "://" in text else BucketRef(BucketName(text))


def bucket_named(control: EmbeddedControlStore, text: str) -> Bucket:
    """A bucket that is known here. A bare name, and s3://NAME, means what it does to S3 clients: a bucket of our own,
    or else the one that a provider or namespace has. Raises UsageError."""
    found = control.bucket(parse_name(text))
    if found is not None:
        return found
    scheme, _, name = text.rpartition("://")
    others = control.other_buckets(BucketName(name)) if scheme in ("", "s3") else ()
    if len(others) == 1:
        return others[0]
    if others:
        raise UsageError(
            f"several buckets are called {name}; say which, as in {url_of(others[0].ref)}"
        )
    then = f"; if it lives elsewhere: weir bucket add {text}" if scheme not in ("", "ais") else ""
    raise UsageError(f"no bucket {text!r}; aws s3 ls shows each user the buckets it owns{then}")


def url_of(ref: BucketRef) -> str:
    """A bucket as it is written on the command line."""
    if ref.is_plain:
        return ref.name
    namespace = (
        ref.namespace.removeprefix("@") if not ref.cluster else ref.namespace.removesuffix("#")
    )
    return f"{ref.provider}://{namespace}{'/' if namespace else ''}{ref.name}"
