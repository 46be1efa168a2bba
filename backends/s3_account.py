"""Owns what all operations of S3Backend share: the client of its account, and what answers say.

Nothing here imports botocore: the client is made, and its library imported, with the first request.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backends.reach import Reach
from backends.s3_objects import info_of, length_of
from backends.s3_options import S3Options
from core.backends import BackendFeatures
from core.errors import BackendBroken, BackendDenied, BackendDown, NoSuchVersion
from core.names import ObjectKey
from core.types import ObjectInfo

if TYPE_CHECKING:
    from backends.s3_client import S3Client

KEPT_HEADERS = "KeptHeaders"
"""Under which name the answer to a call has its headers, where they were kept from botocore's own parser."""


RENEW_AFTER_S = 30.0
"""How old a client is before the standard chain is asked anew for credentials that were refused, or not there."""

_OF_CREDENTIALS = frozenset(
    {
        "CredentialRetrievalError",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "NoCredentialsError",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
"""Why a request was denied, where other credentials would change it."""


class S3Account:
    """The client of an account, and its calls."""

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._dialect = options.dialect
        self.features = BackendFeatures(
            has_tags=options.dialect.has_tags, has_versions=options.dialect.is_aws
        )
        self._client: asyncio.Task[S3Client] | None = None
        self._made_at = 0.0
        self._retired: list[S3Client] = []
        self._is_closed = False

    async def close(self) -> None:
        """See Backend."""
        self._is_closed = True
        task, self._client = self._client, None
        retired, self._retired = self._retired, []
        for each in retired:
            await each.close()
        if task is None:
            return
        (client,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(client, BaseException):
            await client.close()

    @property
    def busy_connections(self) -> int:
        """How many connections are at work, or held by readers that nobody has closed."""
        current = None if self._client is None else _made_by(self._client)
        count = sum(client.busy_connections for client in self._retired)
        return count if current is None else count + current.busy_connections

    async def reach(self) -> Reach:
        """Where requests go that others have signed (backends.presigned)."""
        client = await self._opened()
        return Reach(client.url, client.is_amazon, self._options.ca_file)

    async def _opened(self) -> S3Client:
        if self._is_closed:
            raise BackendDown(
                provider=self._dialect.provider, bucket="", reason="closed", retry_after_s=1
            )
        task = self._client
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._client = asyncio.create_task(self._made())
        # Shielded: who gives up waiting must not take the client away from the others.
        return await asyncio.shield(task)

    async def _made(self) -> S3Client:
        # Not at the top: see this module.
        module = await asyncio.to_thread(importlib.import_module, "backends.s3_client")
        client: S3Client = await module.opened(self._options)
        self._made_at = time.monotonic()
        return client

    async def _renew(self, client: S3Client) -> None:
        """Let go of a client whose credentials are no good: files and roles that they come from may have changed. What
        is being read through it is read to its end."""
        task = self._client
        is_of_chain = not self._options.access_key and not self._options.is_anonymous
        if not is_of_chain or time.monotonic() - self._made_at < RENEW_AFTER_S:
            return
        if task is not None and _made_by(task) is client:
            self._client = None
            idle = [each for each in self._retired if not each.busy_connections]
            self._retired = [each for each in self._retired if each not in idle] + [client]
            for each in idle:
                await each.close()

    async def _call(
        self,
        operation: str,
        bucket: str = "",
        key: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Mapping[str, Any]:
        client = await self._opened()
        try:
            return await client.call(operation, bucket, key, headers=headers, **parameters)
        except BackendDenied as error:
            if error.fields.get("reason") in _OF_CREDENTIALS:
                await self._renew(client)
            raise

    async def head(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> ObjectInfo:
        """See Backend."""
        parameters = self._of_version(version_id)
        headers = headers_in(await self._call("HeadObject", bucket, key, **parameters))
        info = self._info(key, length_of(headers), headers)
        self._check_version(info, version_id)
        return info

    # --- what the operations share ---

    def _info(self, key: ObjectKey, size_bytes: int, headers: Mapping[str, str]) -> ObjectInfo:
        return info_of(key, size_bytes, headers, self._dialect, self._options.has_md5_etags)

    def _of_version(self, version_id: str) -> dict[str, Any]:
        return {"VersionId": version_id} if version_id and self.features.has_versions else {}

    def _check_version(self, info: ObjectInfo, version_id: str) -> None:
        """Where a version can't be asked for, the current one may yet be it."""
        found = "" if info.remote is None else info.remote.version_id
        if version_id and found != version_id and not self.features.has_versions:
            raise NoSuchVersion(key=info.key, version_id=version_id)

    def _broken(self, bucket: str, key: str, reason: str) -> BackendBroken:
        return BackendBroken(
            provider=self._dialect.provider, bucket=bucket, key=key, reason=reason, retry_after_s=1
        )


def keep_headers(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """For botocore, before it parses: keep a good answer's headers from its parser, which takes a tenth of a request's
    time to look for forty of them and to make dates of some."""
    if response_dict["status_code"] < 300:
        headers = response_dict["headers"]
        customized_response_dict[KEPT_HEADERS] = {
            name.lower(): value for name, value in headers.items()
        }
        response_dict["headers"] = {}


def headers_in(said: Mapping[str, Any]) -> Mapping[str, str]:
    """An answer's headers by their names in lower case."""
    kept: Mapping[str, str] | None = said.get(KEPT_HEADERS)
    return said["ResponseMetadata"]["HTTPHeaders"] if kept is None else kept


def _made_by(task: asyncio.Task[S3Client]) -> S3Client | None:
    """The client that a task has made, if it has."""
    is_made = task.done() and not task.cancelled() and task.exception() is None
    return task.result() if is_made else None
