"""Signature version 4 against AWS's published examples and botocore's signers."""

from __future__ import annotations

import hashlib
import time
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from s3api.auth.canonical import canonical_paths, canonical_query
from s3api.auth.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    ExpiresOutOfRange,
    InvalidAccessKeyId,
    InvalidAuthArgument,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from s3api.auth.sigv4 import sign, signing_key
from s3api.call import Request, Settings
from s3api.protocol_errors import InvalidRequest
from tests.unit.s3api.auth.support import (
    ACCESS_KEY,
    ALICE,
    BOTO_CREDENTIALS,
    EXAMPLE_NS,
    SECRET_KEY,
    Arriving,
    authenticate,
    request,
)

BUCKET_URL = "https://examplebucket.s3.amazonaws.com"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MINUTE_NS = 60 * 1_000_000_000


def example(
    method: str, target: str, signature: str, headers: dict[str, str], *, names: str
) -> Request:
    """A request of AWS's examples."""
    return request(
        method,
        BUCKET_URL + target,
        {
            "x-amz-date": "20130524T000000Z",
            "x-amz-content-sha256": EMPTY,
            **headers,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,"
            f"SignedHeaders={names}, Signature={signature}",
        },
    )


def example_get(**headers: str) -> Request:
    return example(
        "GET",
        "/test.txt",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        {"Range": "bytes=0-9", **headers},
        names="host;range;x-amz-content-sha256;x-amz-date",
    )


def test_aws_example_get() -> None:
    assert authenticate(example_get()).identity.user == ALICE


def test_aws_example_put() -> None:
    asked = example(
        "PUT",
        "/test%24file.text",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        {
            "Date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        },
        names="date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
    )
    assert authenticate(asked).identity.user == ALICE


@pytest.mark.parametrize(
    ("target", "signature"),
    [
        ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "/?max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_aws_example_queries(target: str, signature: str) -> None:
    asked = example("GET", target, signature, {}, names="host;x-amz-content-sha256;x-amz-date")
    assert authenticate(asked).identity.user == ALICE


def presigned_example(
    signature: str = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
) -> Request:
    return request(
        "GET",
        f"{BUCKET_URL}/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={ACCESS_KEY}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={signature}",
        {},
    )


def test_aws_example_presigned() -> None:
    assert authenticate(presigned_example()).identity.access_key == ACCESS_KEY
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(presigned_example("a" * 64))
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(presigned_example("%E2%98%83"))


# --- botocore ----------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
QUERY_V2 = {"", "Signature", "AWSAccessKeyId"}


def is_plain(name: str) -> bool:
    """Whether a parameter says nothing of signatures."""
    return name[:6].lower() != "x-amz-" and name not in QUERY_V2


queries = st.lists(st.tuples(texts.filter(is_plain), texts), max_size=4)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
header_sets = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-meta-b-1", "x-amz-acl", "content-type", "range"]),
    values,
)


def signed_by(signer: Any, method: str, url: str, headers: dict[str, str]) -> Request:
    made: Any = AWSRequest(method=method, url=url, headers=headers, data=b"")
    signer.add_auth(made)
    return request(method, made.url, dict(made.headers.items()))


def url_of(key: str, query: list[tuple[str, str]]) -> str:
    fields = [f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query]
    path = quote(key, safe="/-_.~")
    return f"http://127.0.0.1:9000/bucket/{path}" + ("?" + "&".join(fields) if fields else "")


@given(key=texts, query=queries, headers=header_sets)
def test_botocore_header(key: str, query: list[tuple[str, str]], headers: dict[str, str]) -> None:
    signer = S3SigV4Auth(BOTO_CREDENTIALS, "s3", "us-east-1")
    asked = signed_by(signer, "PUT", url_of(key, query), headers)
    assert authenticate(asked, time.time_ns()).identity.user == ALICE
    asked.method = "DELETE"
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(asked, time.time_ns())


@given(key=texts, query=queries, headers=header_sets)
def test_botocore_query(key: str, query: list[tuple[str, str]], headers: dict[str, str]) -> None:
    signer = S3SigV4QueryAuth(BOTO_CREDENTIALS, "s3", "us-east-1", expires=60)
    asked = signed_by(signer, "GET", url_of(key, query), headers)
    assert authenticate(asked, time.time_ns()).identity.user == ALICE
    asked.raw_path += b"x"
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(asked, time.time_ns())


def test_header_of_raw_bytes() -> None:
    """Metadata in UTF-8 is signed and kept byte for byte, even if its last byte looks like a blank."""
    value = "  voilà \t".encode()
    names = "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a"
    text = (
        f"GET\n/b/k\n\nhost:h\nx-amz-content-sha256:{EMPTY}\nx-amz-date:20130524T000000Z\n"
        f"x-amz-meta-a:voilà\n\n{names}\n{EMPTY}"
    )
    scope = "20130524/us-east-1/s3/aws4_request"
    digest = hashlib.sha256(text.encode()).hexdigest()
    signature = sign(
        signing_key(SECRET_KEY, "20130524", "us-east-1"),
        f"AWS4-HMAC-SHA256\n20130524T000000Z\n{scope}\n{digest}",
    )
    asked = request(
        "GET",
        "http://h/b/k",
        {
            "x-amz-date": "20130524T000000Z",
            "x-amz-content-sha256": EMPTY,
            "x-amz-meta-a": value.decode("latin-1"),
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}",
        },
    )
    assert authenticate(asked).identity.user == ALICE
    assert asked.headers["x-amz-meta-a"].encode("latin-1").decode() == "voilà"


def test_encoded_slash() -> None:
    """botocore signs a path as it stands; AWS's rules take an encoded slash for a slash."""
    signer = S3SigV4Auth(BOTO_CREDENTIALS, "s3", "us-east-1")
    for url in ("http://h/b/a%2Fb", "http://h/b/a/b"):
        asked = signed_by(signer, "GET", url, {})
        asked.raw_path = b"/b/a%2Fb"
        assert authenticate(asked, time.time_ns()).identity.user == ALICE


# --- canonical forms ---------------------------------------------------------------------------------------------


@given(raw=st.binary(max_size=20))
def test_canonical_path_encodes_once(raw: bytes) -> None:
    raw = b"/" + raw.replace(b"%", b"")
    (canonical,) = canonical_paths(raw)
    assert canonical == quote(raw, safe="/-_.~")
    assert canonical_paths(canonical.encode()) == (canonical,)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"", ("/",)),
        (b"/a/../b//c/./", ("/a/../b//c/./",)),
        (b"/%61%2d%7E", ("/a-~",)),
        (b"/%e2%98%83+", ("/%E2%98%83%2B",)),
        (b"/a=b,c", ("/a%3Db%2Cc",)),
        (b"/a%2Fb", ("/a/b", "/a%2Fb")),
        (b"/%2f%61", ("//a", "/%2Fa")),
    ],
)
def test_canonical_paths(raw: bytes, canonical: tuple[str, ...]) -> None:
    assert canonical_paths(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"acl", "acl="),
        (b"b=1&a=2&a=1", "a=1&a=2&b=1"),
        (b"a-b=1&a=1", "a=1&a-b=1"),
        (b"prefix=a+b%2fc", "prefix=a%20b%2Fc"),
        (b"a=b=c", "a=b%3Dc"),
        (b"a=1&&b=2&", "a=1&b=2"),
        (b"delimiter=/", "delimiter=%2F"),
        (b"x=1&X-Amz-Signature=abc&y=2", "x=1&y=2"),
        (b"x=/&X-Amz-Signature=abc&y=2", "x=%2F&y=2"),
    ],
)
def test_canonical_query(raw: bytes, canonical: str) -> None:
    assert canonical_query(raw, "X-Amz-Signature") == canonical


