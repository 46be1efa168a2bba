"""Listings: elements, paging, encoding, and bad parameters."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.unit.s3api.front import NOW_ISO, Front

KEYS = ["a b", "a/1", "a/2", "b", "c<&\"'>", "d\x01e"]
VISIBLE = KEYS[:-1]


@pytest.fixture
def filled(front: Front) -> Front:
    """The front with keys in "bucket" that XML must escape."""
    for key in VISIBLE:
        front("PUT", f"/bucket/{quote(key)}", key.encode())
    return front


def test_list_objects(filled: Front) -> None:
    answer = filled("GET", "/bucket")
    assert answer.xml.tag == "ListBucketResult"
    assert [node.tag for node in answer.xml][:5] == [
        "Name",
        "Prefix",
        "Marker",
        "MaxKeys",
        "IsTruncated",
    ]
    assert answer.texts("Contents/Key") == VISIBLE
    first = answer.xml.find("Contents")
    assert first is not None
    assert [node.tag for node in first] == [
        "Key",
        "LastModified",
        "ETag",
        "Size",
        "Owner",
        "StorageClass",
    ]
    assert answer.text("Contents/LastModified") == NOW_ISO
    assert answer.text("Contents/Size") == "3"
    assert answer.text("Contents/Owner/DisplayName") == "Alice <3"
    etag = answer.text("Contents/ETag")
    assert etag == filled("HEAD", "/bucket/a%20b").headers["etag"]


def test_list_objects_pages_by_marker(filled: Front) -> None:
    answer = filled("GET", "/bucket?max-keys=2")
    assert (answer.text("IsTruncated"), answer.text("NextMarker")) == ("true", None)
    answer = filled("GET", "/bucket?max-keys=2&marker=a/1")
    assert answer.texts("Contents/Key") == ["a/2", "b"]
    assert answer.text("Marker") == "a/1"


def test_list_objects_next_marker_with_delimiter(filled: Front) -> None:
    answer = filled("GET", "/bucket?delimiter=/&max-keys=2")
    assert answer.texts("Contents/Key") == ["a b"]
    assert answer.texts("CommonPrefixes/Prefix") == ["a/"]
    assert answer.text("NextMarker") == "a/"
    answer = filled("GET", "/bucket?delimiter=/&max-keys=2&marker=a/")
    assert answer.texts("Contents/Key") == VISIBLE[3:]
    assert (answer.text("IsTruncated"), answer.text("NextMarker")) == ("false", None)


def test_list_objects_v2(filled: Front) -> None:
    answer = filled("GET", "/bucket?list-type=2&delimiter=/&prefix=a&start-after=a")
    assert answer.texts("Contents/Key") == ["a b"]
    assert answer.texts("CommonPrefixes/Prefix") == ["a/"]
    assert answer.text("KeyCount") == "2"
    assert answer.text("StartAfter") == "a"
    assert answer.text("Delimiter") == "/"
    assert answer.text("Contents/Owner") is None
    assert answer.text("NextContinuationToken") is None


def test_list_objects_v2_fetch_owner(filled: Front) -> None:
    answer = filled("GET", "/bucket?list-type=2&fetch-owner=true")
    assert answer.text("Contents/Owner/ID") == "alice-id"


def test_list_objects_v2_pages_by_token(filled: Front) -> None:
    found: list[str] = []
    query = "list-type=2&max-keys=2&start-after=a"
    token: str | None = ""
    while token is not None:
        answer = filled(
            "GET", f"/bucket?{query}" + (f"&continuation-token={token}" if token else "")
        )
        if token:
            assert answer.text("ContinuationToken") == token
        found += answer.texts("Contents/Key")
        token = answer.text("NextContinuationToken")
        assert (answer.text("IsTruncated") == "true") == (token is not None)
    assert found == VISIBLE


def test_list_objects_v2_empty_token_is_none(filled: Front) -> None:
    answer = filled("GET", "/bucket?list-type=2&continuation-token=")
    assert answer.texts("Contents/Key") == VISIBLE
    assert answer.text("ContinuationToken") == ""


def test_encoding_type_url(front: Front) -> None:
    for key in KEYS:
        front("PUT", f"/bucket/{quote(key)}", b"")
    query = "encoding-type=url&prefix=&delimiter=%2F"
    for listing in ("", "list-type=2&", "versions&"):
        answer = front("GET", f"/bucket?{listing}{query}")
        tag = "Version" if "versions" in listing else "Contents"
        assert answer.text("EncodingType") == "url"
        assert answer.texts(f"{tag}/Key") == ["a%20b", "b", "c%3C%26%22%27%3E", "d%01e"]
        assert answer.texts("CommonPrefixes/Prefix") == ["a/"]


def test_prefix_of_list_objects_is_not_encoded(front: Front) -> None:
    answer = front("GET", "/bucket?encoding-type=url&prefix=%0Aa%26")
    assert answer.text("Prefix") == "\na&"
    answer = front("GET", "/bucket?encoding-type=url&prefix=%01")
    assert answer.text("Prefix") == "\ufffd"


def test_control_characters_become_references(front: Front) -> None:
    front("PUT", "/bucket/d%01e%0D", b"")
    assert b"<Key>d&#x1;e&#13;</Key>" in front("GET", "/bucket").body


@pytest.mark.parametrize("listing", ["", "list-type=2&", "versions&"])
def test_max_keys(filled: Front, listing: str) -> None:
    none = filled("GET", f"/bucket?{listing}max-keys=0")
    assert (none.text("IsTruncated"), none.text("MaxKeys")) == ("false", "0")
    assert none.text("Contents") is None
    assert filled("GET", f"/bucket?{listing}max-keys=5000").text("MaxKeys") == "1000"
    for bad in ("x", "-1", "", "1.5", "99999999999"):
        answer = filled("GET", f"/bucket?{listing}max-keys={bad}")
        assert (answer.status, answer.code) == (400, "InvalidArgument")
        assert answer.text("ArgumentName") == "max-keys"


@pytest.mark.parametrize(
    "query",
    [
        "encoding-type=base64",
        "list-type=2&continuation-token=nonsense",
        "versions&version-id-marker=null",
        "versions&key-marker=a&version-id-marker=",
    ],
)
def test_bad_parameters(filled: Front, query: str) -> None:
    answer = filled("GET", f"/bucket?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_list_objects_missing_bucket(front: Front) -> None:
    assert front("GET", "/nothing").code == "NoSuchBucket"
    assert front("GET", "/bucket", user="bob").code == "AccessDenied"


def test_list_object_versions(filled: Front) -> None:
    answer = filled("GET", "/bucket?versions&delimiter=/")
    assert answer.xml.tag == "ListVersionsResult"
    assert answer.texts("Version/Key") == ["a b", "b", VISIBLE[-1]]
    assert set(answer.texts("Version/VersionId")) == {"null"}
    assert set(answer.texts("Version/IsLatest")) == {"true"}
    assert answer.texts("CommonPrefixes/Prefix") == ["a/"]
    assert answer.text("Version/Owner/ID") == "alice-id"


def test_list_object_versions_pages(filled: Front) -> None:
    found: list[str] = []
    query = "versions&max-keys=1&delimiter=/&encoding-type=url"
    markers = ""
    while True:
        answer = filled("GET", f"/bucket?{query}{markers}")
        found += answer.texts("Version/Key") + answer.texts("CommonPrefixes/Prefix")
        if answer.text("IsTruncated") == "false":
            break
        markers = f"&key-marker={answer.text('NextKeyMarker')}"
        version = answer.text("NextVersionIdMarker")
        assert bool(version) == bool(answer.texts("Version"))
        markers += f"&version-id-marker={version}" if version else ""
    assert found == [quote(name) for name in ("a b", "a/", "b", VISIBLE[-1])]


def test_checksum_kind_is_listed(front: Front) -> None:
    front("PUT", "/bucket/key", b"", {"x-amz-checksum-crc32": "AAAAAA=="})
    answer = front("GET", "/bucket?list-type=2")
    assert answer.text("Contents/ChecksumAlgorithm") == "CRC32"
    assert answer.text("Contents/ChecksumType") == "FULL_OBJECT"
