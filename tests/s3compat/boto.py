"""Owns the boto3 clients that tests use, and what they do over and over."""

from __future__ import annotations

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

from tests.server import REGION, ROOT_KEYS, Keys, Server

MIB = 1024**2


def connect(server: Server, keys: Keys = ROOT_KEYS, config: Config | None = None) -> S3Client:
    """A boto3 client that neither retries nor looks for settings of this machine."""
    base = Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        max_pool_connections=32,
        connect_timeout=10,
        read_timeout=60,
    )
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        config=base if config is None else base.merge(config),
    )


def code_of(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def status_of(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def read(client: S3Client, bucket: str, key: str) -> bytes:
    with client.get_object(Bucket=bucket, Key=key)["Body"] as body:
        return body.read()


def list_keys(client: S3Client, bucket: str, prefix: str = "") -> list[str]:
    """All keys, page by page."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def purge(client: S3Client, bucket: str) -> None:
    """Remove a bucket with all that is in it, but for what is held or kept in COMPLIANCE."""
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed: list[ObjectIdentifierTypeDef] = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for version in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if listed:
            client.delete_objects(
                Bucket=bucket,
                Delete={"Objects": listed, "Quiet": True},
                BypassGovernanceRetention=True,
            )
    client.delete_bucket(Bucket=bucket)
