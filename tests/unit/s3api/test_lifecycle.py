"""Lifecycle configurations: what S3 takes and refuses, how they are shown, and what answers foretell."""

from __future__ import annotations

import pytest

from tests.unit.s3api.front import Front

OK = "<Status>Enabled</Status>"
FILTER = "<Filter/>"
DAYS = "<Expiration><Days>1</Days></Expiration>"
PATH = "/bucket?lifecycle"


def put(front: Front, *rules: str) -> tuple[int, str | None]:
    inner = "".join(f"<Rule>{rule}</Rule>" for rule in rules)
    body = f"<LifecycleConfiguration>{inner}</LifecycleConfiguration>"
    answer = front("PUT", PATH, body=body.encode())
    return answer.status, answer.code if answer.body else None


def test_without_rules(front: Front) -> None:
    answer = front("GET", PATH)
    assert (answer.status, answer.code) == (404, "NoSuchLifecycleConfiguration")
    assert answer.text("BucketName") == "bucket"
    assert front("DELETE", PATH).status == 204


def test_put_get_delete(front: Front) -> None:
    assert put(front, f"<ID>one</ID>{FILTER}{OK}{DAYS}") == (200, None)
    answer = front("GET", PATH)
    assert answer.text("Rule/ID") == "one"
    assert answer.headers["x-amz-transition-default-minimum-object-size"] == (
        "all_storage_classes_128K"
    )
    assert front("DELETE", PATH).status == 204
    assert front("GET", PATH).status == 404


@pytest.mark.parametrize(
    "rule",
    [
        f"<ID>a</ID><Prefix></Prefix>{OK}{DAYS}",
        f"<ID>a</ID><Prefix>a&amp;b</Prefix><Status>Disabled</Status>{DAYS}",
        f"<ID>a</ID><Filter></Filter>{OK}{DAYS}",
        f"<ID>a</ID><Filter><Prefix></Prefix></Filter>{OK}{DAYS}",
        f"<ID>a</ID><Filter><Tag><Key>k</Key><Value></Value></Tag></Filter>{OK}{DAYS}",
        f"<ID>a</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"
        "<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>3</ObjectSizeLessThan>"
        f"</And></Filter>{OK}{DAYS}",
        f"<ID>a</ID><Prefix>p</Prefix>{OK}<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>",
        f"<ID>a</ID><Filter></Filter>{OK}<Transition><Days>0</Days>"
        "<StorageClass>REDUCED_REDUNDANCY</StorageClass></Transition><Expiration><Days>1</Days></Expiration>",
        f"<ID>a</ID><Filter></Filter>{OK}<Expiration>"
        "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
        "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays>"
        "<StorageClass>REDUCED_REDUNDANCY</StorageClass></NoncurrentVersionTransition>"
        "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
        "<NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>4</DaysAfterInitiation>"
        "</AbortIncompleteMultipartUpload>",
    ],
)
def test_a_rule_is_shown_as_it_was_put(front: Front, rule: str) -> None:
    assert put(front, rule) == (200, None)
    assert f"<Rule>{rule}</Rule>" in front("GET", PATH).body.decode()


def test_ids_are_made_where_none_is_given(front: Front) -> None:
    put(front, f"{FILTER}{OK}{DAYS}", f"<ID></ID>{FILTER}{OK}{DAYS}")
    ids = front("GET", PATH).texts("Rule/ID")
    assert len(set(ids)) == 2
    assert all(ids)


def transition(days: str, name: str = "REDUCED_REDUNDANCY") -> str:
    return f"<Transition>{days}<StorageClass>{name}</StorageClass></Transition>"


