"""Owns the names of things: bucket references, object keys, upload ids, and the rules they obey.

A name is parsed once, at the edge that receives it, and trusted afterwards.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NewType

from core.errors import InvalidBucketName, InvalidKey, KeyTooLong
from core.light import light

BucketName = NewType("BucketName", str)
ObjectKey = NewType("ObjectKey", str)
UploadId = NewType("UploadId", str)
UserId = NewType("UserId", str)
AccessKey = NewType("AccessKey", str)

MAX_KEY_BYTES = 1024
"""Longest object key in UTF-8 bytes (AWS: Creating object key names)."""

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
# Top-level routes of the native API that are long enough to be bucket names (design: one port).
_RESERVED_NAMES = frozenset({"ais", "aws", "gcp", "azure", "oci"})
_NATIVE_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
# The routes that are too short for S3 names, too.
_RESERVED_NATIVE_NAMES = _RESERVED_NAMES | {"v1", "s3", "gs", "az", "oc", "ht", "-"}
SYSTEM_BUCKETS = frozenset({".sys-inventory", ".sys-shardidx"})
"""Names of the buckets in which the store keeps what it makes of others."""


@light
@dataclass(frozen=True, slots=True)
class BucketRef:
    """A bucket's identity: the triplet (provider, namespace, name)."""

    name: BucketName
    provider: str = "ais"
    namespace: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is what a bare name means first: one of our own, in the global namespace."""
        return self.provider == "ais" and not self.namespace

    @property
    def cluster(self) -> str:
        """The uuid or alias of the other cluster that it is in; "" for this one."""
        return self.namespace.removeprefix("@").partition("#")[0]

    @property
    def space(self) -> str:
        """The name of its namespace; "" for the global one."""
        return self.namespace.partition("#")[2]

    @property
    def is_remote(self) -> bool:
        """Whether it lives elsewhere by its very identity: at a provider, or in another cluster."""
        return self.provider != "ais" or bool(self.cluster)


def parse_bucket_name(text: str) -> BucketName:
    """Check a name for a new bucket by the general-purpose bucket naming rules of S3.

    Raises InvalidBucketName. Source: AWS, "General purpose bucket naming rules".
    """
    if (
        not _BUCKET_NAME.match(text)
        or ".." in text
        or ".-" in text
        or "-." in text
        or text.startswith(_RESERVED_PREFIXES)
        or text.endswith(_RESERVED_SUFFIXES)
        or text in _RESERVED_NAMES
        or _is_ip_address(text)
    ):
        raise InvalidBucketName(bucket=text)
    return BucketName(text)


def parse_native_bucket_name(text: str) -> BucketName:
    """Check a name for a new bucket by the rules of the native API, which are laxer than S3's.

    A leading dot is for system buckets alone. Raises InvalidBucketName.
    """
    if (
        not _NATIVE_BUCKET_NAME.match(text)
        or ".." in text
        or text == "."
        or (text.startswith(".") and text not in SYSTEM_BUCKETS)
        or text in _RESERVED_NATIVE_NAMES
    ):
        raise InvalidBucketName(bucket=text)
    return BucketName(text)


def parse_object_key(raw: bytes) -> ObjectKey:
    """Decode and check a key as it came off the wire (percent-decoding already done).

    Raises InvalidKey for an empty key or bytes that are not UTF-8, KeyTooLong past 1,024 bytes.
    """
    if len(raw) > MAX_KEY_BYTES:
        raise KeyTooLong(size_bytes=len(raw), max_bytes=MAX_KEY_BYTES)
    if not raw:
        raise InvalidKey(reason="empty")
    try:
        return ObjectKey(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidKey(reason="not UTF-8") from None


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
