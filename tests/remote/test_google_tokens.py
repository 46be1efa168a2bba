"""Google's storage by its own tokens: how they are asked for, kept and renewed, and what requests have with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jose import jwt

from backends.google_tokens import GoogleTokens
from backends.s3 import S3Backend, gcp_backend
from core.accounts import Account
from core.errors import BackendDenied, BackendDown
from core.names import ObjectKey
from core.types import ObjectAttributes
from tests.contract.world import Body, etag_of
from tests.counterparts.process import free_port

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@dataclass(slots=True)
class Google:
    """A token server, a metadata server and a storage of one bucket."""

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    good: str = "token-1"
    kept: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    seen: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers for the Google of its server."""

    protocol_version = "HTTP/1.1"

    @property
    def google(self) -> Google:
        google: Google = self.server.google  # type: ignore[attr-defined]
        return google

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _token(self) -> None:
        self.google.good = f"token-{len(self.google.asked) + 1}"
        said = {"access_token": self.google.good, "expires_in": 3600}
        self._reply(200, json.dumps(said).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._token()
        self.google.asked.append({name: value[0] for name, value in parse_qs(body).items()})

    def _is_let_in(self) -> bool:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.google.seen.append(headers)
        is_foreign = any(name.startswith("x-amz-") for name in headers)
        if headers.get("authorization") == f"Bearer {self.google.good}" and not is_foreign:
            return True
        self._reply(401, b"<Error><Code>AuthenticationRequired</Code></Error>")
        return False

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_let_in():
            kept = {
                name: value
                for name, value in self.headers.items()
                if name.lower().startswith("x-goog-meta-")
            }
            self.google.kept[self.path] = body, kept
            self._reply(200, headers={"ETag": f'"{etag_of(body)}"'})

    def do_GET(self) -> None:
        if self.path.startswith("/computeMetadata/"):
            self._token()
            self.google.asked.append({"metadata": self.headers["Metadata-Flavor"]})
        elif self._is_let_in():
            body, headers = self.google.kept[self.path]
            self._reply(200, body, {**headers, "ETag": f'"{etag_of(body)}"'})

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def google() -> Iterator[Google]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Google(f"http://127.0.0.1:{serving.server_port}")
    serving.google = made  # type: ignore[attr-defined]
    thread = Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    serving.shutdown()
    thread.join()
    serving.server_close()


def service_account(google: Google) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "key-id",
        "private_key": PRIVATE,
        "client_email": "robot@project.iam.example",
        "token_uri": f"{google.url}/token",
    }


def token(said: str, environment: dict[str, str]) -> str:
    return asyncio.run(GoogleTokens(said, environment).current())


def test_service_account(google: Google, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(service_account(google)))
    for said, environment in (
        (path.read_text(), {}),
        (str(path), {}),
        ("", {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}),
    ):
        assert token(said, environment) == google.good
    asked = google.asked[-1]
    assert asked["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(asked["assertion"], PUBLIC, "RS256", audience=f"{google.url}/token")
    assert claims["iss"] == "robot@project.iam.example"
    assert claims["scope"].endswith("/devstorage.full_control")


def test_user(google: Google, tmp_path: Path) -> None:
    said = {
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "secret",
        "refresh_token": "refresh",
        "token_uri": f"{google.url}/token",
    }
    (tmp_path / "application_default_credentials.json").write_text(json.dumps(said))
    assert token("", {"CLOUDSDK_CONFIG": str(tmp_path)}) == google.good
    assert google.asked[-1]["refresh_token"] == "refresh"


def test_machine(google: Google, tmp_path: Path) -> None:
    host = google.url.removeprefix("http://")
    environment = {"CLOUDSDK_CONFIG": str(tmp_path), "GCE_METADATA_HOST": host}
    assert token("", environment) == google.good
    assert google.asked == [{"metadata": "Google"}]


@pytest.mark.parametrize(
    "said",
    [
        "{",
        "{}",
        '{"type": "service_account"}',
        '{"type": "service_account", "client_email": "x", "private_key": "no key"}',
        '{"type": "authorized_user"}',
        "/nowhere/at/all.json",
    ],
)
def test_bad_credentials(said: str) -> None:
    with pytest.raises(BackendDenied) as caught:
        token(said, {})
    assert "no key" not in str(caught.value)


def test_token_server_down(google: Google) -> None:
    said = service_account(google) | {"token_uri": f"http://127.0.0.1:{free_port()}/"}
    with pytest.raises(BackendDown):
        token(json.dumps(said), {})


def test_objects_with_tokens(google: Google) -> None:
    secrets = {"service_account": json.dumps(service_account(google))}
    account = Account("gcp", endpoint=google.url, secrets=secrets)

    async def work(backend: S3Backend) -> None:
        for size_bytes in (4, 400_000):
            data, attributes = b"x" * size_bytes, ObjectAttributes(user_metadata={"a": "b"})
            await backend.put("bucket", ObjectKey("k"), Body(data), attributes)
            reader = await backend.open("bucket", ObjectKey("k"))
            assert b"".join([chunk async for chunk in reader]) == data
            assert reader.info.attributes.user_metadata == {"a": "b"}
            await reader.close()
        assert len(google.asked) == 1
        # Revoked: that request is denied, the next one has a new token.
        google.good = "another"
        with pytest.raises(BackendDenied):
            await backend.open("bucket", ObjectKey("k"))
        await (await backend.open("bucket", ObjectKey("k"))).close()
        assert len(google.asked) == 2

    async def whole() -> None:
        backend = gcp_backend(account)
        try:
            await work(backend)
        finally:
            await backend.close()

    asyncio.run(whole())
    assert all("x-amz-date" not in each for each in google.seen)
