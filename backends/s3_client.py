"""Owns the aiobotocore client of an account, and the calls through it.

Importing aiobotocore takes a third of a second and reading the description of S3 another, so both happen in a thread,
with the first request of an account (backends.s3 imports this module then).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import botocore
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import ProfileNotFound

from backends.google_tokens import GoogleTokens
from backends.s3_account import keep_headers
from backends.s3_bodies import Feed
from backends.s3_errors import Asked, translated
from backends.s3_list_document import keep_document
from backends.s3_options import S3Options
from backends.s3_transport import S3Session, new_socket
from core.errors import BackendDenied, InvalidArgument, StoreError

_MAX_REQUESTS = 4
"""Of a call: the request itself, HeadBucket for the region where it is refused for that, and it again."""


@dataclass(slots=True)
class _Call:
    """What goes with a call: headers to add to its requests, signed, and how many requests it may yet make."""

    headers: Mapping[str, str]
    provider: str
    bucket: str
    requests_left: int = _MAX_REQUESTS


_CALL: ContextVar[_Call] = ContextVar("_CALL")


class S3Client:
    """Calls of S3 for one account. Made by `opened`."""

    def __init__(self, options: S3Options, client: Any, endpoint: str) -> None:
        self._options = options
        self._client = client
        google = options.google
        self._tokens = None if google is None else GoogleTokens(google)
        self.url: str = endpoint or client.meta.endpoint_url
        self.is_amazon = _is_amazon(self.url)
        client.meta.events.register("before-call.s3", _add_headers)
        for operation in ("GetObject", "HeadObject"):
            client.meta.events.register_first(f"before-parse.s3.{operation}", keep_headers)
        for operation in ("ListObjects", "ListObjectsV2"):
            client.meta.events.register_first(f"before-parse.s3.{operation}", keep_document)

    async def call(
        self,
        operation: str,
        bucket: str = "",
        key: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Mapping[str, Any]:
        """An operation of S3 by its name there. Raises core.errors as Backend says."""
        if bucket:
            parameters["Bucket"] = bucket
        if key:
            parameters["Key"] = key
        added = dict(headers or {})
        if self._options.pays_requests:
            added["x-amz-request-payer"] = "requester"
        provider = self._options.dialect.provider
        if self._tokens is not None:
            added |= await self._google_headers(operation)
        token = _CALL.set(_Call(added, provider, bucket))
        body = parameters.get("Body")
        try:
            answer: Mapping[str, Any] = await self._client._make_api_call(operation, parameters)
        except Exception as error:
            if isinstance(body, Feed) and isinstance(body.error, Exception):
                raise body.error from None
            if isinstance(error, StoreError):
                raise
            asked = Asked(provider, operation, bucket, key, parameters)
            meant = translated(error, asked)
            if self._tokens is not None and isinstance(meant, BackendDenied):
                self._tokens.forget()
            raise meant from error
        finally:
            _CALL.reset(token)
        return answer

    async def _google_headers(self, operation: str) -> dict[str, str]:
        assert self._tokens is not None
        bearer = await self._tokens.current()
        if not bearer:
            return {}
        headers = {"authorization": f"Bearer {bearer}"}
        if operation == "ListBuckets" and self._tokens.project:
            headers["x-goog-project-id"] = self._tokens.project
        return headers

    @property
    def busy_connections(self) -> int:
        """See S3Session."""
        count: int = self._client._endpoint.http_session.busy_connections
        return count

    async def close(self) -> None:
        """Close all connections."""
        await self._client.__aexit__(None, None, None)


async def opened(options: S3Options) -> S3Client:
    """A client of the account. Raises InvalidArgument, BackendDenied (a profile that is none)."""
    # What it logs for debugging has signatures and tokens in it.
    logging.getLogger("botocore").setLevel(logging.INFO)
    logging.getLogger("aiobotocore").setLevel(logging.INFO)
    try:
        session, endpoint = await asyncio.to_thread(_session_sync, options)
        config = _config(options, endpoint)
        client = session.create_client(
            "s3",
            region_name=options.region or session.get_config_variable("region") or "us-east-1",
            endpoint_url=options.endpoint or None,
            verify=options.ca_file or None,
            aws_access_key_id=options.access_key or None,
            aws_secret_access_key=options.secret_key or None,
            aws_session_token=options.session_token or None,
            config=config,
        )
        return S3Client(options, await client.__aenter__(), endpoint)
    except ProfileNotFound:
        raise BackendDenied(
            provider=options.dialect.provider, bucket="", reason="ProfileNotFound"
        ) from None
    except ValueError as error:
        raise InvalidArgument(
            name="endpoint", value=options.endpoint, reason="The endpoint cannot be used"
        ) from error


def _session_sync(options: S3Options) -> tuple[AioSession, str]:
    """A session that has read what it needs from files, and the endpoint that was configured for AWS."""
    session = AioSession(profile=options.profile or None)
    # As boto3 does where nothing else is said: all that has to be read is kept in the session's loader.
    session.warm_up_loader_caches("s3")
    if options.endpoint:
        return session, options.endpoint
    found = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
    ).provide()
    return session, str(found or "")


def _config(options: S3Options, endpoint: str) -> AioConfig:
    # A name like "minio" in an endpoint rarely has subdomains for buckets; Amazon's own hosts do.
    is_own = not endpoint or _is_amazon(endpoint)
    addressing = options.addressing or ("auto" if is_own else "path")
    session_class = type(
        "S3Session", (S3Session,), {"accept_encoding": options.dialect.accept_encoding}
    )
    return AioConfig(
        connect_timeout=options.connect_timeout_s,
        read_timeout=options.timeout_s,
        max_pool_connections=options.max_connections,
        # Once: what may be tried again is decided by a wrapper of the adapter, which knows what can be.
        retries={"total_max_attempts": 1, "mode": "standard"},
        signature_version=UNSIGNED if options.is_anonymous else "s3v4",
        # Bodies are streams, which can't be read twice to be signed.
        s3={"addressing_style": addressing, "payload_signing_enabled": False},
        # No aws-chunked bodies and trailers: most servers but Amazon's don't know them, or know them badly.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=session_class,
        connector_args={"socket_factory": partial(new_socket, options.timeout_s)},
        parameter_validation=True,
        # botocore's own name for itself takes a tenth of a request's time to put together anew.
        user_agent=f"weir botocore/{botocore.__version__}",
    )


def _is_amazon(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _add_headers(params: dict[str, Any], **_: Any) -> None:
    call = _CALL.get()
    call.requests_left -= 1
    if call.requests_left <= 0:
        # botocore asks for the region of a bucket again and again, where the server refuses that for the region too.
        reason = "it is of another region, and the server does not tell which"
        raise BackendDenied(provider=call.provider, bucket=call.bucket, reason=reason)
    headers = params["headers"]
    headers.update(call.headers)
    if "authorization" in call.headers:
        # Google takes Amazon's headers only with Amazon's signatures.
        for name in [name for name in headers if name.lower().startswith("x-amz-")]:
            headers["x-goog-" + name[len("x-amz-") :]] = headers.pop(name)
    if not isinstance(params.get("body"), Feed):
        # Asking before a small body costs more than sending it in vain.
        params["headers"].pop("Expect", None)
