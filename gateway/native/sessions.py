"""Owns writes that go on over several requests: uploads whose parts have any size.

A session lies in the store, as an upload that nobody completed yet, so any worker can go on with it, and what is
abandoned is reclaimed as abandoned uploads are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence

from core import access
from core.errors import Denied, NoSuchUpload, StoreError
from core.names import ObjectKey, UploadId
from core.protocols import BodyStream
from core.types import (
    MAX_PARTS,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    ChecksumType,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
    User,
)
from core.uploads import CompletedPart, UploadedPart
from gateway.native.call import NativeCall
from gateway.native.writing import default_encryption
from s3api.operations.page import ANONYMOUS_ID

ANONYMOUS = User(ANONYMOUS_ID, "anonymous", "anonymous")
"""The initiator of uploads that nobody in particular began."""


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """An upload in progress, on behalf of a call."""

    call: NativeCall
    bucket: Bucket
    key: ObjectKey
    upload_id: UploadId

    @classmethod
    async def begin(
        cls, call: NativeCall, place: tuple[Bucket, ObjectKey], attributes: ObjectAttributes
    ) -> Session:
        """A new one. The object's checksum is combined from those of its parts. Locks are the version's own."""
        bucket, key = place
        upload = await call.store.create_upload(
            bucket,
            key,
            attributes=dataclasses.replace(
                attributes, acl=CannedAcl.PRIVATE, retention=None, legal_hold=None
            ),
            initiator=call.identity.user or ANONYMOUS,
            checksum_algorithm=ChecksumAlgorithm.CRC32C,
            checksum_type=ChecksumType.FULL_OBJECT,
            encryption=default_encryption(bucket),
        )
        return cls(call, bucket, key, upload.upload_id)

    @classmethod
    async def of(cls, call: NativeCall, place: tuple[Bucket, ObjectKey], upload_id: str) -> Session:
        """One that was begun, by the caller or in the caller's bucket. Raises NoSuchUpload, Denied."""
        bucket, key = place
        upload = await call.store.get_upload(bucket, key, UploadId(upload_id))
        is_own = (
            upload.initiator.user_id == ANONYMOUS_ID
            or access.rules_bucket(call.identity, bucket)
            or access.began_upload(call.identity, upload)
        )
        if not is_own:
            raise Denied(reason="the upload was begun by somebody else")
        return cls(call, bucket, key, upload.upload_id)

    async def put(self, number: int, body: BodyStream) -> UploadedPart:
        return await self.call.store.upload_part(
            self.bucket, self.key, self.upload_id, number, body
        )

    async def parts(self) -> Sequence[UploadedPart]:
        """All there are, by number. Raises NoSuchUpload."""
        page = await self.call.store.list_parts(
            self.bucket, self.key, self.upload_id, limit=MAX_PARTS
        )
        return page.parts

    async def publish(self, parts: Sequence[UploadedPart] | None = None) -> ObjectInfo:
        """Make the object of its parts, of all if none are named, and end the session."""
        chosen = await self.parts() if parts is None else parts
        named = [CompletedPart(part.part_number, part.etag) for part in chosen]
        return await self.call.store.complete_upload(
            self.bucket, self.key, self.upload_id, named, allows_small_parts=True
        )

    async def give_up(self) -> None:
        """End the session without an object, if it is not over already."""
        try:
            await self.call.store.abort_upload(self.bucket, self.key, self.upload_id)
        except NoSuchUpload:
            pass
        except StoreError:
            # It is reclaimed with other abandoned uploads, and what went wrong before is what counts.
            pass


class EmptyBody:
    """A BodyStream of no bytes."""

    size_bytes: int | None = 0
    wanted_checksum: ChecksumAlgorithm | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """As BodyStream."""
        no_chunks: tuple[bytes, ...] = ()
        for chunk in no_chunks:
            yield chunk

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """As BodyStream."""
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        """As BodyStream."""
        return ()
