"""Owns what a download is asked for, and the objects and links that this comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from urllib.parse import unquote, urlsplit

from core.errors import InvalidArgument
from core.job_table import parse_ref, ref_text
from core.names import BucketRef, UserId
from core.templates import parse_template

DOWNLOAD = "download"
MAX_LINKS = 100_000
HUB = "hf://"

_CLOUDS = {
    "gs": "https://storage.googleapis.com/{bucket}/",
    "s3": "https://{bucket}.s3.amazonaws.com/",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One object to be: its name, its link, and its size, None if that is not known yet."""

    name: str
    link: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """One of `links` (pairs of name and link), `template` (of links; objects go under `subdir`) and `hub` (a dataset's
    or model's name at Hugging Face). `connections`, `bytes_per_hour` 0: as the server is set."""

    bucket: BucketRef
    bucket_id: int
    user_id: UserId
    links: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    template: str = field(default="", repr=False)
    subdir: str = ""
    hub: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 0.0
    connections: int = 0
    bytes_per_hour: int = 0

    def text(self) -> str:
        """As text, which is to be sealed."""
        fields = asdict(self)
        fields["bucket"] = ref_text(self.bucket)
        return json.dumps(fields)

    @classmethod
    def parse(cls, text: str) -> DownloadRequest:
        """The inverse of `text`."""
        fields = json.loads(text)
        fields["bucket"] = parse_ref(fields["bucket"])
        fields["links"] = tuple((name, link) for name, link in fields["links"])
        return cls(**fields)

    @property
    def count(self) -> int:
        """How many objects it is for; 0 where that is told by the hub."""
        return len(self.links) if self.links else self._of_template() if self.template else 0

    def _of_template(self) -> int:
        template = parse_template(self.template)
        return 1 if template.is_prefix else template.count

    def items(self, first: int = 0) -> Iterator[Item]:
        """The items from that number on, but for those of a hub."""
        for name, link in self.links[first:]:
            yield Item(name, link)
        if self.template:
            template = parse_template(self.template)
            for index in range(first, self._of_template()):
                link = full_link(self.template if template.is_prefix else template.name(index))
                yield Item(self.subdir + base_name(link), link)


def full_link(link: str) -> str:
    """A link with its scheme; buckets of clouds at their public addresses."""
    scheme, mark, rest = link.partition("://")
    if not mark:
        return f"https://{link}"
    if scheme in _CLOUDS:
        bucket, _, key = rest.partition("/")
        return _CLOUDS[scheme].format(bucket=bucket) + key
    return link


def base_name(link: str) -> str:
    """The name of an object for which none was given: the end of its link's path."""
    try:
        return unquote(urlsplit(link).path).rpartition("/")[2]
    except ValueError:
        return ""


def check_link(link: object) -> str:
    """A link that could be one, in full. Raises InvalidArgument."""
    if isinstance(link, str) and 0 < len(link) <= 8192 and link.isprintable():
        full = full_link(link)
        try:
            parts = urlsplit(full)
            if parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0:
                return full
        except ValueError:
            pass
    raise InvalidArgument(name="link", value="", reason="it is no link of http or https")
