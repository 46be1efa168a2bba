"""aiobotocore: many requests at once from one event loop."""

from __future__ import annotations

import asyncio

from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from tests.server import REGION, ROOT_KEYS, Server


def test_aiobotocore(server: Server, bucket: str) -> None:
    asyncio.run(_drive(server, bucket))


async def _drive(server: Server, bucket: str) -> None:
    async with get_session().create_client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=ROOT_KEYS.access_key,
        aws_secret_access_key=ROOT_KEYS.secret_key,
    ) as client:
        keys = [f"k{number:03}" for number in range(50)]
        await asyncio.gather(
            *(client.put_object(Bucket=bucket, Key=key, Body=key.encode() * 1000) for key in keys)
        )

        async def read(key: str) -> bytes:
            reply = await client.get_object(Bucket=bucket, Key=key)
            async with reply["Body"] as body:
                return bytes(await body.read())

        assert await asyncio.gather(*map(read, keys)) == [key.encode() * 1000 for key in keys]
        listed = []
        async for page in client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 7}
        ):
            listed += [entry["Key"] for entry in page["Contents"]]
        assert listed == keys
        try:
            await client.get_object(Bucket=bucket, Key="absent")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey"  # noqa: PT017
        else:
            raise AssertionError("an absent key was read")
