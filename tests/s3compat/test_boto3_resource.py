"""boto3's resource interface."""

from __future__ import annotations

import secrets

import boto3
import pytest
from botocore.config import Config

from tests.server import REGION, ROOT_KEYS, Server


def test_resource_bucket_life(server: Server) -> None:
    resource = boto3.resource(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=ROOT_KEYS.access_key,
        aws_secret_access_key=ROOT_KEYS.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    bucket = resource.create_bucket(Bucket=f"test-{secrets.token_hex(6)}")
    bucket.wait_until_exists()
    for number in range(5):
        bucket.put_object(Key=f"dir/{number}", Body=str(number).encode())
    assert [each.key for each in bucket.objects.filter(Prefix="dir/")] == [
        f"dir/{number}" for number in range(5)
    ]
    first = bucket.Object("dir/0")
    assert first.get()["Body"].read() == b"0"
    copy = bucket.Object("copy")
    copy.copy_from(CopySource={"Bucket": bucket.name, "Key": "dir/1"})
    assert copy.content_length == 1
    upload = bucket.Object("parts").initiate_multipart_upload()
    part = upload.Part(1).upload(Body=b"part")
    whole = upload.complete(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert whole.get()["Body"].read() == b"part"
    bucket.objects.all().delete()
    bucket.delete()
    bucket.wait_until_not_exists()
    with pytest.raises(resource.meta.client.exceptions.NoSuchBucket):
        list(bucket.objects.all())
