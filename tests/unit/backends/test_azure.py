"""What Azure is told of objects and tells of them: attributes, ids of blocks, errors, and where listings go on."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.azure_client import _name_in
from backends.azure_errors import error_of
from backends.azure_facts import attributes_of, http_time_ns, metadata_of
from backends.azure_listing import AzureListing
from backends.azure_uploads import (
    MAX_BLOCK_BYTES,
    attributes_of_upload,
    chosen_blocks,
    new_blocks,
    new_upload_id,
    token_of,
)
from core.backends import BackendPart
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    InvalidPart,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    StoreError,
    Unsupported,
)
from core.listing import ListQuery
from core.types import ObjectAttributes

_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(str.lower)
_VALUES = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.dictionaries(_NAMES, _VALUES, max_size=5))
def test_metadata_comes_back(user_metadata: dict[str, str]) -> None:
    headers = {"expires": "Thu, 01 Jan 2032 00:00:00 GMT", "content-type": "a/b"}
    written = metadata_of(ObjectAttributes(headers=headers, user_metadata=user_metadata))
    for name, value in written.items():
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", name)
        assert value
        assert value.isascii()
        assert value.isprintable()
    found = attributes_of({"content-type": "a/b"}, written)
    assert found.user_metadata == user_metadata
    assert found.headers == headers


def test_metadata_that_fits_is_kept_as_it_is() -> None:
    plain = {"colour": "dark green", "_2": "x"}
    assert metadata_of(ObjectAttributes(user_metadata=plain)) == plain
    mixed = {"a-b": "1", "ü": "2", "c": "ü", "d": "", "weirx_q": "3"}
    assert set(metadata_of(ObjectAttributes(user_metadata=mixed))).isdisjoint(mixed)


def test_metadata_of_others_never_fails() -> None:
    said = {"weirx__zz": "v", "weirb__ff": "no base64", "weirh_x": "?", "Plain": "v"}
    assert attributes_of({}, said).user_metadata["plain"] == "v"


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://mine.blob.core.windows.net", "mine"),
        ("https://mine.blob.core.windows.net/", "mine"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
        ("", ""),
    ],
)
def test_the_account_of_an_endpoint(endpoint: str, name: str) -> None:
    assert _name_in(endpoint) == name


# --- uploads ---

RICH = ObjectAttributes(headers={"content-type": "a/b"}, user_metadata={"ü": "1"})


def test_an_upload_id_holds_the_attributes() -> None:
    upload_id = new_upload_id(RICH)
    assert upload_id != new_upload_id(RICH)
    found = attributes_of_upload(upload_id)
    assert (found.headers, found.user_metadata) == (RICH.headers, RICH.user_metadata)
    for wrong in (
        "",
        "x",
        "0123456789abcdef",
        "0123456789abcdef.AAAA",
        upload_id[:-8] + "AAAAAAAA",
    ):
        with pytest.raises(NoSuchUpload):
            attributes_of_upload(wrong)


def staged(upload_id: str, number: int, size_bytes: int) -> tuple[BackendPart, list[str]]:
    blocks = new_blocks(upload_id, number, size_bytes)
    return BackendPart(number, token_of(blocks), size_bytes), [str(block) for block in blocks]


def test_blocks_of_parts() -> None:
    upload_id, other = new_upload_id(RICH), new_upload_id(RICH)
    one, small = staged(upload_id, 1, 5)
    two, large = staged(upload_id, 2, 2 * MAX_BLOCK_BYTES + 1)
    none, nothing = staged(upload_id, 3, 0)
    assert (len(small), len(large), len(nothing)) == (1, 3, 0)
    assert len({len(block) for block in small + large}) == 1
    foreign = staged(other, 1, 5)[1]
    there = [*large, *foreign, "somebody else's", *small]
    assert chosen_blocks(upload_id, [one, two, none], there) == small + large
    with pytest.raises(NoSuchUpload):
        chosen_blocks(upload_id, [one], foreign)
    with pytest.raises(InvalidPart):
        chosen_blocks(upload_id, [one, two], small)
    with pytest.raises(InvalidPart):
        chosen_blocks(upload_id, [one, two], small + large[:2])


def test_the_last_whole_try_of_a_part_counts() -> None:
    upload_id = new_upload_id(RICH)
    old, first = staged(upload_id, 1, 5)
    new, second = staged(upload_id, 1, 6)
    broken = staged(upload_id, 1, 2 * MAX_BLOCK_BYTES)[1][:1]
    there = first + second + broken
    assert chosen_blocks(upload_id, [new], there) == second
    with pytest.raises(InvalidPart):
        chosen_blocks(upload_id, [old], there)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "BlobNotFound", NoSuchKey),
        (404, "ContainerNotFound", NoSuchBucket),
        (409, "ContainerBeingDeleted", NoSuchBucket),
        (400, "InvalidResourceName", NoSuchBucket),
        (404, "", NoSuchKey),
        (403, "AuthenticationFailed", BackendDenied),
        (401, "", BackendDenied),
        (412, "LeaseIdMissing", BackendDenied),
        (412, "ConditionNotMet", PreconditionFailed),
        (409, "BlobAlreadyExists", PreconditionFailed),
        (503, "ServerBusy", BackendBusy),
        (429, "", BackendBusy),
        (500, "OperationTimedOut", BackendDown),
        (400, "InvalidBlockList", BackendDown),
        (409, "BlobArchived", Unsupported),
    ],
)
def test_errors(status: int, code: str, error: type[StoreError]) -> None:
    headers = {"x-ms-error-code": code} if code else {}
    assert type(error_of(status, headers, "b", "k")) is error


def test_how_long_to_leave_it_alone() -> None:
    assert error_of(503, {"retry-after": "7"}, "b").retry_after_s == 7
    assert error_of(503, {"retry-after": "99999"}, "b").retry_after_s == 60
    assert error_of(503, {"retry-after": "soon"}, "b").retry_after_s == 1


class _Pages:
    """A container whose listing says `pages`, again and again."""

    def __init__(self, tokens: Iterator[str]) -> None:
        self._tokens = tokens
        self.asked = 0

    def list_blobs(self, **_: object) -> _Pages:
        return self

    def get_container_client(self, _: str) -> _Pages:
        return self

    def by_page(self, _: str | None) -> _Pages:
        return self

    @property
    def continuation_token(self) -> str:
        return next(self._tokens)

    async def __anext__(self) -> AsyncIterator[object]:
        self.asked += 1

        async def nothing() -> AsyncIterator[object]:
            for each in list[object]():
                yield each

        return nothing()


@pytest.mark.parametrize("tokens", [itertools.repeat("t"), map(str, itertools.count())])
def test_listings_of_nothing_without_end(tokens: Iterator[str]) -> None:
    pages = _Pages(tokens)
    with pytest.raises(BackendBroken):
        asyncio.run(AzureListing().page(cast(Any, pages), "b", ListQuery()))
    assert pages.asked <= 1000


def test_numbers_and_times_without_bounds() -> None:
    endless = "9" * 5000
    assert error_of(503, {"retry-after": endless}, "b", "k").fields["retry_after_s"] == 1
    assert isinstance(error_of(416, {"content-range": f"bytes */{endless}"}, "b", "k"), StoreError)
    assert http_time_ns("Fri, 31 Dec 9999 23:59:59 GMT") < 2**63
    assert http_time_ns("Fri, 99 Dec 99999 23:59:59 GMT") == 0
    assert http_time_ns("Mon, 01 Jan 1900 00:00:00 GMT") == 0
