"""Owns docs/s3-support.md: every operation of Amazon S3, whether weir serves it, from the operation table itself, and
whether others do, from s3api.peers.

Run as `python -m s3api.support > docs/s3-support.md`. What S3 consists of comes from botocore's model of it.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from botocore.loaders import Loader

from s3api.call import Level, Row
from s3api.elsewhere import REFUSED
from s3api.peers import PEERS, Peer
from s3api.router import TABLE

NOTES = {
    "ListBuckets": "`prefix`, `max-buckets`, `continuation-token`, `bucket-region`",
    "CreateBucket": "`LocationConstraint` must be the configured region; ACL, object ownership",
    "PutBucketAcl": "canned, by grant headers or by document; grantees by id, e-mail address and group",
    "PutBucketCors": "also preflights (`OPTIONS`), and the headers of answers and errors",
    "PutBucketWebsite": "served on host names or a listener of their own: `website_domains`, `website_listen`",
    "PutObjectAcl": "as PutBucketAcl, also of a version; the time of the version stays",
    "PutBucketOwnershipControls": "unset, as a new bucket is: ACLs count (as `ObjectWriter`)",
    "PutBucketPolicy": "the whole grammar; principals and actions are checked for form, not for existence",
    "GetBucketPolicyStatus": "false without a policy (S3: an error); true for a public ACL too",
    "PutBucketRequestPayment": "the header is demanded and answered; nothing is billed",
    "PutBucketEncryption": "`AES256` and `aws:kms`; SSE-C can be blocked; `aws:kms:dsse` is refused",
    "DeleteBucket": "uploads in progress go with the bucket",
    "PutBucketVersioning": "MFA delete is refused",
    "ListObjectVersions": "`encoding-type=url`, any delimiter",
    "PutObject": (
        "conditional writes, all checksums, `aws-chunked`, ACLs, storage class, tags, retention "
        "and legal hold; SSE-C, SSE-S3 and SSE-KMS (`aws:kms:dsse` is refused)"
    ),
    "GetObject": (
        "ranges, `partNumber`, all conditions, `If-Range`, `response-*`, checksum mode, versions"
    ),
    "HeadObject": "as GetObject",
    "DeleteObject": (
        "versions, `If-Match`, `x-amz-if-match-size`, `x-amz-if-match-last-modified-time`, "
        "`x-amz-bypass-governance-retention`"
    ),
    "DeleteObjects": "up to 1,000 keys or versions, each with its own conditions",
    "CopyObject": (
        "of any version; metadata and tagging directives, conditions on source and target, a new "
        "checksum, ACL, storage class, lock or encryption; up to 5 GiB"
    ),
    "PutBucketTagging": "up to 50 tags; `weir:shard-view` and `weir:index-shards` are [switches](shards.md)",
    "PutObjectTagging": "up to 10 tags",
    "PutObjectLockConfiguration": "also of a bucket created without, once it is versioned",
    "GetObjectAttributes": "with the parts of a multipart object, in pages",
    "PutBucketLifecycleConfiguration": (
        "every element; without the least days and sizes that stand for AWS's prices"
    ),
    "ListObjects": "`encoding-type=url`, any delimiter",
    "ListObjectsV2": "`encoding-type=url`, any delimiter, `fetch-owner`",
    "CreateMultipartUpload": "composite and full-object checksums",
    "UploadPart": "parts up to 5 GiB, numbers 1 to 10,000",
    "UploadPartCopy": "`x-amz-copy-source-range`, conditions on the source",
    "CompleteMultipartUpload": (
        "conditional, checksums, `x-amz-mp-object-size`; may be repeated; copies no data"
    ),
    "PutBucketLogging": (
        "a target bucket that is not there is `NoSuchKey` (S3: `InvalidTargetBucketForLogging`); one "
        "that is logged itself or has default encryption is refused, as the public s3-tests suite has it"
    ),
    "PutBucketNotificationConfiguration": (
        "destinations are webhooks and Redis streams that the settings name; no EventBridge"
    ),
    "GetObjectTorrent": "always `404 NoSuchKey`",
    "PostObject": "browser forms with policies; not an operation of the SDKs",
}

_HEAD = """\
# S3 operations

<!-- Generated from the operation table: python -m s3api.support > docs/s3-support.md -->

weir serves {served} operations of Amazon S3. Those it does not serve answer `501 NotImplemented`; none is mistaken for
another. A header that asks for something not served is refused in the same way, never silently dropped.

Where weir differs from Amazon S3 on purpose:

- User metadata comes back byte for byte as it was sent, where S3 returns what is not ASCII as an encoded word
  (RFC 2047). Encoded words are kept as S3 keeps them.
- `If-None-Match` with an ETag, and `If-Match: *`, work on writes too; S3 takes `If-None-Match: *` and `If-Match` with
  an ETag only.
