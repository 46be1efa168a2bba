"""Names from paths: what of a path is the bucket, what the key."""

from __future__ import annotations

import pytest

from s3api.request import parse_request


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        (b"/", None, None),
        (b"/photos", "photos", None),
        (b"/photos/", "photos", None),
        (b"/photos/a%20b//c", "photos", b"a b//c"),
        (b"/s3/photos/a", "photos", b"a"),
        (b"/s3", None, None),
        # As Ceph's clients name a bucket of no tenant.
        (b"/:photos/a", "photos", b"a"),
        (b"/%3Aphotos/:a", "photos", b":a"),
        (b"/tenant:photos", "tenant:photos", None),
    ],
)
def test_path_style(path: bytes, bucket: str | None, key: bytes | None) -> None:
    scope = {
        "headers": [(b"host", b"localhost")],
        "raw_path": path,
        "query_string": b"",
        "method": "GET",
        "scheme": "http",
    }
    request = parse_request(scope, ())
    assert (request.bucket, request.key) == (bucket, key)
