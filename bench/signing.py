"""Owns presigned URLs (SigV4 in the query). Ours, because the SDK's takes 50 times longer and we need thousands."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

_REGION = "us-east-1"
_EXPIRES_S = 86_400


@dataclass(frozen=True, slots=True)
class Signer:
    """Presigns paths of one server for one key pair."""

    host: str
    access_key: str
    secret_key: str

    def presign(self, method: str, path: str, query: Mapping[str, str] | None = None) -> str:
        """The path with its signed query, ready for a request line."""
        stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{_REGION}/s3/aws4_request"
        parameters = {
            **(query or {}),
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(_EXPIRES_S),
            "X-Amz-SignedHeaders": "host",
        }
        encoded = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in sorted(parameters.items())
        )
        target = quote(path)
        request = f"{method}\n{target}\n{encoded}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        key = f"AWS4{self.secret_key}".encode()
        for step in scope.split("/"):
            key = hmac.digest(key, step.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return f"{target}?{encoded}&X-Amz-Signature={signature}"