# --- refusals ----------------------------------------------------------------------------------------------------


def without(asked: Request, *names: str) -> Request:
    asked.headers = {k: v for k, v in asked.headers.items() if k not in names}
    return asked


def altered(asked: Request, old: str, new: str) -> Request:
    headers = dict(asked.headers)
    assert old in headers["authorization"]
    headers["authorization"] = headers["authorization"].replace(old, new)
    asked.headers = headers
    return asked


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (ACCESS_KEY, "AKIAOTHER", InvalidAccessKeyId),
        ("20130524/", "20130523/", AuthorizationHeaderMalformed),
        ("us-east-1", "eu-west-1", AuthorizationHeaderMalformed),
        ("/s3/", "/ec2/", AuthorizationHeaderMalformed),
        ("aws4_request", "aws5_request", AuthorizationHeaderMalformed),
        ("Credential=", "Credential=x", InvalidAccessKeyId),
        (ACCESS_KEY + "/20130524", "", AuthorizationHeaderMalformed),
        ("Signature=", "Sig=", AuthorizationHeaderMalformed),
        ("SignedHeaders=host;", "SignedHeaders=", AccessDenied),
        (";x-amz-date", "", AccessDenied),
        (";range", "", SignatureDoesNotMatch),
        ("Signature=f", "Signature=e", SignatureDoesNotMatch),
        ("Signature=f", "Signature=\xe9", SignatureDoesNotMatch),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", InvalidRequest),
        ("AWS4-HMAC-SHA256", "Basic", InvalidAuthArgument),
    ],
)
def test_header_refused(old: str, new: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        authenticate(altered(example_get(), old, new))


def test_wrong_region_names_the_right_one() -> None:
    settings = Settings(region="eu-north-1")
    assert authenticate(example_get(), settings=settings).identity.user == ALICE
    with pytest.raises(AuthorizationHeaderMalformed) as caught:
        authenticate(altered(example_get(), "us-east-1", "eu-west-1"), settings=settings)
    assert caught.value.fields["region"] == "eu-north-1"
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(altered(example_get(), "us-east-1", "anywhere"), settings=Settings(region=""))


def test_skew() -> None:
    for minutes in (-15, 15):
        authenticate(example_get(), EXAMPLE_NS + minutes * MINUTE_NS)
    for minutes in (-16, 16):
        with pytest.raises(RequestTimeTooSkewed):
            authenticate(example_get(), EXAMPLE_NS + minutes * MINUTE_NS)


def test_date_missing_or_no_date() -> None:
    with pytest.raises(AccessDenied):
        authenticate(without(example_get(), "x-amz-date"))
    with pytest.raises(AccessDenied):
        authenticate(example_get(**{"x-amz-date": "yesterday"}))


def test_payload_hash_rules() -> None:
    with pytest.raises(InvalidRequest):
        authenticate(without(example_get(), "x-amz-content-sha256"))
    with pytest.raises(InvalidAuthArgument):
        authenticate(example_get(**{"x-amz-content-sha256": "abc"}))
    with pytest.raises(InvalidRequest):
        authenticate(
            example_get(**{"x-amz-content-sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"})
        )


def test_unsigned_amz_header_is_refused() -> None:
    with pytest.raises(AccessDenied) as caught:
        authenticate(example_get(**{"x-amz-acl": "public-read"}))
    assert caught.value.fields["headers_not_signed"] == "x-amz-acl"


def test_a_token_keeps_no_known_key_from_being_checked() -> None:
    asked = altered(
        example_get(**{"x-amz-security-token": "t"}),
        ";x-amz-date",
        ";x-amz-date;x-amz-security-token",
    )
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(asked)


def presigned(expires: Any, **headers: str) -> Request:
    signer = S3SigV4QueryAuth(BOTO_CREDENTIALS, "s3", "us-east-1", expires=expires)
    asked = signed_by(signer, "GET", url_of("key", []), {})
    asked.headers = {**asked.headers, **headers}
    return asked


def test_presigned_lifetime() -> None:
    now_ns = time.time_ns()
    asked = presigned(60)
    authenticate(asked, now_ns + 55_000_000_000)
    with pytest.raises(AccessDenied) as caught:
        authenticate(asked, now_ns + 61_000_000_000)
    assert caught.value.message == "Request has expired"
    with pytest.raises(AccessDenied):
        authenticate(asked, now_ns - 16 * MINUTE_NS)


@pytest.mark.parametrize("expires", [-1, -1000, 604_801])
def test_presigned_expires_out_of_range(expires: int) -> None:
    with pytest.raises(ExpiresOutOfRange):
        authenticate(presigned(expires), time.time_ns())


def test_presigned_malformed() -> None:
    now_ns = time.time_ns()
    with pytest.raises(AuthorizationQueryParametersError):
        authenticate(presigned("soon"), now_ns)
    for name in presigned(60).query:
        asked = presigned(60)
        asked.query = {k: v for k, v in asked.query.items() if k != name}
        with pytest.raises(AuthorizationQueryParametersError):
            authenticate(asked, now_ns)


def test_presigned_unsigned_header() -> None:
    with pytest.raises(AccessDenied):
        authenticate(presigned(60, **{"x-amz-acl": "public-read"}), time.time_ns())


def test_presigned_headers_in_query_become_headers() -> None:
    signer = S3SigV4QueryAuth(BOTO_CREDENTIALS, "s3", "us-east-1", expires=60)
    url = url_of("k", [("x-amz-acl", "private"), ("x-amz-meta-n", "\N{SNOWMAN}"), ("acl", "")])
    asked = signed_by(signer, "PUT", url, {})
    authenticate(asked, time.time_ns())
    assert asked.headers["x-amz-acl"] == "private"
    assert asked.headers["x-amz-meta-n"].encode("latin-1").decode() == "\N{SNOWMAN}"
    assert not any(name.startswith("x-amz-s") for name in asked.headers)


def test_presigned_checksum_of_no_body_is_ignored() -> None:
    """The JavaScript SDK computes it while it presigns, when there is no body yet."""
    signer = S3SigV4QueryAuth(BOTO_CREDENTIALS, "s3", "us-east-1", expires=60)
    checksum = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32")]
    asked = signed_by(signer, "PUT", url_of("k", checksum), {})
    assert authenticate(asked, time.time_ns()).open_body(Arriving([])).expected_digests() == ()


def test_two_mechanisms_are_refused() -> None:
    asked = presigned(60, authorization="AWS a:b")
    with pytest.raises(InvalidAuthArgument):
        authenticate(asked, time.time_ns())


def test_anonymous() -> None:
    assert authenticate(request("GET", url_of("k", [("versions", "")]), {})).identity.is_anonymous
    with pytest.raises(AccessDenied):
        authenticate(request("GET", url_of("k", []), {"Authorization": ""}))


def test_preflight_is_anonymous() -> None:
    asked = presigned(60)
    asked.method = "OPTIONS"
    assert authenticate(asked, 0).identity.is_anonymous
