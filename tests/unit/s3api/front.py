"""Owns an S3 front in process, over a store in memory: requests go in as ASGI scopes, answers come out whole.

Signatures are not its subject: the caller is named by an X-Test-User header. Bodies are the real verified streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from backends.memory import MemoryStore
from core.names import AccessKey, UserId
from core.types import ANONYMOUS, Credential, Identity, User
from s3api.auth.authenticator import Authenticator
from s3api.auth.post_form import PostForm
from s3api.call import Authenticated, Request, Settings
from s3api.edge import S3Front
from s3api.router import OperationRouter

ALICE = User(UserId("alice-id"), "alice", "Alice <3", "alice@example.com")
BOB = User(UserId("bob-id"), "bob", "Bob")
_MAKER = (
    '{"Statement": {"Effect": "Allow", "Action": ["s3:CreateBucket", "s3:PutBucketAcl"],'
    ' "Resource": "arn:aws:s3:::made-*"}}'
)
CAROL = User(UserId("carol-id"), "carol", "Carol", policies=(("maker", _MAKER),))
_USERS = {user.name: user for user in (ALICE, BOB, CAROL)}
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"

NOW_NS = 1_700_000_000_123_456_789
NOW_HTTP = "Tue, 14 Nov 2023 22:13:20 GMT"
NOW_ISO = "2023-11-14T22:13:20.000Z"


class FixedClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time_ns = NOW_NS

    def now_ns(self) -> int:
        return self.time_ns


class _NobodyKnown:
    """A source of credentials that has none."""

    def credential(self, access_key: AccessKey) -> Credential | None:
        return None


class NamedCaller:
    """An Authenticator that believes X-Test-User, and takes bodies as those of unsigned requests."""

    def __init__(self, settings: Settings) -> None:
        self._unsigned = Authenticator(_NobodyKnown(), settings)

    def authenticate(self, request: Request, now_ns: int) -> Authenticated:
        name = request.headers.get("x-test-user", "")
        identity = Identity(_USERS[name]) if name else ANONYMOUS
        return Authenticated(identity, self._unsigned.authenticate(request, now_ns).open_body)

    def authenticate_form(self, form: PostForm, bucket: str, now_ns: int) -> Identity:
        """A form's caller is in its field x-ignore-user."""
        name = form.fields.get("x-ignore-user", "")
        return Identity(_USERS[name]) if name else ANONYMOUS


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response. `headers` with lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def xml(self) -> Element:
        """The document, with S3's namespace taken off every tag."""
        root: Element = fromstring(self.body)
        for node in root.iter():
            node.tag = node.tag.removeprefix(_NAMESPACE)
        return root

    def text(self, path: str) -> str | None:
        """The text of an element by its path; None if there is none."""
        node = self.xml.find(path)
        return None if node is None else node.text or ""

    def texts(self, path: str) -> list[str]:
        """The texts of all elements of a path."""
        return [node.text or "" for node in self.xml.findall(path)]

    @property
    def code(self) -> str | None:
        """The error code of the document."""
        return self.text("Code")


@dataclass
class Front:
    """The front, and one caller at a time."""

    settings: Settings = field(default_factory=Settings)
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self.store = self.new_store()
        self.store.known_users = (ALICE, BOB)
        self.app = S3Front(
            self.store, NamedCaller(self.settings), OperationRouter(), self.clock, self.settings
        )

    def new_store(self) -> MemoryStore:
        """What the front is in front of."""
        return MemoryStore(self.clock, min_part_bytes=5)

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        user: str = "alice",
    ) -> Answer:
        """Send one request and wait for its answer. `path` is percent-encoded where it must be, with its query."""
        return asyncio.run(self._send(method, path, body, {**(headers or {}), "x-test-user": user}))

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        if body is not None:
            headers.setdefault("content-length", str(len(body)))
        raw_path, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in {"host": "s3.test", **headers}.items()
                if value != "" or name != "x-test-user"
            ],
            "client": ("127.0.0.1", 1),
        }
        messages = self._messages(body or b"")
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, partial(anext, messages), send)
        found = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        whole = b"".join(message["body"] for message in sent[1:])
        return Answer(sent[0]["status"], found, whole)

    @staticmethod
    async def _messages(body: bytes) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": body, "more_body": False}


def encoded(key: str) -> str:
    """A key as it stands in a path."""
    return quote(key, safe="/")