AND = "<Filter><And>{}</And></Filter>"
TAG = "<Tag><Key>k</Key><Value>v</Value></Tag>"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (f"<ID>{'a' * 256}</ID>{FILTER}{OK}{DAYS}", "InvalidArgument"),
        (f"{FILTER}<Status>enabled</Status>{DAYS}", "MalformedXML"),
        (f"{FILTER}{DAYS}", "MalformedXML"),
        (f"{OK}{DAYS}", "MalformedXML"),
        (f"<Prefix/>{FILTER}{OK}{DAYS}", "MalformedXML"),
        (f"{FILTER}{OK}{DAYS}<Unknown/>", "MalformedXML"),
        (f"{FILTER}{FILTER}{OK}{DAYS}", "MalformedXML"),
        (f"{FILTER}{OK}", "InvalidRequest"),
        (f"<Filter><Prefix>{'p' * 1025}</Prefix></Filter>{OK}{DAYS}", "InvalidRequest"),
        (f"<Filter><Prefix/>{TAG}</Filter>{OK}{DAYS}", "MalformedXML"),
        (AND.format(TAG) + OK + DAYS, "MalformedXML"),
        (AND.format(TAG + TAG) + OK + DAYS, "InvalidRequest"),
        (AND.format("<Prefix/><Prefix/>") + OK + DAYS, "MalformedXML"),
        (
            AND.format(
                "<ObjectSizeGreaterThan>3</ObjectSizeGreaterThan>"
                "<ObjectSizeLessThan>3</ObjectSizeLessThan>"
            )
            + OK
            + DAYS,
            "InvalidRequest",
        ),
        (
            f"<Filter><ObjectSizeLessThan>x</ObjectSizeLessThan></Filter>{OK}{DAYS}",
            "MalformedXML",
        ),
        (f"<Filter><Tag><Value>v</Value></Tag></Filter>{OK}{DAYS}", "MalformedXML"),
        (f"{FILTER}{OK}<Expiration/>", "MalformedXML"),
        (f"{FILTER}{OK}<Expiration><Days>0</Days></Expiration>", "InvalidArgument"),
        (f"{FILTER}{OK}<Expiration><Days>-1</Days></Expiration>", "InvalidArgument"),
        (f"{FILTER}{OK}<Expiration><Days>1.5</Days></Expiration>", "MalformedXML"),
        (f"{FILTER}{OK}<Expiration><Days>9999999999</Days></Expiration>", "InvalidArgument"),
        (f"{FILTER}{OK}<Expiration><Date>20200101</Date></Expiration>", "MalformedXML"),
        (f"{FILTER}{OK}<Expiration><Date>9999-12-31</Date></Expiration>", "InvalidArgument"),
        (f"{FILTER}{OK}<Expiration><Date>0001-01-01</Date></Expiration>", "InvalidArgument"),
        (
            f"{FILTER}{OK}<Expiration><Date>2020-01-01T01:00:00Z</Date></Expiration>",
            "InvalidArgument",
        ),
        (
            f"{FILTER}{OK}<Expiration><Days>1</Days><Date>2020-01-01</Date></Expiration>",
            "MalformedXML",
        ),
        (
            f"{FILTER}{OK}<Expiration><ExpiredObjectDeleteMarker>yes</ExpiredObjectDeleteMarker>"
            "</Expiration>",
            "MalformedXML",
        ),
        (
            f"<Filter>{TAG}</Filter>{OK}<Expiration><ExpiredObjectDeleteMarker>true"
            "</ExpiredObjectDeleteMarker></Expiration>",
            "InvalidRequest",
        ),
        (f"{FILTER}{OK}{transition('<Days>-1</Days>')}", "InvalidArgument"),
        (f"{FILTER}{OK}{transition('')}", "MalformedXML"),
        (f"{FILTER}{OK}<Transition><Days>1</Days></Transition>", "MalformedXML"),
        (f"{FILTER}{OK}{transition('<Days>1</Days>', 'NOWHERE')}", "InvalidStorageClass"),
        (f"{FILTER}{OK}{transition('<Days>1</Days>') * 2}", "InvalidRequest"),
        (f"{FILTER}{OK}{transition('<Days>1</Days>')}{DAYS}", "InvalidArgument"),
        (f"{FILTER}{OK}{transition('<Date>2020-01-01</Date>')}{DAYS}", "InvalidRequest"),
        (
            f"{FILTER}{OK}<NoncurrentVersionExpiration/>",
            "MalformedXML",
        ),
        (
            f"{FILTER}{OK}<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays>"
            "</NoncurrentVersionExpiration>",
            "InvalidArgument",
        ),
        (
            f"{FILTER}{OK}<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
            "<NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
            "InvalidArgument",
        ),
        (
            f"<Prefix/>{OK}<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
            "<NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
            "InvalidRequest",
        ),
        (
            f"{FILTER}{OK}<AbortIncompleteMultipartUpload><DaysAfterInitiation>0"
            "</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            "InvalidArgument",
        ),
        (
            f"<Filter>{TAG}</Filter>{OK}<AbortIncompleteMultipartUpload><DaysAfterInitiation>1"
            "</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            "InvalidRequest",
        ),
    ],
)
def test_refused(front: Front, rule: str, code: str) -> None:
    assert put(front, rule) == (400, code)
    assert front("GET", PATH).status == 404


