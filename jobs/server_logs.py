"""Owns the delivery of server access logs: records that gathered in the spool become objects in their target buckets.

Delivery is best effort, as S3's: nothing waits for it. A file is removed once all in it was put; objects are named
after their file, so what is delivered again after a crash replaces itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.configs.logging import Logging
from core.encryption import EncryptionRequest
from core.errors import StoreError, Unavailable
from core.names import BucketRef, ObjectKey, parse_object_key
from core.protocols import BodyStream
from core.server_logs import (
    Row,
    Source,
    day_of,
    may_deliver,
    object_acl,
    object_key,
    target_ref,
)
from core.types import Bucket, ChecksumAlgorithm, ExpectedDigest, ObjectAttributes, ObjectInfo
from jobs.log_spool import finished_files_sync, read_sync, taken

logger = logging.getLogger(__name__)


class Buckets(Protocol):
    """What the job asks of the control store."""

    def bucket(self, ref: BucketRef) -> Bucket | None: ...


class Objects(Protocol):
    """What the job asks of an ObjectStore."""

    async def put(
        self,
        bucket: Bucket,
        key: ObjectKey,
        body: BodyStream,
        *,
        attributes: ObjectAttributes,
        encryption: EncryptionRequest | None = None,
    ) -> ObjectInfo: ...


@dataclass(frozen=True, slots=True)
class ServerLogJob:
    """A Job."""

    interval_s: float
    directory: Path
    control: Buckets
    store: Objects

    @property
    def name(self) -> str:
        return "server access logs"

    async def run(self, stop: asyncio.Event) -> str:
        made = 0
        for path in await asyncio.to_thread(finished_files_sync, self.directory):
            if stop.is_set():
                break
            with taken(path) as is_ours:
                if is_ours:
                    made += await self._deliver(path)
        return f"made {made} log objects" if made else ""

    async def _deliver(self, path: Path) -> int:
        rows, written_ns = await asyncio.to_thread(read_sync, path)
        groups: dict[tuple[Source, Logging, str], list[Row]] = {}
        for row in rows:
            groups.setdefault((row.source, row.target, day_of(row)), []).append(row)
        made = 0
        for (source, target, day), members in groups.items():
            key = object_key(source, target, day, written_ns, path.name)
            made += await self._put(source, target, key, members)
        await asyncio.to_thread(path.unlink)
        return made

    async def _put(self, source: Source, target: Logging, key: str, rows: Sequence[Row]) -> int:
        """Put one log object, if its target bucket is there and lets it in. Raises Unavailable."""
        bucket = self.control.bucket(target_ref(target))
        if bucket is None or not may_deliver(source, bucket, target.prefix):
            logger.warning(
                "server access logs dropped: bucket %s takes none of %s",
                target.target_bucket,
                source.name,
            )
            return 0
        attributes = ObjectAttributes(
            headers={"content-type": "text/plain"},
            owner_id=bucket.owner.user_id,
            acl=object_acl(target, bucket.owner.user_id),
        )
        # Set after logging was; to set logging up, the target may have none.
        default = bucket.props.encryption
        text = "".join(f"{row.line}\n" for row in rows).encode()
        try:
            await self.store.put(
                bucket,
                parse_object_key(key.encode()),
                _Text(text),
                attributes=attributes,
                encryption=None if default is None else default.request(),
            )
        except Unavailable:
            raise
        except StoreError as error:
            logger.warning("server access logs dropped: %s: %s", target.target_bucket, error)
            return 0
        return 1


class _Text:
    """A BodyStream from memory."""

    wanted_checksum: ChecksumAlgorithm | None = None

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes: int | None = len(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        return ()
