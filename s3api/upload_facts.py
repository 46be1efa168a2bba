"""Owns what an upload's parts and completion tell policies: what its creation said, in the words of the headers it came
in.

A policy that demands encryption, or a grant, of all that is put would otherwise refuse every part: S3's clients say
these things once, when they create the upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from core.encryption import EncryptionMode
from core.policy.keys import REQUEST_TAG, REQUEST_TAG_KEYS
from core.types import CannedAcl, Permission
from core.uploads import Upload
from s3api.lock_headers import HOLD, MODE, UNTIL
from s3api.timestamps import iso_moment

OPERATIONS = frozenset({"UploadPart", "UploadPartCopy", "CompleteMultipartUpload"})
"""Those that put into an upload what was said of it before."""

_SSE = "x-amz-server-side-encryption"
_GRANTS = {each: f"x-amz-grant-{each.value.lower().replace('_', '-')}" for each in Permission}
_KEYS = (
    "s3:x-amz-server-side",
    "s3:x-amz-acl",
    "s3:x-amz-grant",
    "s3:x-amz-storage",
    "s3:object-lock",
)


def asks_of_creation(keys: frozenset[str]) -> bool:
    """Whether any of these condition keys is of what is said when an upload is created."""
    return any(key.startswith((*_KEYS, REQUEST_TAG, REQUEST_TAG_KEYS)) for key in keys)


def said_at_creation(upload: Upload) -> Mapping[str, str]:
    """The headers that would create such an upload."""
    attributes = upload.attributes
    said = {"x-amz-storage-class": attributes.storage_class}
    if attributes.tags:
        said["x-amz-tagging"] = urlencode(attributes.tags)
    if attributes.retention is not None:
        said[MODE] = attributes.retention.mode.value
        said[UNTIL] = iso_moment(attributes.retention.until_ns)
    if attributes.legal_hold:
        said[HOLD] = "ON"
    encryption = upload.encryption
    if encryption is not None and encryption.mode is EncryptionMode.CUSTOMER:
        said[f"{_SSE}-customer-algorithm"] = "AES256"
    elif encryption is not None:
        said[_SSE] = encryption.mode.value
        if encryption.mode is EncryptionMode.KMS:
            said[f"{_SSE}-aws-kms-key-id"] = encryption.kms_key_id
    return {**said, **_acl_headers(upload)}


def _acl_headers(upload: Upload) -> Mapping[str, str]:
    acl = upload.attributes.acl
    if isinstance(acl, CannedAcl):
        return {} if acl is CannedAcl.PRIVATE else {"x-amz-acl": acl.value}
    grantees: dict[str, list[str]] = {}
    for grant in acl:
        who = f"id={grant.user_id}" if grant.group is None else f"uri={grant.group.value}"
        grantees.setdefault(_GRANTS[grant.permission], []).append(who)
    return {name: ", ".join(who) for name, who in grantees.items()}
