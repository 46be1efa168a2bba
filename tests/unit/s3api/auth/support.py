"""Requests as they come off the wire, and a key pair to sign them with, for the tests of authentication."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from urllib.parse import urlsplit

from botocore.credentials import Credentials

from core.names import AccessKey, UserId
from core.protocols import BodyStream
from core.types import Credential, User
from s3api.auth import Authenticator
from s3api.call import Authenticated, Request, Settings
from s3api.request import parse_request

# The key pair, and the time, of AWS's published examples.
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EXAMPLE_NS = 1_369_353_600 * 1_000_000_000  # 20130524T000000Z
BOTO_CREDENTIALS = Credentials(ACCESS_KEY, SECRET_KEY)
ALICE = User(UserId("a" * 64), "alice", "Alice")
DOMAIN = "s3.amazonaws.com"
SETTINGS = Settings(domains=(DOMAIN,))


class OneKey:
    """A control store's look-up of credentials, over one key pair."""

    def credential(self, access_key: AccessKey) -> Credential | None:
        """As ControlStore."""
        if access_key != ACCESS_KEY:
            return None
        return Credential(AccessKey(ACCESS_KEY), SECRET_KEY, ALICE)


def request(method: str, url: str, headers: Mapping[str, str]) -> Request:
    """A request as the edge parses it; `host` is taken from the URL if the headers do not say."""
    split = urlsplit(url)
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    if not any(name == b"host" for name, _ in raw):
        raw.append((b"host", split.netloc.encode()))
    scope = {
        "method": method,
        "scheme": "http",
        "raw_path": split.path.encode() or b"/",
        "query_string": split.query.encode(),
        "headers": raw,
        "client": ("127.0.0.1", 1),
    }
    return parse_request(scope, SETTINGS.domains)


def authenticate(
    asked: Request, now_ns: int = EXAMPLE_NS, settings: Settings = SETTINGS
) -> Authenticated:
    """What the edge does with a request first."""
    return Authenticator(OneKey(), settings).authenticate(asked, now_ns)


class Arriving:
    """Bytes as they arrive. Not a generator, so that it outlives the loop that began it."""

    def __init__(self, data: Iterable[bytes]) -> None:
        self._data = iter(data)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._data:
            return piece
        raise StopAsyncIteration


async def read(body: BodyStream) -> bytes:
    """A body whole."""
    return b"".join([chunk async for chunk in body])
