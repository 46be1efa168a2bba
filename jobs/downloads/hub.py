"""Owns the names of datasets and models at Hugging Face: which files one has, and their links.

hf://datasets/NAME[@REVISION][/PATH] and hf://models/NAME...; a NAME is OWNER/REPOSITORY, of old ones REPOSITORY alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.errors import InvalidArgument
from jobs.downloads.failures import failed
from jobs.downloads.request import HUB, Item

if TYPE_CHECKING:
    from jobs.downloads.web import Web

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}\Z")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}\Z")
_SHA = re.compile(r"[0-9a-f]{40}\Z")
_MAX_FILES = 1_000_000
_KINDS = ("datasets", "models")


@dataclass(frozen=True, slots=True)
class HubName:
    """`path`: only files under it; "" for all."""

    kind: str
    name: str
    revision: str = "main"
    path: str = ""

    @property
    def api_path(self) -> str:
        return f"/api/{self.kind}/{self.name}/revision/{quote(self.revision, safe='')}?blobs=true"

    def file_path(self, revision: str, path: str) -> str:
        """Where a file is. Models have no kind before their name."""
        kind = "" if self.kind == "models" else f"/{self.kind}"
        return f"{kind}/{self.name}/resolve/{quote(revision, safe='')}/{quote(path)}"


def parse_hub_name(text: str) -> HubName:
    """Raises InvalidArgument."""
    kind, _, rest = text.removeprefix(HUB).partition("/")
    name, mark, behind = rest.partition("@")
    if mark:
        revision, _, path = behind.partition("/")
        revision = revision.replace("%2F", "/").replace("%2f", "/")
    else:
        parts = rest.split("/")
        name, path, revision = "/".join(parts[:2]), "/".join(parts[2:]), "main"
    parts = name.split("/")
    if (
        kind not in _KINDS
        or not 1 <= len(parts) <= 2
        or not all(_PART.match(each) for each in parts)
        or not _REVISION.match(revision)
        or ".." in revision
        or not path.isprintable()
    ):
        reason = "a name is hf://datasets/OWNER/NAME[@REVISION][/PATH] or hf://models/..."
        raise InvalidArgument(name="link", value=text[:200], reason=reason)
    return HubName(kind, name, revision, path)


async def hub_items(web: Web, endpoint: str, text: str, subdir: str) -> tuple[str, Sequence[Item]]:
    """The revision that a name stands for now, and its files, in order of their names. Raises DownloadFailed."""
    wanted = parse_hub_name(text)
    base = endpoint.rstrip("/")
    url = base + wanted.api_path
    told = await web.document(url)
    files = told.get("siblings") if isinstance(told, dict) else None
    if not isinstance(files, list) or len(files) > _MAX_FILES:
        raise failed(url, "it does not say which files there are")
    revision = str(told.get("sha") or wanted.revision)
    if not _SHA.match(revision):
        revision = wanted.revision
    items = []
    for each in files:
        path, size_bytes = _file(each)
        if (path and (path + "/").startswith(_folder(wanted.path))) or path == wanted.path != "":
            link = base + wanted.file_path(revision, path)
            items.append(Item(subdir + path, link, size_bytes))
    items.sort(key=lambda item: item.name)
    return revision, items


def _folder(path: str) -> str:
    return f"{path.rstrip('/')}/" if path else ""


def _file(each: Any) -> tuple[str, int | None]:
    if not isinstance(each, dict):
        return "", None
    path, size = each.get("rfilename"), each.get("size")
    is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return (path if isinstance(path, str) else ""), (size if is_size else None)