- A bucket created without a LocationConstraint is made in the configured region, whichever that is.
- A new bucket has no ownership controls, and its ACLs count, as those of S3 before 2023: older clients and scripts rely
  on them. `BucketOwnerEnforced` turns them off.
- A new bucket has no default encryption, unless the setting `encryption.new_buckets` says so (S3: `AES256`). SSE-KMS
  without a key id needs a key with the alias `aws/s3`. A wrong SSE-C key is `400 InvalidRequest` (S3: `403`), and a
  completion needs the key of its upload, as the public s3-tests suite has them.
- `aws-exec-read` grants no more than `private`: there is no EC2 here that would read.
- A `partNumber` that an object does not have is `400 InvalidPart` (S3: `416 InvalidPartNumber`), and a checksum header
  that is no checksum is `BadDigest` (S3: `InvalidRequest`), as the public s3-tests suite has them. So are too many tags
  on an object (`InvalidTag`, S3: `BadRequest`), a default retention of no days (`InvalidRetentionPeriod`, S3:
  `InvalidArgument`), and `x-amz-delete-marker: false` where a read meets no object (S3: no such header).
- A version id that could be some store's is looked for, and is `404 NoSuchVersion` if there is none; S3 tells ids that
  are not of its own making apart as `400 InvalidArgument`.

Of buckets that live elsewhere ([cloud.md](cloud.md)), S3 clients see those of all providers and namespaces by their
bare names. A bucket of weir's own is meant first; a name that several others have is `404 AmbiguousBucketName`, and a
new bucket does not get a name that one of them has (`409`). Policies, ACLs, ownership, CORS, website, tags and logging
are weir's own there, and so is the region, which clients sign for. What only the place where the objects are could keep
its word on answers `501 NotImplemented`: {refused}. So does DeleteBucket of a provider's bucket, which nothing deletes
there from here.

Of a bucket with the tag `weir:shard-view` = `on`, members of archives can be listed and read as keys: see
[shards.md](shards.md).
"""

_PEERS_HEAD = """\
What other open servers do stands beside each operation: `yes`, `no`, in part, or `as unset` where the answer is always
that of a bucket on which nothing was set. None of it was tried here; it is what they say of themselves:
"""

# Operations that are asked of hosts of their own, and look like others here.
_OTHER_HOSTS = frozenset({"ListDirectoryBuckets", "WriteGetObjectResponse"})

# Operations that later ones of the same request have taken the place of.
_SUPERSEDED = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}

_LEVELS = {Level.SERVICE: "Service", Level.BUCKET: "Buckets", Level.OBJECT: "Objects"}


def render() -> str:
    """The whole page."""
    served = {row.operation.name for row in TABLE}
    model: dict[str, Any] = Loader().load_service_model("s3", "service-2")["operations"]
    lines = [_HEAD.format(served=len(served), refused=", ".join(sorted(REFUSED)))]
    lines += [_PEERS_HEAD, *map(_source, PEERS), ""]
    for level, title in _LEVELS.items():
        lines += [f"## {title}", "", *_table_head("operation", "request", "notes")]
        lines += [_row(row) for row in _by_name(level)]
        lines.append("")
    lines += ["## Not served", "", *_table_head("operation", "request")]
    for name in sorted(model):
        http = model[name]["http"]
        if _SUPERSEDED.get(name, name) not in served and name not in _OTHER_HOSTS:
            lines.append(_line(name, f"`{http['method']} {http['requestUri']}`", *_others(name)))
    return "\n".join(lines) + "\n"


def _source(peer: Peer) -> str:
    text = f"- {peer.name} {peer.version}: from {peer.seen}."
    return textwrap.fill(text, 120, subsequent_indent="  ", break_on_hyphens=False)


def _by_name(level: Level) -> Sequence[Row]:
    rows = [row for row in TABLE if row.operation.level is level]
    return sorted(rows, key=lambda row: row.operation.name)


def _row(row: Row) -> str:
    name = row.operation.name
    return _line(name, f"`{_request(row)}`", NOTES.get(name, ""), *_others(name))


def _table_head(*columns: str) -> Sequence[str]:
    titles = [*columns, *(peer.name for peer in PEERS)]
    return [_line(*titles), "|---" * len(titles) + "|"]


def _others(name: str) -> Sequence[str]:
    return [peer.says(name) for peer in PEERS]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _request(row: Row) -> str:
    path = {Level.SERVICE: "/", Level.BUCKET: "/{Bucket}", Level.OBJECT: "/{Bucket}/{Key+}"}
    request = f"{row.method} {path[row.operation.level]}"
    if row.subresource:
        request += f"?{row.subresource}" + ("=2" if row.subresource == "list-type" else "")
    return f"{request} (x-amz-copy-source)" if row.is_copy else request


if __name__ == "__main__":
    sys.stdout.write(render())
