"""Owns the SDK clients that tests use: unmodified, but they give up at once, so that a wrong answer is seen as one."""

from __future__ import annotations

from aistore.sdk import Client
from aistore.sdk.retry_config import RetryConfig
from tenacity import Retrying, stop_after_attempt
from urllib3.util.retry import Retry

from tests.server import Server

TIMEOUT_S = (5, 28)


def connect(server: Server, *, token: str | None = None, ca_cert: str | None = None) -> Client:
    """A client that never retries."""
    once = RetryConfig(
        http_retry=Retry(total=0),
        network_retry=Retrying(stop=stop_after_attempt(1), reraise=True),
    )
    return Client(
        server.endpoint, timeout=TIMEOUT_S, retry_config=once, token=token, ca_cert=ca_cert
    )
