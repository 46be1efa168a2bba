"""Owns the values between the S3 edge and the operations: the request as parsed, the call as resolved, the response.

The edge (s3api.edge) builds a Call once it knows who asks and that they may; an operation turns it into a Response.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from core.light import light
from core.names import ObjectKey
from core.protocols import BodyStream, Clock, ObjectReader, ObjectService
from core.types import Bucket, Identity

if TYPE_CHECKING:
    from s3api.auth.post_form import PostForm


@dataclass(slots=True)
class Request:
    """One S3 request, parsed but not yet trusted.

    `headers`: lower-case names; values are the raw bytes decoded as latin-1, trimmed; repeated headers joined with
    ",". `query`: decoded names and values, first value wins, "" for a valueless name. `raw_path` is the path as sent
    (percent-encoded, without the query), `raw_query` the query as sent. `bucket` and `key` are decoded but unchecked
    names, from path style or virtual-host style; None or empty where absent.
    """

    method: str
    raw_path: bytes
    raw_query: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]
    bucket: str | None
    key: bytes | None
    scheme: str
    host: str
    client_address: str
    is_virtual_host: bool = False
    request_id: str = ""
    operation: str = "-"  # its name, once it is routed; for logs


class Level(Enum):
    """What a request addresses."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class BodyPolicy(Enum):
    """What the edge does with the request body before the operation runs.

    NONE: the operation takes none (a body that comes is discarded). XML: read whole, within a cap, its digests
    verified, into `Call.document`. STREAM: handed over as `Call.body`. FORM: multipart/form-data as it is, as
    `Call.raw_body`.
    """

    NONE = "none"
    XML = "xml"
    STREAM = "stream"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object that x-amz-copy-source names, resolved and authorized by the edge."""

    bucket: Bucket
    key: ObjectKey
    version_id: str | None


@dataclass(slots=True)
class Call:
    """A request that may run. `bucket` is set at bucket and object level (not for CreateBucket), `key` at object
    level, `source` for copies, `body`/`document`/`raw_body` by the operation's BodyPolicy."""

    request: Request
    identity: Identity
    store: ObjectService
    clock: Clock
    settings: Settings
    bucket: Bucket | None = None
    key: ObjectKey | None = None
    source: CopySource | None = None
    body: BodyStream | None = None
    document: bytes = b""
    raw_body: AsyncIterable[bytes] | None = None
    # For operations that authorize late (DeleteObjects, PostObject): the same authorize as the edge's.
    authorize: Callable[[str, Bucket, ObjectKey | None, Identity], Awaitable[None]] | None = None
    # For PostObject, whose signature is in the form: the authenticator's own.
    authenticate_form: Callable[[PostForm, str, int], Identity] | None = None

    @property
    def target_bucket(self) -> Bucket:
        """The resolved bucket, where the operation's level promises one."""
        assert self.bucket is not None
        return self.bucket

    @property
    def target_key(self) -> ObjectKey:
        """The checked key, where the operation's level promises one."""
        assert self.key is not None
        return self.key


@dataclass(frozen=True, slots=True)
class Settings:
    """What the S3 front is configured with. `domains`: host names under which virtual-host style is served."""

    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    max_clock_skew_s: int = 900
    max_document_bytes: int = 4 * 1024**2
    storage_classes: tuple[str, ...] = ("STANDARD", "REDUCED_REDUNDANCY")
    encrypts_new_buckets: bool = False
    requires_tls_for_customer_keys: bool = False
    lifecycle_day_s: float = 86400.0


@dataclass(slots=True)
class Response:
    """What the edge sends. Header names are lower-case bytes. The edge adds content-length for bytes and readers (to a
    HEAD only the operation's own), request ids, date and server, and it closes a reader.
    """

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes | ObjectReader = b""


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the operation table. `name` is botocore's; `action` the IAM action (AWS: Service Authorization
    Reference, Amazon S3); `needs_source` makes the edge resolve and authorize x-amz-copy-source.
    `resolves_bucket` False: the bucket need not exist (CreateBucket).
    """

    name: str
    level: Level
    handler: Handler
    action: str
    body: BodyPolicy = BodyPolicy.NONE
    needs_source: bool = False
    resolves_bucket: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One way to ask for an operation. `subresource` "" is the plain operation; `is_copy` needs x-amz-copy-source.

    "NAME&id" is the subresource NAME in a request that also has an `id`, which names one of several configurations."""

    method: str
    operation: Operation
    subresource: str = ""
    is_copy: bool = False


class Router(Protocol):
    """(method, level, query, headers) → operation."""

    def match(self, request: Request) -> Operation:
        """Raises NotImplementedByWeir for a subresource nobody serves, MethodNotAllowed otherwise."""


class Authenticator(Protocol):
    """Turns a request's credentials into an identity, and its body into a verified stream."""

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        """Raises the S3 signature errors. Never reads the body."""

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        """Who signed a POST form for `bucket`; ANONYMOUS for an unsigned one. Raises the S3 signature and policy
        errors. What the policy says of the file's size holds while the file is read."""


@light
@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who signed, and how the body is to be read.

    `open_body(chunks)` wraps the raw body chunks: un-chunks aws-chunked, checks chunk signatures, length and trailers,
    and knows the digests that headers and trailers claim.
    """

    identity: Identity
    open_body: Callable[[AsyncIterable[bytes]], BodyStream]
