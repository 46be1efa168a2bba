"""Owns the values between the S3 edge and the operations: the request as parsed, the call as resolved, the response.

The edge (s3api.edge) builds a Call once it knows who asks and that they may; an operation turns it into a Response.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from core.access import NO_FACTS, Decision, Resource, authorize, denied
from core.conditions import check_copy_source
from core.control import TokenVerifier
from core.light import light
from core.names import ObjectKey
from core.protocols import BodyStream, Clock, ObjectReader, ObjectService
from core.types import Bucket, Conditions, Identity, ObjectInfo

if TYPE_CHECKING:
    from s3api.auth.post_form import PostForm
    from s3api.gate import Access
    from s3api.server_log import LogEntry


@dataclass(slots=True)
class Request:
    """One S3 request, parsed but not yet trusted.

    `headers`: lower-case names; values are the raw bytes decoded as latin-1, trimmed; repeated headers joined with
    ",". `query`: decoded names and values, first value wins, "" for a valueless name. `raw_path` is the path as sent
    (percent-encoded, without the query), `raw_query` the query as sent. `bucket` and `key` are decoded but unchecked
    names, from path style or virtual-host style; None or empty where absent. `log_entries`: what server access logs
    will say of it, if a bucket that it concerns has one.
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
    log_entries: list[LogEntry] | None = None


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
    """The object that x-amz-copy-source names, resolved and authorized by the edge.

    `info` is what it was, if the right to read it hung on that: then nothing but those bytes may be copied (`pinned`).
    """

    bucket: Bucket
    key: ObjectKey
    version_id: str | None
    info: ObjectInfo | None = None

    def pinned(self, conditions: Conditions) -> Conditions:
        """What the copy demands of its source so that it is what was authorized. Raises what `conditions` make fail."""
        if self.info is None:
            return conditions
        check_copy_source(self.info, conditions)
        return Conditions(if_match=(self.info.etag,))


class Authorize(Protocol):
    """The edge's own authorization, for operations that learn late what they are about."""

    async def __call__(
        self,
        call: Call,
        action: str,
        key: ObjectKey | None,
        *,
        version_id: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """Whether `call.identity` may do `action` in `call.bucket`. `fields` stand for the headers (tags, ACL, locks)
        where they came otherwise. Raises Denied; NoSuchKey and the like where an absent object may be told."""


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
    # The action that the edge let pass, and, where more than ownership decided, with whom the decision lies.
    action: str = ""
    access: Access | None = None
    # For operations that authorize late (DeleteObjects, PostObject): the same as the edge's.
    authorize: Authorize | None = None
    # Resolves and authorizes x-amz-copy-source again, when what was authorized is no longer there.
    resolve_source: Callable[[Call], Awaitable[CopySource]] | None = None
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

    def check_object(self, info: ObjectInfo) -> None:
        """To be called with the version that is answered with: it may have come in place of the one that was
        authorized, a moment ago, and in one's own bucket it may be somebody else's. Raises Denied."""
        bucket = self.target_bucket
        if self.access is not None:
            self.access.check(info)
        elif info.attributes.owner_id != bucket.owner.user_id:
            resource = Resource(bucket, self.key, info)
            if authorize(self.identity, self.action, resource, NO_FACTS) is not Decision.ALLOWED:
                raise denied(self.action, bucket)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the S3 front is configured with. `domains`: host names under which virtual-host style is served.
    `event_destinations`: name → kind, of those that notifications may be sent to."""

    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    max_clock_skew_s: int = 900
    max_document_bytes: int = 4 * 1024**2
    storage_classes: tuple[str, ...] = ("STANDARD", "REDUCED_REDUNDANCY")
    encrypts_new_buckets: bool = False
    requires_tls_for_customer_keys: bool = False
    lifecycle_day_s: float = 86400.0
    event_destinations: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Response:
    """What the edge sends. Header names are lower-case bytes. The edge adds content-length for bytes and readers (to a
    HEAD only the operation's own), request ids, date and server, and it closes a reader. `code`: of an error.
    """

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes | ObjectReader = b""
    code: str = ""


class PassOn(Protocol):
    """Passes on what was presigned for another, and for a bucket that lives there."""

    async def __call__(
        self, request: Request, bucket: Bucket, body: AsyncIterable[bytes]
    ) -> Response | None:
        """The answer of the other; None if the request is not to be passed on. The bucket's own rules are not asked:
        who signed it is judged there."""


class TokenAwaited(Exception):
    """Raised by an authenticator for a bearer token that must be verified first, which it cannot wait for."""

    def __init__(
        self,
        token: str,
        tokens: TokenVerifier,
        open_body: Callable[[AsyncIterable[bytes]], BodyStream],
    ) -> None:
        super().__init__()
        self._token = token
        self._tokens = tokens
        self._open_body = open_body

    async def authenticated(self) -> Authenticated:
        """What the authenticator would have returned. Raises BadToken, Unavailable."""
        return Authenticated(await self._tokens.identity(self._token), self._open_body)


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the operation table. `name` is botocore's; `action` the IAM action (AWS: Service Authorization
    Reference, Amazon S3); `needs_source` makes the edge resolve and authorize x-amz-copy-source.
    `resolves_bucket` False: the bucket need not exist (CreateBucket). `checks_object`: the handler passes the object
    that it answers with to `Call.check_object`, so its bucket's owner need not wait for a look-up before.
    """

    name: str
    level: Level
    handler: Handler
    action: str
    body: BodyPolicy = BodyPolicy.NONE
    needs_source: bool = False
    resolves_bucket: bool = True
    checks_object: bool = False


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
        """Raises the S3 signature errors, BadToken, and TokenAwaited, with which to go on. Never reads the body."""

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