def test_refused_together(front: Front) -> None:
    one = f"<ID>a</ID>{FILTER}{OK}{DAYS}"
    assert put(front, one, one) == (400, "InvalidArgument")
    assert put(front, one, f"<Prefix/>{OK}{DAYS}") == (400, "InvalidRequest")
    assert put(front) == (400, "MalformedXML")
    assert put(front, *[f"{FILTER}{OK}{DAYS}"] * 1001) == (400, "InvalidRequest")


def test_minimum_size_header(front: Front) -> None:
    name = "x-amz-transition-default-minimum-object-size"
    body = f"<LifecycleConfiguration><Rule>{FILTER}{OK}{DAYS}</Rule></LifecycleConfiguration>"
    answer = front("PUT", PATH, headers={name: "varies_by_storage_class"}, body=body.encode())
    assert answer.headers[name] == "varies_by_storage_class"
    assert front("GET", PATH).headers[name] == "varies_by_storage_class"
    assert front("PUT", PATH, headers={name: "x"}, body=body.encode()).code == "InvalidArgument"


def test_only_the_owner(front: Front) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert front(method, PATH, user="bob").code == "AccessDenied"


EXPIRY = 'expiry-date="Thu, 16 Nov 2023 00:00:00 GMT", rule-id="a%20%2F%22"'


def test_expiration_header(front: Front) -> None:
    put(front, f'<ID>a /"</ID><Filter><Prefix>log</Prefix></Filter>{OK}{DAYS}')
    for key, wanted in (("log", EXPIRY), ("other", None)):
        path = f"/bucket/{key}"
        assert front("PUT", path, body=b"x").headers.get("x-amz-expiration") == wanted
        assert front("GET", path).headers.get("x-amz-expiration") == wanted
        assert front("HEAD", path).headers.get("x-amz-expiration") == wanted
    copied = front("PUT", "/bucket/log2", headers={"x-amz-copy-source": "/bucket/other"})
    assert copied.headers["x-amz-expiration"] == EXPIRY


def test_abort_headers(front: Front) -> None:
    put(
        front,
        f"<ID>r</ID><Filter><Prefix>up</Prefix></Filter>{OK}<AbortIncompleteMultipartUpload>"
        "<DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
    )
    created = front("POST", "/bucket/up?uploads")
    assert created.headers["x-amz-abort-date"] == "Fri, 17 Nov 2023 00:00:00 GMT"
    assert created.headers["x-amz-abort-rule-id"] == "r"
    listed = front("GET", f"/bucket/up?uploadId={created.text('UploadId')}")
    assert listed.headers["x-amz-abort-rule-id"] == "r"
    assert "x-amz-abort-date" not in front("POST", "/bucket/down?uploads").headers
