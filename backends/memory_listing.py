"""Owns the pages of a MemoryStore: what S3 lists, said in the plainest way, by looking at every key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backends.memory_versions import Stored, Versions, order_of, version_id_of
from core.listing import (
    ListPage,
    ListQuery,
    ObjectVersion,
    VersionListPage,
    VersionListQuery,
)
from core.types import NULL_VERSION, ObjectInfo
from core.uploads import Upload, UploadListPage, UploadListQuery


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """What `key` rolls up into: everything through the first delimiter after the prefix; None if it stands alone."""
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def page_of_objects(objects: Iterable[ObjectInfo], query: ListQuery) -> ListPage:
    """The page of `objects` (in any order) that `query` asks for."""
    items: list[ObjectInfo | str] = []
    for info in sorted(objects, key=lambda each: each.key.encode()):
        if not info.key.startswith(query.prefix) or info.key.encode() <= query.after.encode():
            continue
        group = common_prefix(info.key, query.prefix, query.delimiter)
        if group is None:
            items.append(info)
        elif group != query.after and group not in items[-1:]:
            items.append(group)
    page = items[: query.limit]
    is_truncated = query.limit > 0 and len(items) > query.limit
    last = page[-1] if is_truncated else ""
    return ListPage(
        entries=[item for item in page if isinstance(item, ObjectInfo)],
        common_prefixes=[item for item in page if isinstance(item, str)],
        is_truncated=is_truncated,
        next_after=last if isinstance(last, str) else last.key,
    )


def page_of_versions(versions: Versions, query: VersionListQuery) -> VersionListPage:
    """The page of all versions and delete markers that `query` asks for."""
    items: list[tuple[Stored, bool] | str] = []
    for of_key in sorted(versions.newest_first(), key=lambda each: each[0].info.key.encode()):
        key = of_key[0].info.key
        if not key.startswith(query.prefix):
            continue
        group = common_prefix(key, query.prefix, query.delimiter)
        wanted = list(_after_marker(of_key, query))
        if group is None:
            items += [(stored, stored is of_key[0]) for stored in wanted]
        elif wanted and group != query.key_marker and group not in items[-1:]:
            items.append(group)
    page = items[: query.limit]
    is_truncated = query.limit > 0 and len(items) > query.limit
    last = page[-1] if is_truncated else ""
    return VersionListPage(
        versions=[ObjectVersion(item[0].info, item[1]) for item in page if isinstance(item, tuple)],
        common_prefixes=[item for item in page if isinstance(item, str)],
        is_truncated=is_truncated,
        next_key_marker=last if isinstance(last, str) else last[0].info.key,
        next_version_id_marker="" if isinstance(last, str) else _place_of(last[0]),
    )


def _place_of(stored: Stored) -> str:
    """The null version's id would not say where it was, once it is replaced."""
    version_id = stored.info.version_id
    return version_id_of(stored.order) if version_id == NULL_VERSION else version_id


def _after_marker(of_key: Sequence[Stored], query: VersionListQuery) -> Iterator[Stored]:
    """Of a key's versions those that come after the query's markers."""
    key, marker = of_key[0].info.key.encode(), query.key_marker.encode()
    if key != marker:
        yield from of_key if key > marker else ()
        return
    if not query.version_id_marker:
        return
    named = [each for each in of_key if each.info.version_id == query.version_id_marker]
    place = named[0].order if named else order_of(query.version_id_marker)
    yield from (each for each in of_key if place is None or each.order < place)


def page_of_uploads(uploads: Iterable[Upload], query: UploadListQuery) -> UploadListPage:
    """The page of `uploads` (in any order) that `query` asks for."""
    items: list[Upload | str] = []
    for upload in sorted(uploads, key=lambda each: (each.key.encode(), each.upload_id)):
        if not upload.key.startswith(query.prefix) or not _is_after(upload, query):
            continue
        group = common_prefix(upload.key, query.prefix, query.delimiter)
        if group is None:
            items.append(upload)
        elif group != query.key_marker and group not in items[-1:]:
            items.append(group)
    page: Sequence[Upload | str] = items[: query.limit]
    is_truncated = query.limit > 0 and len(items) > query.limit
    last = page[-1] if is_truncated else ""
    return UploadListPage(
        uploads=[item for item in page if isinstance(item, Upload)],
        common_prefixes=[item for item in page if isinstance(item, str)],
        is_truncated=is_truncated,
        next_key_marker=last if isinstance(last, str) else last.key,
        next_upload_id_marker="" if isinstance(last, str) else last.upload_id,
    )


def _is_after(upload: Upload, query: UploadListQuery) -> bool:
    key, marker = upload.key.encode(), query.key_marker.encode()
    if key == marker and query.upload_id_marker:
        return upload.upload_id > query.upload_id_marker
    return key > marker
