"""Owns pages of Azure's listings, which go on by tokens of the service's own and not from a key.

The token of each place that a page ended at is remembered; from elsewhere the service is asked to start at the key
(`startFrom`), and what it gives before the key all the same is read over.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.azure_errors import broken, translated
from backends.azure_facts import attributes_of, make_info, time_ns
from core.listing import Detail, ListPage, ListQuery
from core.names import ObjectKey
from core.types import ObjectAttributes, ObjectInfo

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient, ContainerClient

_MAX_PAGE = 5000
_MAX_PLACES = 4096
_MAX_EMPTY_PAGES = 1000


class AzureListing:
    """The listings of one account."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, str, str, str], str] = OrderedDict()

    async def page(self, service: BlobServiceClient, bucket: str, query: ListQuery) -> ListPage:
        """See Backend.list_page."""
        if query.limit <= 0:
            return ListPage((), (), is_truncated=False)
        container = service.get_container_client(bucket)
        token = self._places.get((bucket, query.prefix, query.delimiter, query.after), "")
        for _ in range(_MAX_EMPTY_PAGES):
            before = token
            found, token = await _provider_page(container, bucket, query, token)
            kept = [each for each in found if each.name.encode() > query.after.encode()]
            if kept or not token:
                break
            if token == before:
                raise broken(bucket, "", "a listing that does not get on")
        else:
            raise broken(bucket, "", "a listing of nothing, without end")
        # Names and prefixes come apart, and an older service's order may be another one than UTF-8's.
        kept.sort(key=lambda each: each.name.encode())
        cut = kept[: query.limit]
        is_truncated = bool(token) or len(cut) < len(kept)
        next_after = cut[-1].name if cut and is_truncated else ""
        if token and len(cut) == len(kept):
            self._remember((bucket, query.prefix, query.delimiter, next_after), token)
        return ListPage(
            [each.info for each in cut if each.info is not None],
            [each.name for each in cut if each.info is None],
            is_truncated,
            next_after,
        )

    def _remember(self, place: tuple[str, str, str, str], token: str) -> None:
        self._places[place] = token
        if len(self._places) > _MAX_PLACES:
            self._places.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """A blob, or a common prefix, which has no info."""

    name: str
    info: ObjectInfo | None


async def _provider_page(
    container: ContainerClient, bucket: str, query: ListQuery, token: str
) -> tuple[list[_Found], str]:
    options: dict[str, Any] = {
        "name_starts_with": query.prefix or None,
        # Directories of a hierarchical namespace are told by their metadata.
        "include": ["metadata"],
        "results_per_page": min(query.limit, _MAX_PAGE),
    }
    listed: Any
    if query.delimiter:
        listed = container.walk_blobs(delimiter=query.delimiter, **options)
    else:
        if query.after > query.prefix and not token:
            options["start_from"] = query.after
            # The key itself comes too.
            options["results_per_page"] = min(query.limit + 1, _MAX_PAGE)
        listed = container.list_blobs(**options)
    pages = listed.by_page(token or None)
    found = []
    async with translated(bucket):
        try:
            page = await anext(pages)
        except StopAsyncIteration:
            return [], ""
        async for item in page:
            each = _found(item, query.detail)
            if each is not None:
                found.append(each)
    return found, pages.continuation_token or ""


def _found(item: Any, detail: Detail) -> _Found | None:
    name = item.name
    if not isinstance(name, str) or not name or len(name.encode("utf-8", "replace")) > 1024:
        return None
    if not hasattr(item, "etag") or item.etag is None:
        return _Found(name, None)
    metadata = item.metadata or {}
    if str(metadata.get("hdi_isfolder", "")).lower() == "true":
        return None
    settings = item.content_settings
    attributes = ObjectAttributes()
    if detail is Detail.WHOLE:
        said = {
            "content-type": settings.content_type,
            "content-encoding": settings.content_encoding,
            "content-language": settings.content_language,
            "content-disposition": settings.content_disposition,
            "cache-control": settings.cache_control,
        }
        attributes = attributes_of({name: value for name, value in said.items() if value}, metadata)
    modified_ns = time_ns(item.last_modified) if item.last_modified else 0
    md5 = bytes(settings.content_md5 or b"")
    info = make_info(ObjectKey(name), item.size or 0, item.etag, modified_ns, attributes, md5)
    return _Found(name, info)
