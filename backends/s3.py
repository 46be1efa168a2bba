"""Owns S3Backend: the buckets of a provider that speaks S3's protocol (AWS and whoever copies it, Google's and Oracle's
interoperability APIs), by aiobotocore.

Nothing here imports botocore: the client is made, and its library imported, with the first request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backends.s3_account import headers_in
from backends.s3_listing import page_of
from backends.s3_objects import (
    length_of,
    modified_ns,
    range_header,
    range_of,
)
from backends.s3_options import (
    options_of_aws,
    options_of_gcp,
    options_of_oci,
)
from backends.s3_writing import S3Writing
from core.accounts import Account
from core.backends import BackendReader, RemoteBucket
from core.errors import (
    InvalidRange,
    PreconditionFailed,
    StoreError,
    Unsupported,
)
from core.listing import ListPage, ListQuery
from core.names import ObjectKey
from core.ranges import resolve_range
from core.types import (
    ByteRange,
    ObjectInfo,
    OffsetRange,
    PartRange,
    SuffixRange,
)


def s3_backend(account: Account) -> S3Backend:
    """The adapter of AWS."""
    return S3Backend(options_of_aws(account))


def gcp_backend(account: Account) -> S3Backend:
    """The adapter of Google Cloud Storage."""
    return S3Backend(options_of_gcp(account))


def oci_backend(account: Account) -> S3Backend:
    """The adapter of Oracle's object storage."""
    return S3Backend(options_of_oci(account))


class S3Backend(S3Writing):
    """A Backend by S3's protocol."""

    # --- buckets ---

    async def list_buckets(self) -> Sequence[RemoteBucket]:
        """See Backend."""
        said = await self._call("ListBuckets")
        return [
            RemoteBucket(
                str(each["Name"]),
                str(each.get("BucketRegion", "")),
                created_ns=modified_ns(each.get("CreationDate", "")),
            )
            for each in said.get("Buckets", ())
        ]

    async def head_bucket(self, bucket: str) -> RemoteBucket:
        """See Backend."""
        headers = headers_in(await self._call("HeadBucket", bucket))
        return RemoteBucket(
            bucket,
            headers.get("x-amz-bucket-region", "")[:64],
            has_versions=await self._has_versions(bucket),
        )

    async def _has_versions(self, bucket: str) -> bool:
        if not self.features.has_versions:
            return False
        try:
            said = await self._call("GetBucketVersioning", bucket)
        except StoreError:
            # Who may read objects need not be allowed to ask.
            return False
        return said.get("Status") == "Enabled"

    async def list_page(self, bucket: str, query: ListQuery) -> ListPage:
        """See Backend."""
        if query.limit <= 0:
            await self._call("HeadBucket", bucket)
            return ListPage((), (), False)
        return await page_of(self._call, bucket, query, self._dialect)

    # --- reading ---

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> BackendReader:
        """See Backend."""
        from backends.s3_bodies import S3Reader

        parameters = self._of_version(version_id)
        if if_match:
            parameters["IfMatch"] = f'"{if_match}"'
        if isinstance(byte_range, PartRange):
            parameters["PartNumber"] = byte_range.part_number
        elif isinstance(byte_range, SuffixRange) and byte_range.length == 0:
            info = await self.head(bucket, key, version_id=version_id)
            raise InvalidRange(requested=byte_range, size_bytes=info.size_bytes)
        elif byte_range is not None:
            parameters["Range"] = range_header(byte_range)
        try:
            said = await self._call("GetObject", bucket, key, **parameters)
        except InvalidRange as error:
            size_bytes = error.size_bytes
            if size_bytes is None:
                info = await self.head(bucket, key, version_id=version_id)
                size_bytes = info.size_bytes
            if not isinstance(byte_range, SuffixRange) or not 0 < size_bytes < byte_range.length:
                raise InvalidRange(requested=byte_range, size_bytes=size_bytes) from None
            # Some servers refuse more of the end than there is, where S3 gives the whole.
            whole = OffsetRange(0)
            return await self.open(
                bucket, key, byte_range=whole, if_match=if_match, version_id=version_id
            )
        raw = said["Body"]._raw_stream
        try:
            info, first, length = self._offered(bucket, key, byte_range, said)
            self._check_version(info, version_id)
            if if_match and info.etag != if_match:
                # Some servers do not know the condition.
                raise PreconditionFailed(condition="If-Match")
        except BaseException:
            raw.close()
            raise
        return S3Reader(raw, info, first, length, bucket)

    def _offered(
        self, bucket: str, key: ObjectKey, byte_range: ByteRange | None, said: Mapping[str, Any]
    ) -> tuple[ObjectInfo, int, int]:
        """What an answer to GetObject offers, held to what was asked for."""
        headers = headers_in(said)
        length = length_of(headers)
        first, size_bytes = 0, length
        # Not by the status: there are servers that send a part with 200.
        if "content-range" in headers:
            offered = range_of(headers)
            if offered is None or offered[1] != length:
                raise self._broken(bucket, key, "the answer does not tell what bytes it has")
            first, _, size_bytes = offered
        info = self._info(key, size_bytes, headers)
        if not _is_asked(info, byte_range, first, length):
            raise self._broken(bucket, key, "other bytes came than were asked for")
        return info, first, length

    # --- tags ---

    async def set_tags(self, bucket: str, key: ObjectKey, tags: Mapping[str, str]) -> None:
        """See Backend."""
        self._check_tags()
        if not tags:
            await self._call("DeleteObjectTagging", bucket, key)
            return
        pairs = [{"Key": name, "Value": value} for name, value in tags.items()]
        await self._call("PutObjectTagging", bucket, key, Tagging={"TagSet": pairs})

    async def get_tags(self, bucket: str, key: ObjectKey) -> Mapping[str, str]:
        """See Backend."""
        self._check_tags()
        said = await self._call("GetObjectTagging", bucket, key)
        return {str(each["Key"]): str(each["Value"]) for each in said.get("TagSet", ())}

    def _check_tags(self) -> None:
        if not self.features.has_tags:
            reason = f"Objects of {self._dialect.provider} have no tags here"
            raise Unsupported(what="tags", reason=reason)


def _is_asked(info: ObjectInfo, byte_range: ByteRange | None, first: int, length: int) -> bool:
    if isinstance(byte_range, PartRange):
        return True
    try:
        return resolve_range(info, byte_range) == (first, length)
    except InvalidRange:
        if info.size_bytes == 0:
            # There are servers that send all of nothing.
            raise
        return False
