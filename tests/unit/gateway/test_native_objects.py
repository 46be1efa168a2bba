"""What native requests for objects say in headers, names and paths."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.encryption import EncryptionMode, ObjectEncryption
from core.errors import EntityTooLarge, InvalidArgument, InvalidKey
from core.names import BucketName, BucketRef, ObjectKey
from core.types import (
    Bucket,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    ChunkLayout,
    ObjectAttributes,
    ObjectInfo,
    ObjectPart,
    User,
)
from gateway.native.easy_urls import is_easy, parse_easy
from gateway.native.object_headers import checksum_headers, chunk_headers, head_headers
from gateway.native.operations.object_writes import parse_uname
from gateway.native.writing import check_metadata_size, checked_metadata

MD5 = "0123456789abcdef" * 2
CRC = Checksum(ChecksumAlgorithm.CRC32C, b"\x01\x02\x03\x04")
ROOT = User("root-id", "root", "root")  # type: ignore[arg-type]
BUCKET = Bucket(BucketRef(BucketName("b")), 1, ROOT, 0)


def info(
    etag: str = MD5,
    checksum: Checksum | None = None,
    mode: EncryptionMode | None = None,
    parts: tuple[ObjectPart, ...] = (),
) -> ObjectInfo:
    encryption = None if mode is None else ObjectEncryption(mode, b"wrapped")
    return ObjectInfo(
        ObjectKey("k"),
        5,
        etag,
        10**18,
        ObjectAttributes(),
        checksum,
        parts=parts,
        encryption=encryption,
    )


@pytest.mark.parametrize(
    ("object_info", "expected"),
    [
        (info(), (b"md5", MD5.encode())),
        (info(checksum=CRC), (b"md5", MD5.encode())),
        (info(mode=EncryptionMode.S3), (b"md5", MD5.encode())),
        (info(mode=EncryptionMode.KMS), None),
        (info(mode=EncryptionMode.KMS, checksum=CRC), (b"crc32c", b"01020304")),
        (info(f"{MD5}-3", CRC), (b"crc32c", b"01020304")),
        (info(f"{MD5}-3"), None),
        (
            info(
                f"{MD5}-3", Checksum(ChecksumAlgorithm.CRC32C, b"1234", ChecksumType.COMPOSITE, 3)
            ),
            None,
        ),
    ],
)
def test_checksum_of_the_whole(
    object_info: ObjectInfo, expected: tuple[bytes, bytes] | None
) -> None:
    headers = dict(checksum_headers(object_info))
    if expected is None:
        assert not headers
    else:
        assert headers == {b"ais-checksum-type": expected[0], b"ais-checksum-value": expected[1]}


def test_chunks() -> None:
    assert not chunk_headers(info())
    assert dict(chunk_headers(replace(info(), chunks=ChunkLayout(2, 3)))) == {
        b"ais-chunks-count": b"2",
        b"ais-chunks-max-chunk-size": b"3",
    }


def test_properties_of_a_head() -> None:
    names = {name for name, _ in head_headers(BUCKET, info(), "name,size", "t1")}
    assert names == {b"content-length", b"ais-present", b"ais-name"}
    assert (b"ais-version", b"1") in head_headers(BUCKET, info(), " version , etag", "t1")
    assert (b"ais-location", b"t[t1]") in head_headers(BUCKET, info(), None, "t1")
    with pytest.raises(InvalidArgument):
        head_headers(BUCKET, info(), "version,nonesuch", "t1")


@pytest.mark.parametrize(
    ("text", "name", "provider", "namespace", "key"),
    [
        ("ais/@#/b/k", "b", "ais", "", "k"),
        ("ais/@#/b/dir/ä%20?", "b", "ais", "", "dir/ä%20?"),
        ("s3/@#/b/k", "b", "aws", "", "k"),
        ("ais/@uuid#ns/b/k", "b", "ais", "@uuid#ns", "k"),
    ],
)
def test_names_of_objects(text: str, name: str, provider: str, namespace: str, key: str) -> None:
    assert parse_uname(text) == (BucketRef(BucketName(name), provider, namespace), key)


@pytest.mark.parametrize("text", ["", "b/k", "ais/b/k", "ais/@#/b", "ais/@#/b/", "ais/@#//k"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises((InvalidArgument, InvalidKey)):
        parse_uname(text)


@pytest.mark.parametrize(
    ("path", "resource", "names", "provider"),
    [
        (b"/ais", "buckets", [], "ais"),
        (b"/gs/", "buckets", [], "gcp"),
        (b"/ais/b", "buckets", [b"b"], "ais"),
        (b"/ais/b/", "buckets", [b"b"], "ais"),
        (b"/az/b/dir%2Fk/%2525", "objects", [b"b", b"dir/k/%25"], "azure"),
        (b"/oc/b//k", "objects", [b"b", b"/k"], "oci"),
    ],
)
def test_easy_urls(path: bytes, resource: str, names: list[bytes], provider: str) -> None:
    assert is_easy(path)
    found = parse_easy(path)
    assert (found.resource, found.names, found.provider) == (resource, names, provider)
    message = found.message({"prefix": "p", "other": "x"})
    assert message.action == ("list" if resource == "buckets" else "")


@pytest.mark.parametrize("path", [b"/", b"/aisle/k", b"/a", b"/s3/b/k", b"/bucket/ais/k"])
def test_paths_that_are_not_easy(path: bytes) -> None:
    assert not is_easy(path)


def test_metadata() -> None:
    assert checked_metadata([("a", "1"), ("B-c", "")]) == {"a": "1", "B-c": ""}
    for pair in (("a b", ""), ("", "x"), ("a=b", ""), ("a", "\r"), ("a", "\x7f"), ("é", "")):
        with pytest.raises(InvalidArgument):
            checked_metadata([pair])
    check_metadata_size({"a" * 48: "b" * 2000})
    with pytest.raises(EntityTooLarge):
        check_metadata_size({"a" * 49: "b" * 2000})
