"""Owns how native clients write the names of buckets: checks of new ones, and AIStore's unames."""

from __future__ import annotations

import re

from core.errors import InvalidArgument
from core.names import BucketRef, parse_native_bucket_name
from gateway.native.request import bucket_ref

_NAMESPACE = re.compile(r"#[A-Za-z0-9_-]{1,32}\Z")


def check_new_bucket(ref: BucketRef) -> None:
    """Whether a bucket may be made under that identity. Raises InvalidBucketName, InvalidArgument."""
    if ref.provider != "ais":
        reason = f"there is no backend for provider {ref.provider!r}: only ais buckets can be made"
        raise InvalidArgument(name="provider", value=ref.provider, reason=reason)
    if ref.namespace:
        uuid, _, name = ref.namespace.removeprefix("@").partition("#")
        if uuid:
            reason = f"no remote cluster {uuid!r} is attached"
            raise InvalidArgument(name="namespace", value=ref.namespace, reason=reason)
        if not _NAMESPACE.match(f"#{name}"):
            reason = "a namespace has 1 to 32 letters, digits, - and _"
            raise InvalidArgument(name="namespace", value=ref.namespace, reason=reason)
    parse_native_bucket_name(ref.name)


def ref_of_uname(uname: str) -> BucketRef:
    """The bucket that PROVIDER/@UUID#NAMESPACE/BUCKET/ names, or a bare name. Raises InvalidArgument."""
    parts = uname.removesuffix("/").split("/")
    if len(parts) == 1 and parts[0]:
        return bucket_ref(parts[0])
    if len(parts) != 3 or not all(parts) or not parts[1].startswith("@"):
        reason = "not of the form provider/@uuid#namespace/bucket/"
        raise InvalidArgument(name="bck_to", value=uname, reason=reason)
    provider, namespace, name = parts
    return bucket_ref(name, provider, namespace)
