"""The URLs that requests were signed for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from backends.memory_backend import MemoryBackend
from backends.presigned import PresignedRelay, SignedRequest, url_of
from backends.reach import Reach
from core.errors import Unsupported

AMAZON = Reach("https://s3.us-east-1.amazonaws.com", is_amazon=True)
OWN = Reach("http://127.0.0.1:9000/s3/", is_amazon=False)
SIGNED = SignedRequest("GET", "there", "dir/k%20", "X-Amz-Date=1", {}, "eu-west-1", None, None)


@pytest.mark.parametrize(
    ("reach", "is_path_style", "url"),
    [
        (AMAZON, None, "https://there.s3.eu-west-1.amazonaws.com/dir/k%20?X-Amz-Date=1"),
        (AMAZON, True, "https://s3.eu-west-1.amazonaws.com/there/dir/k%20?X-Amz-Date=1"),
        (OWN, None, "http://127.0.0.1:9000/s3/there/dir/k%20?X-Amz-Date=1"),
        (OWN, False, "http://there.127.0.0.1:9000/s3/dir/k%20?X-Amz-Date=1"),
    ],
)
def test_the_host_is_made_again(reach: Reach, is_path_style: bool | None, url: str) -> None:
    assert url_of(reach, replace(SIGNED, is_path_style=is_path_style)) == url


def test_a_bucket_alone_and_a_signature_without_region() -> None:
    bucket = replace(SIGNED, raw_key="", region="", is_path_style=True)
    assert url_of(AMAZON, bucket) == "https://s3.amazonaws.com/there?X-Amz-Date=1"
    assert url_of(AMAZON, replace(bucket, is_path_style=None)) == (
        "https://there.s3.amazonaws.com/?X-Amz-Date=1"
    )


def test_a_provider_that_takes_none() -> None:
    with pytest.raises(Unsupported):
        asyncio.run(PresignedRelay().send(MemoryBackend(), SIGNED))
