"""Owns what a blob download is asked for: one large remote object, fetched by many ranged reads, as a job of its own.

Who asks (an operation, a prefetch) and who does it meet here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from core.job_table import BUCKET, PARENT, parse_ref, ref_text
from core.names import BucketRef, ObjectKey, UserId

BLOB_DOWNLOAD = "blob-download"

_REQUEST = "request"


@dataclass(frozen=True, slots=True)
class BlobRequest:
    """`chunk_bytes`, `workers`, `read_timeout_s` 0: as suits; `workers` -1: one read after the other. `latest`: also
    where a copy is here that is not what the backend has now. `origin` is told to people: "api-blobdl", "GET",
    "parent:prefetch[ID]". `parent`: the job that waits for this one, "" for none."""

    bucket: BucketRef
    bucket_id: int
    key: ObjectKey
    user_id: UserId
    chunk_bytes: int = 0
    workers: int = 0
    read_timeout_s: float = 0.0
    latest: bool = False
    origin: str = ""
    parent: str = ""

    def arguments(self) -> Mapping[str, str]:
        """As a job's arguments."""
        fields = asdict(self)
        del fields["bucket"], fields["parent"]
        named = {BUCKET: ref_text(self.bucket), _REQUEST: json.dumps(fields)}
        return {**named, PARENT: self.parent} if self.parent else named

    @classmethod
    def of_arguments(cls, arguments: Mapping[str, str]) -> BlobRequest:
        """The inverse of `arguments`."""
        fields = json.loads(arguments[_REQUEST])
        bucket, parent = parse_ref(arguments[BUCKET]), arguments.get(PARENT, "")
        return cls(bucket=bucket, parent=parent, **fields)
