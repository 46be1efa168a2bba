"""Encryption headers, the documents of default encryption, and what is refused with which error."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import pytest

from backends.memory import MemoryStore
from backends.memory_keys import MemoryKeyService
from s3api.call import Settings
from tests.unit.s3api.front import Front

SSE = "x-amz-server-side-encryption"
KMS_ID = f"{SSE}-aws-kms-key-id"
AES = {SSE: "AES256"}
KMS = {SSE: "aws:kms", KMS_ID: "key-1"}


class KeyedFront(Front):
    """A front over a store that has the keys key-1, which is the default, and key-2."""

    def new_store(self) -> MemoryStore:
        keys = MemoryKeyService("key-1", "key-2")
        return MemoryStore(self.clock, min_part_bytes=5, keys=keys)


def customer(key: bytes = b"k" * 32, *, copy: bool = False) -> dict[str, str]:
    prefix = "x-amz-copy-source-server-side" if copy else "x-amz-server-side"
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    return {
        f"{prefix}-encryption-customer-algorithm": "AES256",
        f"{prefix}-encryption-customer-key": base64.b64encode(key).decode(),
        f"{prefix}-encryption-customer-key-md5": base64.b64encode(digest).decode(),
    }


MINE = customer()
OTHER = customer(b"o" * 32)


def only_sse(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "encryption" in name}


@pytest.fixture
def front() -> Front:
    made = KeyedFront()
    made("PUT", "/bucket")
    return made


def configure(front: Front, rule: str) -> None:
    body = f"<ServerSideEncryptionConfiguration><Rule>{rule}</Rule></ServerSideEncryptionConfiguration>"
    assert front("PUT", "/bucket?encryption", body.encode()).status == 200


def by_default(algorithm: str, key_id: str = "", more: str = "") -> str:
    key = f"<KMSMasterKeyID>{key_id}</KMSMasterKeyID>" if key_id else ""
    return (
        f"<ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm>{key}"
        f"</ApplyServerSideEncryptionByDefault>{more}"
    )


# --- what answers say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [AES, KMS, {**KMS, f"{SSE}-bucket-key-enabled": "true"}])
def test_managed_keys_are_told_by_writes_and_reads(front: Front, asked: dict[str, str]) -> None:
    put = front("PUT", "/bucket/key", b"data", asked)
    assert (put.status, only_sse(put.headers)) == (200, asked)
    for method in ("GET", "HEAD"):
        assert only_sse(front(method, "/bucket/key").headers) == asked
    assert front("GET", "/bucket/key").body == b"data"


def test_customers_keys_are_told_by_their_md5_alone(front: Front) -> None:
    told = {name: value for name, value in MINE.items() if not name.endswith("-key")}
    put = front("PUT", "/bucket/key", b"data", MINE)
    assert (put.status, only_sse(put.headers)) == (200, told)
    for method in ("GET", "HEAD"):
        answer = front(method, "/bucket/key", headers=MINE)
        assert (answer.status, only_sse(answer.headers)) == (200, told)


def test_the_context_is_told_to_the_writer_only(front: Front) -> None:
    context = base64.b64encode(b'{"project": "weir"}').decode()
    asked = {**KMS, f"{SSE}-context": context}
    assert only_sse(front("PUT", "/bucket/key", b"data", asked).headers) == asked
    assert only_sse(front("GET", "/bucket/key").headers) == KMS


def test_kms_without_a_key_id_uses_the_default_key(front: Front) -> None:
    answer = front("PUT", "/bucket/key", b"data", {SSE: "aws:kms"})
    assert only_sse(answer.headers) == KMS


def test_the_etag_is_the_md5_for_sse_s3_only(front: Front) -> None:
    md5 = f'"{hashlib.md5(b"data", usedforsecurity=False).hexdigest()}"'
    assert front("PUT", "/bucket/key", b"data", AES).headers["etag"] == md5
    assert front("PUT", "/bucket/key", b"data", KMS).headers["etag"] != md5
    assert front("PUT", "/bucket/key", b"data", MINE).headers["etag"] != md5


# --- refusals ----------------------------------------------------------------------------------------------------

_KEY = f"{SSE}-customer-key"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({SSE: "AES192"}, "InvalidArgument"),
        ({SSE: ""}, "InvalidArgument"),
        ({SSE: "aws:kms:dsse"}, "NotImplemented"),
        ({**AES, KMS_ID: "key-1"}, "InvalidArgument"),
        ({KMS_ID: "key-1"}, "InvalidArgument"),
        ({f"{SSE}-context": "e30="}, "InvalidArgument"),
        ({**KMS, f"{SSE}-context": "{}"}, "InvalidArgument"),
        ({**KMS, f"{SSE}-context": base64.b64encode(b"[1]").decode()}, "InvalidArgument"),
        ({**KMS, f"{SSE}-context": base64.b64encode(b'{"a":1}').decode()}, "InvalidArgument"),
        ({**KMS, f"{SSE}-context": base64.b64encode(b"\xff").decode()}, "InvalidArgument"),
        ({**KMS, f"{SSE}-context": base64.b64encode(b"[" * 5000).decode()}, "InvalidArgument"),
        ({**KMS, f"{SSE}-bucket-key-enabled": "maybe"}, "InvalidArgument"),
        ({**KMS, KMS_ID: "absent"}, "KMS.NotFoundException"),
        ({**KMS, KMS_ID: "weir/s3"}, "KMS.NotFoundException"),
        ({**KMS, KMS_ID: "x" * 3000}, "InvalidArgument"),
        ({**KMS, KMS_ID: "\xe9"}, "InvalidArgument"),
        ({**AES, **MINE}, "InvalidArgument"),
        ({**KMS, **MINE}, "InvalidArgument"),
        ({**MINE, f"{SSE}-customer-algorithm": "AES128"}, "InvalidEncryptionAlgorithmError"),
        ({**MINE, f"{SSE}-customer-algorithm": ""}, "InvalidArgument"),
        ({**MINE, _KEY: ""}, "InvalidArgument"),
        ({**MINE, _KEY: "not base64!"}, "InvalidArgument"),
        ({**MINE, f"{_KEY}-md5": ""}, "InvalidArgument"),
        ({**MINE, f"{_KEY}-md5": OTHER[f"{_KEY}-md5"]}, "InvalidArgument"),
        (customer(b"k" * 31), "InvalidArgument"),
        ({f"{SSE}-customer-algorithm": "AES256"}, "InvalidArgument"),
        ({_KEY: MINE[_KEY]}, "InvalidArgument"),
    ],
)
def test_writes_refused(front: Front, headers: dict[str, str], code: str) -> None:
    for method, path in (("PUT", "/bucket/key"), ("POST", "/bucket/key?uploads")):
        answer = front(method, path, b"", headers)
        assert answer.code == code
        assert MINE[_KEY].encode() not in answer.body
    assert front("GET", "/bucket/key").status == 404


@pytest.mark.parametrize("name", [SSE, KMS_ID, f"{SSE}-context", f"{SSE}-bucket-key-enabled"])
def test_reads_take_no_headers_of_writes(front: Front, name: str) -> None:
    front("PUT", "/bucket/key", b"data", KMS)
    assert front("GET", "/bucket/key", headers={name: "AES256"}).code == "InvalidArgument"
    assert front("HEAD", "/bucket/key", headers={name: "AES256"}).status == 400


@pytest.mark.parametrize("headers", [{}, OTHER])
def test_reads_without_the_right_key(front: Front, headers: dict[str, str]) -> None:
    front("PUT", "/bucket/key", b"data", MINE)
    assert front("GET", "/bucket/key", headers=headers).code == "InvalidRequest"
    assert front("HEAD", "/bucket/key", headers=headers).status == 400
    attributes = {"x-amz-object-attributes": "ETag", **headers}
    assert front("GET", "/bucket/key?attributes", headers=attributes).code == "InvalidRequest"
    attributes.update(MINE)
    assert front("GET", "/bucket/key?attributes", headers=attributes).status == 200


@pytest.mark.parametrize("stored", [{}, AES, KMS])
def test_reads_with_a_key_that_is_not_needed(front: Front, stored: dict[str, str]) -> None:
    front("PUT", "/bucket/key", b"data", stored)
    assert front("GET", "/bucket/key", headers=MINE).code == "InvalidRequest"
    assert front("HEAD", "/bucket/key", headers=MINE).status == 400


def test_customers_keys_over_plain_http_are_refused_where_tls_is_required() -> None:
    front = KeyedFront(Settings(requires_tls_for_customer_keys=True))
    front("PUT", "/bucket")
    answer = front("PUT", "/bucket/key", b"data", MINE)
    assert answer.code == "InvalidRequest"
    assert "secure connection" in (answer.text("Message") or "")
    assert front("PUT", "/bucket/key", b"data", AES).status == 200


# --- copies ------------------------------------------------------------------------------------------------------


def copy(front: Front, headers: dict[str, str], target: str = "/bucket/copy") -> dict[str, str]:
    answer = front("PUT", target, headers={"x-amz-copy-source": "bucket/key", **headers})
    return {"code": answer.code or "", **only_sse(answer.headers)}


def test_copies_are_encrypted_as_they_ask(front: Front) -> None:
    front("PUT", "/bucket/key", b"data", MINE)
    assert copy(front, {})["code"] == "InvalidRequest"
    assert copy(front, customer(b"o" * 32, copy=True))["code"] == "InvalidRequest"
    source = customer(copy=True)
    assert copy(front, source) == {"code": ""}
    assert copy(front, {**source, **AES}) == {"code": "", **AES}
    told = copy(front, {**source, **OTHER})
    assert told[f"{_KEY}-md5"] == OTHER[f"{_KEY}-md5"]
    assert front("GET", "/bucket/copy", headers=OTHER).body == b"data"


def test_a_copy_onto_itself_may_change_the_encryption_alone(front: Front) -> None:
    front("PUT", "/bucket/key", b"data")
    assert copy(front, {}, "/bucket/key")["code"] == "InvalidRequest"
    assert copy(front, KMS, "/bucket/key") == {"code": "", **KMS}
    replaced = copy(front, {"x-amz-metadata-directive": "REPLACE"}, "/bucket/key")
    assert replaced["code"] == ""
    assert only_sse(front("HEAD", "/bucket/key").headers) == KMS


# --- uploads -----------------------------------------------------------------------------------------------------


def begin(front: Front, headers: dict[str, str]) -> str:
    answer = front("POST", "/bucket/key?uploads", headers=headers)
    assert answer.status == 200
    return answer.text("UploadId") or ""


def completion(etag: str) -> bytes:
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    return f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()


def test_parts_say_how_their_upload_is_encrypted(front: Front) -> None:
    upload = begin(front, KMS)
    part = front("PUT", f"/bucket/key?partNumber=1&uploadId={upload}", b"data", {SSE: "AES256"})
    assert only_sse(part.headers) == KMS
    whole = front("POST", f"/bucket/key?uploadId={upload}", completion(part.headers["etag"]))
    assert (whole.status, only_sse(whole.headers)) == (200, KMS)
    assert only_sse(front("GET", "/bucket/key").headers) == KMS


def test_parts_and_completion_need_the_key_of_their_upload(front: Front) -> None:
    upload = begin(front, MINE)
    path = f"/bucket/key?partNumber=1&uploadId={upload}"
    end = f"/bucket/key?uploadId={upload}"
    for wrong in ({}, OTHER):
        assert front("PUT", path, b"data", wrong).code == "InvalidRequest"
    part = front("PUT", path, b"data", MINE)
    assert part.status == 200
    for wrong in ({}, OTHER):
        assert front("POST", end, completion(part.headers["etag"]), wrong).code == "InvalidRequest"
    assert front("POST", end, completion(part.headers["etag"]), MINE).status == 200
    assert front("GET", "/bucket/key", headers=MINE).body == b"data"


# --- default encryption ------------------------------------------------------------------------------------------


def test_default_encryption_from_its_making_to_its_end(front: Front) -> None:
    absent = front("GET", "/bucket?encryption")
    assert (absent.status, absent.code) == (404, "ServerSideEncryptionConfigurationNotFoundError")
    configure(front, by_default("aws:kms", "key-2", "<BucketKeyEnabled>true</BucketKeyEnabled>"))
    told = front("GET", "/bucket?encryption")
    path = "Rule/ApplyServerSideEncryptionByDefault"
    assert told.text(f"{path}/SSEAlgorithm") == "aws:kms"
    assert told.text(f"{path}/KMSMasterKeyID") == "key-2"
    assert told.text("Rule/BucketKeyEnabled") == "true"
    assert front("DELETE", "/bucket?encryption").status == 204
    assert front("GET", "/bucket?encryption").status == 404
    assert front("DELETE", "/bucket?encryption").status == 204


def test_default_encryption_is_for_what_asks_for_nothing(front: Front) -> None:
    front("PUT", "/bucket/before", b"data")
    configure(front, by_default("aws:kms", "key-2", "<BucketKeyEnabled>true</BucketKeyEnabled>"))
    default = {SSE: "aws:kms", KMS_ID: "key-2", f"{SSE}-bucket-key-enabled": "true"}
    assert only_sse(front("PUT", "/bucket/key", b"data").headers) == default
    assert only_sse(front("POST", "/bucket/key?uploads").headers) == default
    assert copy(front, {}) == {"code": "", **default}
    assert only_sse(front("PUT", "/bucket/key", b"data", AES).headers) == AES
    assert front("PUT", "/bucket/key", b"data", MINE).status == 200
    assert only_sse(front("GET", "/bucket/before").headers) == {}
    without = {f"{SSE}-bucket-key-enabled": "false"}
    del default[f"{SSE}-bucket-key-enabled"]
    assert only_sse(front("PUT", "/bucket/key", b"data", without).headers) == default


def test_a_bucket_can_block_customers_keys(front: Front) -> None:
    blocked = (
        "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
    )
    configure(front, by_default("AES256", more=blocked))
    assert front("GET", "/bucket?encryption").text(".//EncryptionType") == "SSE-C"
    assert front("PUT", "/bucket/key", b"data", MINE).status == 403
    assert front("PUT", "/bucket/key", b"data").status == 200


def test_new_buckets_may_begin_with_default_encryption() -> None:
    front = KeyedFront(Settings(encrypts_new_buckets=True))
    front("PUT", "/bucket")
    assert front("GET", "/bucket?encryption").text(".//SSEAlgorithm") == "AES256"
    assert only_sse(front("PUT", "/bucket/key", b"data").headers) == AES


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (by_default("AES192"), "MalformedXML"),
        (by_default(""), "MalformedXML"),
        (by_default("aws:kms:dsse"), "NotImplemented"),
        (by_default("AES256", "key-1"), "InvalidArgument"),
        (by_default("aws:kms", "\u00e9"), "InvalidArgument"),
        (by_default("AES256", more="<BucketKeyEnabled>yes</BucketKeyEnabled>"), "MalformedXML"),
        (by_default("AES256") + by_default("AES256"), "MalformedXML"),
        (by_default("AES256") + "</Rule><Rule>" + by_default("AES256"), "MalformedXML"),
        (
            "<BlockedEncryptionTypes><EncryptionType>SSE-S3</EncryptionType></BlockedEncryptionTypes>",
            "MalformedXML",
        ),
    ],
)
def test_default_encryption_refused(front: Front, rule: str, code: str) -> None:
    body = f"<ServerSideEncryptionConfiguration><Rule>{rule}</Rule></ServerSideEncryptionConfiguration>"
    assert front("PUT", "/bucket?encryption", body.encode()).code == code
    assert front("GET", "/bucket?encryption").status == 404


def test_only_the_owner_configures_encryption(front: Front) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert front(method, "/bucket?encryption", b"", user="bob").status == 403
