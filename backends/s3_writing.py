"""Owns the writes of S3Backend: objects whole, in parts, and copied at the provider."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backends.s3_account import S3Account, headers_in
from backends.s3_objects import (
    bare,
    etag_of_parts,
    facts_of,
    headers_of,
    md5_of,
    now_ns,
)
from core.backends import BackendPart
from core.errors import (
    InvalidArgument,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    StoreError,
    Unsupported,
)
from core.names import ObjectKey
from core.protocols import BodyStream
from core.types import MAX_PUT_BYTES, ObjectAttributes, ObjectInfo

SMALL_BYTES = 256 * 1024
"""Bodies up to here are read before the request begins: it can carry their MD5, and the server refuses what is not."""


class S3Writing(S3Account):
    """Writes by S3's protocol. See Backend for each."""

    # --- writing ---

    async def put(
        self,
        bucket: str,
        key: ObjectKey,
        body: BodyStream,
        attributes: ObjectAttributes,
        *,
        if_match: str = "",
        if_absent: bool = False,
    ) -> ObjectInfo:
        """See Backend."""
        parameters: dict[str, Any] = {}
        if if_match or if_absent:
            await self._check_conditional_writes()
            parameters = {"IfMatch": f'"{if_match}"'} if if_match else {"IfNoneMatch": "*"}
        headers = headers_of(attributes, self._dialect)
        answered = await self._send("PutObject", bucket, key, body, headers, parameters)
        etag = bare(answered.get("etag", ""))
        assert body.size_bytes is not None
        return ObjectInfo(
            key,
            body.size_bytes,
            etag,
            now_ns(answered),
            _as_seen(attributes),
            remote=facts_of(etag, answered, self._dialect, self._options.has_md5_etags),
            is_cached=False,
        )

    async def _send(
        self,
        operation: str,
        bucket: str,
        key: str,
        body: BodyStream,
        headers: dict[str, str],
        parameters: dict[str, Any],
    ) -> Mapping[str, str]:
        """Send a body, and hold the ETag that comes back against its MD5. Gives the answer's headers."""
        from backends.s3_bodies import Feed, whole

        size_bytes = body.size_bytes
        if size_bytes is None:
            raise InvalidArgument(name="size", value="", reason="The length must be known")
        if size_bytes <= SMALL_BYTES:
            data = await whole(body)
            digest = hashlib.md5(data, usedforsecurity=False).digest()
            headers["content-md5"] = base64.b64encode(digest).decode()
            said = await self._call(
                operation, bucket, key, headers=headers, Body=data, **parameters
            )
        else:
            feed = Feed(body)
            said = await self._call(
                operation,
                bucket,
                key,
                headers=headers,
                Body=feed,
                ContentLength=size_bytes,
                **parameters,
            )
            if feed.error is not None:
                raise self._broken(bucket, key, "answered before the body was sent")
            digest = feed.md5()
        answered = headers_in(said)
        kept = md5_of(bare(answered.get("etag", "")), answered)
        if self._options.has_md5_etags and kept and kept != digest:
            raise self._broken(bucket, key, "what arrived has another MD5 than what was sent")
        return answered

    async def _check_conditional_writes(self) -> None:
        can = self._options.conditional_writes
        if can is None:
            can = (await self._opened()).is_amazon
        if not can:
            reason = "The backend is not known to decide conditional writes"
            raise Unsupported(what="conditional write", reason=reason)

    async def delete(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> None:
        """See Backend."""
        try:
            await self._call("DeleteObject", bucket, key, **self._of_version(version_id))
        except (NoSuchKey, NoSuchVersion):
            pass

    async def copy(
        self,
        source_bucket: str,
        source_key: ObjectKey,
        bucket: str,
        key: ObjectKey,
        attributes: ObjectAttributes | None,
    ) -> ObjectInfo:
        """See Backend."""
        headers: dict[str, str] = {}
        if attributes is not None:
            headers = headers_of(attributes, self._dialect)
            headers["x-amz-metadata-directive"] = "REPLACE"
            if self._dialect.has_tags:
                headers["x-amz-tagging-directive"] = "REPLACE"
        source = {"Bucket": source_bucket, "Key": source_key}
        try:
            await self._call("CopyObject", bucket, key, headers=headers, CopySource=source)
        except InvalidArgument:
            # Refused for its size, or for something else.
            found = await self.head(source_bucket, source_key)
            if found.size_bytes > MAX_PUT_BYTES:
                raise Unsupported(
                    what="copy", reason="The object is too large to be copied at the backend"
                ) from None
            raise
        return await self.head(bucket, key)

    # --- multipart ---

    async def create_upload(self, bucket: str, key: ObjectKey, attributes: ObjectAttributes) -> str:
        """See Backend."""
        headers = headers_of(attributes, self._dialect)
        said = await self._call("CreateMultipartUpload", bucket, key, headers=headers)
        return str(said["UploadId"])

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        """See Backend."""
        parameters = {"UploadId": upload_id, "PartNumber": part_number}
        answered = await self._send("UploadPart", bucket, key, body, {}, parameters)
        assert body.size_bytes is not None
        return BackendPart(part_number, bare(answered.get("etag", "")), body.size_bytes)

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        """See Backend."""
        named = [{"PartNumber": part.part_number, "ETag": f'"{part.token}"'} for part in parts]
        try:
            said = await self._call(
                "CompleteMultipartUpload",
                bucket,
                key,
                UploadId=upload_id,
                MultipartUpload={"Parts": named},
            )
        except NoSuchUpload:
            return await self._completed_before(bucket, key, upload_id, parts)
        etag = bare(str(said.get("ETag", "")))
        try:
            found = await self.head(bucket, key)
        except StoreError:
            found = None
        if found is not None and found.etag == etag:
            return found
        # It is there, whatever became of the question; and nothing more is known of it than this.
        headers = headers_in(said)
        size_bytes = sum(part.size_bytes for part in parts)
        facts = facts_of(etag, headers, self._dialect, False)
        plain = _as_seen(ObjectAttributes())
        return ObjectInfo(
            key, size_bytes, etag, now_ns(headers), plain, remote=facts, is_cached=False
        )

    async def _completed_before(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        """The object, if an earlier try completed the upload and its answer was lost."""
        etag = etag_of_parts([part.token for part in parts])
        try:
            found = await self.head(bucket, key)
        except StoreError:
            found = None
        if found is None or not etag or found.etag != etag:
            raise NoSuchUpload(upload_id=upload_id)
        return found

    async def abort_upload(self, bucket: str, key: ObjectKey, upload_id: str) -> None:
        """See Backend."""
        try:
            await self._call("AbortMultipartUpload", bucket, key, UploadId=upload_id)
        except (NoSuchUpload, NoSuchKey):
            pass


def _as_seen(attributes: ObjectAttributes) -> ObjectAttributes:
    """What clients will see of attributes that were just written."""
    headers = {"content-type": "binary/octet-stream", **attributes.headers}
    return replace(
        ObjectAttributes(headers=headers, user_metadata=attributes.user_metadata),
        storage_class=attributes.storage_class,
    )
