"""Owns easy URLs: /PROVIDER/BUCKET/OBJECT, which people type, in place of paths under /v1/ with queries and messages.

An easy URL reads, writes, heads and deletes an object, lists a bucket's objects or a provider's buckets. What changes
or removes whole buckets has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.native.request import PROVIDERS, ActionMessage

_SCHEMES = (b"ais", b"gs", b"az", b"oc")
_LISTING = ("prefix", "props", "continuation_token", "pagesize")


@dataclass(frozen=True, slots=True)
class EasyPath:
    """What an easy URL stands for: the resource and names of the path under /v1/, and the bucket's provider."""

    resource: str
    names: Sequence[bytes]
    provider: str

    def message(self, query: Mapping[str, str]) -> ActionMessage:
        """What a native client would say in the body."""
        if self.resource != "buckets":
            return ActionMessage()
        return ActionMessage(
            "list", value={name: query[name] for name in _LISTING if name in query}
        )


def is_easy(raw_path: bytes) -> bool:
    """Whether a path is an easy URL's. No bucket of S3 is called like a provider."""
    scheme, _, _ = raw_path[1:].partition(b"/")
    return scheme in _SCHEMES


def parse_easy(raw_path: bytes) -> EasyPath:
    """The names are decoded once, the object's in one piece."""
    scheme, _, rest = raw_path[1:].partition(b"/")
    bucket, _, key = rest.partition(b"/")
    name = scheme.decode("latin-1")
    names = [unquote_to_bytes(part) for part in (bucket, key) if part]
    return EasyPath("objects" if key else "buckets", names, PROVIDERS.get(name, name))
