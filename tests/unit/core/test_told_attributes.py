"""What of a backend's description of an object clients may be told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from core.names import ObjectKey
from core.told_attributes import sayable
from core.types import ObjectAttributes, ObjectInfo, RemoteFacts

KEY = ObjectKey("k")


def told(
    headers: Mapping[str, str] = MappingProxyType({}),
    user_metadata: Mapping[str, str] = MappingProxyType({}),
) -> ObjectAttributes:
    said = ObjectAttributes(headers=headers, user_metadata=user_metadata)
    return sayable(ObjectInfo(KEY, 1, "e", 1, said)).attributes


def test_what_clients_may_write_is_told() -> None:
    headers = {"content-type": "a/b", "cache-control": "no-store", "content-disposition": "\xe9"}
    metadata = {"mtime": "1", "x.y-z": "=?UTF-8?B?w6k=?="}
    assert told(headers=headers, user_metadata=metadata) == ObjectAttributes(headers, metadata)


@pytest.mark.parametrize(
    "name", ["content-length", "transfer-encoding", "set-cookie", "x\r\ny", "", "location", "etag"]
)
def test_headers_that_are_not_an_objects_are_left_out(name: str) -> None:
    assert told(headers={name: "5", "expires": "0"}).headers == {"expires": "0"}


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "\x00", "x" * 10_000])
def test_values_that_no_header_can_have_are_left_out(value: str) -> None:
    found = told(headers={"content-type": value}, user_metadata={"a": value, "b": "1"})
    assert found == ObjectAttributes({}, {"b": "1"})


@pytest.mark.parametrize("name", ["a b", "a:b", "a\r\nb", "\xe9", "", "x" * 300])
def test_metadata_whose_name_is_none_is_left_out(name: str) -> None:
    assert told(user_metadata={name: "1", "b": "1"}).user_metadata == {"b": "1"}


def test_other_letters_stay_bytes() -> None:
    said = told(headers={"content-disposition": 'attachment; filename="\u65e5"'}).headers
    assert said["content-disposition"].encode("latin-1").decode() == 'attachment; filename="\u65e5"'


def test_marks_and_times() -> None:
    facts = RemoteFacts("azure", "e\r\n", version_id="v\n1")
    info = ObjectInfo(KEY, 1, "e\r\nx: y", -5, ObjectAttributes(), remote=facts)
    said = sayable(info)
    assert (said.etag, said.modified_ns) == ("ex: y", 0)
    assert said.remote is not None
    # By this the backend itself is asked.
    assert (said.remote.version_id, said.remote.etag) == ("v1", "e\r\n")
    assert sayable(ObjectInfo(KEY, 1, "e", 2**80, ObjectAttributes())).modified_ns < 2**63
