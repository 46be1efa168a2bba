"""Owns the parsing of a native request: path, query, headers, and the JSON message that most of them carry.

The object's name is decoded exactly once. A message is never inferred from Content-Type, which native clients set to
JSON on raw bodies too; the route says whether there is one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from core.errors import InvalidArgument
from core.names import BucketName, BucketRef
from core.protocols import BodyStream
from s3api.call import Request
from s3api.document import read_document

PREFIX = b"/v1/"
_MAX_BRACKETS = 1_000_000
"""In a message: an empty list of two bytes takes 64 when it is decoded, an item of a batch 200."""
Receive = Callable[[], Awaitable[dict[str, Any]]]
OpenBody = Callable[[AsyncIterable[bytes]], BodyStream]
_TRUE = frozenset({"1", "t", "true", "y", "yes", "on"})
PROVIDERS = {"s3": "aws", "gs": "gcp", "az": "azure", "oc": "oci", "": "ais"}
"""Other names of providers, as they stand in queries and easy URLs."""


@dataclass(frozen=True, slots=True)
class ActionMessage:
    """What a control request asks for. `value` is as decoded, with no shape promised."""

    action: str = ""
    name: str = ""
    value: Any = None

    def fields(self) -> Mapping[str, Any]:
        """The value's fields by lower-case names, as clients spell them both ways; empty where it has none."""
        if not isinstance(self.value, dict):
            return {}
        return {str(name).lower(): value for name, value in self.value.items()}


@dataclass(slots=True)
class NativeRequest:
    """One native request, parsed but not yet trusted.

    `resource` is the first word after /v1/, `names` the rest of the path, decoded, the object's name in one piece for
    what addresses objects. `s3` is the same request as the S3 front sees it: headers, query, and what signatures are
    made of. `given_message` and `given_query` are what an easy URL says of these by itself; a message that was read is
    kept as well. `open_body` makes of the body the stream that is held to what the sender signed and claims; it is
    known once the sender is. `receive` is what the body comes by.
    """

    s3: Request
    resource: str
    names: Sequence[bytes]
    body: AsyncIterator[bytes]
    raw_headers: Sequence[tuple[bytes, bytes]]
    max_message_bytes: int
    given_message: ActionMessage | None = field(default=None)
    given_query: Mapping[str, str] = field(default_factory=dict)
    open_body: OpenBody | None = None
    receive: Receive | None = None

    @property
    def method(self) -> str:
        return self.s3.method

    @property
    def query(self) -> Mapping[str, str]:
        return {**self.s3.query, **self.given_query} if self.given_query else self.s3.query

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case names; those that are repeated are joined by commas, see `header_lines`."""
        return self.s3.headers

    def header_lines(self, name: str) -> Sequence[str]:
        """Each line of a header that may be repeated."""
        wanted = name.encode()
        return [
            value.strip().decode("utf-8", "replace") for n, value in self.raw_headers if n == wanted
        ]

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean of the query, in any of the spellings that clients use."""
        text = self.query.get(name)
        return default if text is None or text == "" else text.lower() in _TRUE

    async def read_raw(self) -> bytes:
        """The body of a message, true to what its sender signed. Raises EntityTooLarge, DigestMismatch,
        InvalidArgument."""
        assert self.open_body is not None
        raw = await read_document(self.open_body(self.body), self.max_message_bytes)
        if len(raw) > _MAX_BRACKETS and raw.count(b"{") + raw.count(b"[") > _MAX_BRACKETS:
            reason = f"the message has more than {_MAX_BRACKETS} objects and lists"
            raise InvalidArgument(name="body", value="", reason=reason)
        return raw

    async def is_client_there(self) -> bool:
        """Whether the client, whose whole body was read, still has its side of the connection open."""
        if self.receive is None:
            return True
        return bool((await self.receive())["type"] != "http.disconnect")

    async def read_json(self) -> Any:
        """The body as JSON; None for an empty one. Raises EntityTooLarge, InvalidArgument."""
        raw = await self.read_raw()
        if not raw.strip():
            return None
        try:
            return _parsed(raw)
        except (ValueError, RecursionError):
            raise InvalidArgument(name="body", value="", reason="the body is not JSON") from None

    async def message(self) -> ActionMessage:
        """The action message in the body, read once; an empty one if there is none."""
        if self.given_message is None:
            fields = await self.read_json()
            if fields is None:
                fields = {}
            if not isinstance(fields, dict):
                raise InvalidArgument(name="body", value="", reason="the body is no action message")
            by_name = {str(name).lower(): value for name, value in fields.items()}
            self.given_message = ActionMessage(
                str(by_name.get("action") or ""),
                str(by_name.get("name") or ""),
                by_name.get("value"),
            )
        return self.given_message

    @property
    def bucket_name(self) -> str:
        """As it stands in the path, unchecked; "" where the path has none."""
        names = self.names[1:] if self.resource == "ml" else self.names
        return names[0].decode("utf-8", "replace") if names else ""

    @property
    def object_name(self) -> bytes:
        """As it stands in the path, unchecked; empty where the path has none."""
        return self.names[1] if len(self.names) > 1 else b""

    def ref(self) -> BucketRef:
        """The bucket that path and query name. Raises InvalidArgument."""
        return bucket_ref(
            self.bucket_name, self.query.get("provider", ""), self.query.get("namespace", "")
        )


def bucket_ref(name: str, provider: str = "", namespace: str = "") -> BucketRef:
    """A bucket by the parts of its identity as clients write them. Raises InvalidArgument.

    The global namespace is "" here, and "", "@#" or "#" on the wire; any other is kept as "@UUID#NAME".
    """
    provider = PROVIDERS.get(provider.lower(), provider.lower())
    if provider not in ("ais", "aws", "gcp", "azure", "oci", "ht"):
        raise InvalidArgument(name="provider", value=provider, reason="unknown provider")
    uuid, _, name_space = namespace.removeprefix("@").partition("#")
    if namespace and not namespace.startswith("@"):
        uuid, name_space = "", namespace.removeprefix("#")
    plain = f"@{uuid}#{name_space}" if uuid or name_space else ""
    return BucketRef(BucketName(name), provider, plain)


def _parsed(raw: bytes) -> Any:
    """JSON in UTF-8, all of whose texts are Unicode: json itself lets halves of surrogate pairs pass, which nothing can
    be called and no file or database takes. Raises ValueError, RecursionError."""
    value = json.loads(raw.decode())
    if b"\\ud" in raw or b"\\uD" in raw:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def split_path(raw_path: bytes) -> tuple[str, Sequence[bytes]]:
    """The resource and the decoded names of a path under /v1/."""
    resource, _, rest = raw_path.removeprefix(PREFIX).partition(b"/")
    if resource == b"objects":
        bucket, _, key = rest.partition(b"/")
        parts = [bucket, key] if key else [bucket]
    else:
        parts = rest.split(b"/")
    while parts and not parts[-1]:
        parts.pop()
    return resource.decode("latin-1"), [unquote_to_bytes(part) for part in parts]
