"""Several workers are one server: what one acknowledged, all others show at once; races have one winner."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, list_keys, purge, read, status_of
from tests.s3compat.wire import Reply, Wire, exchange, signed_headers
from tests.server import Server


def at_once(count: int, action: Callable[[int], Reply]) -> list[Reply]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(action, range(count)))


def test_bucket_is_everywhere_at_once(server: Server, client: S3Client) -> None:
    # A connection stays with one worker, so new connections reach the others.
    for _ in range(10):
        name = f"test-{secrets.token_hex(6)}"
        assert exchange(server, "PUT", f"/{name}").status == 200
        replies = at_once(8, lambda n, to=name: exchange(server, "PUT", f"/{to}/{n}", body=b"x"))  # type: ignore[misc]
        assert [reply.status for reply in replies] == [200] * 8
        purge(client, name)
        replies = at_once(8, lambda _, to=name: exchange(server, "GET", f"/{to}"))  # type: ignore[misc]
        assert [reply.status for reply in replies] == [404] * 8


def test_object_is_everywhere_at_once(server: Server, bucket: str) -> None:
    for number in range(10):
        body = b"%d" % number * (1 if number % 2 else 100_000)
        exchange(server, "PUT", f"/{bucket}/k", body=body)
        replies = at_once(8, lambda _: exchange(server, "GET", f"/{bucket}/k"))
        assert {reply.body for reply in replies} == {body}
        exchange(server, "DELETE", f"/{bucket}/k")
        replies = at_once(8, lambda _: exchange(server, "GET", f"/{bucket}/k"))
        assert {reply.status for reply in replies} == {404}


def test_workers_share_the_connections(server: Server, bucket: str) -> None:
    wires = [Wire(server) for _ in range(16)]
    for wire in wires:
        headers = signed_headers(server, "GET", f"/{bucket}")
        assert wire.request("GET", f"/{bucket}", headers).status == 200
        wire.close()
    assert len(server.tree()) >= 1 + server.options.workers


@pytest.mark.parametrize("size", [10, 200_000])
def test_create_race_has_one_winner(server: Server, bucket: str, size: int) -> None:
    for attempt in range(5):
        target = f"/{bucket}/{attempt}"

        def create(number: int, target: str = target) -> Reply:
            return exchange(
                server,
                "PUT",
                target,
                body=b"%02d" % number * (size // 2),
                headers={"if-none-match": "*"},
            )

        replies = at_once(12, create)
        winners = [number for number, reply in enumerate(replies) if reply.status == 200]
        assert len(winners) == 1
        assert {reply.status for reply in replies} <= {200, 409, 412}
        assert exchange(server, "GET", target).body == b"%02d" % winners[0] * (size // 2)


def test_compare_and_swap_race_loses_nothing(server: Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def increment(_: int) -> int:
        won = 0
        while won < 5:
            got = client.get_object(Bucket=bucket, Key="counter")
            value = int(got["Body"].read())
            try:
                client.put_object(
                    Bucket=bucket, Key="counter", Body=b"%d" % (value + 1), IfMatch=got["ETag"]
                )
            except ClientError as error:
                assert status_of(error) in {409, 412}  # noqa: PT017
            else:
                won += 1
        return won

    with ThreadPoolExecutor(6) as pool:
        total = sum(pool.map(increment, range(6)))
    assert read(client, bucket, "counter") == b"%d" % total == b"30"


def test_bucket_creation_race_has_one_owner(client: S3Client, other_client: S3Client) -> None:
    for _ in range(5):
        name = f"test-{secrets.token_hex(6)}"

        def create(number: int, name: str = name) -> bool:
            try:
                (client, other_client)[number % 2].create_bucket(Bucket=name)
            except ClientError as error:
                assert status_of(error) == 409  # noqa: PT017
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            created = list(pool.map(create, range(8)))
        owners = {number % 2 for number, is_created in enumerate(created) if is_created}
        assert len(owners) == 1
        (client, other_client)[owners.pop()].delete_bucket(Bucket=name)


def test_overwrite_race_is_never_torn(server: Server, client: S3Client, bucket: str) -> None:
    bodies = [bytes([number]) * (1 + number * MIB // 3) for number in range(6)]

    def work(number: int) -> Reply:
        if number < len(bodies):
            return exchange(server, "PUT", f"/{bucket}/k", body=bodies[number])
        return exchange(server, "GET", f"/{bucket}/k")

    replies = at_once(12, work)
    for reply in replies[len(bodies) :]:
        assert reply.status == 404 or reply.body in bodies
    assert read(client, bucket, "k") in bodies
    assert list_keys(client, bucket) == ["k"]


def test_delete_bucket_race_keeps_acknowledged(server: Server, client: S3Client) -> None:
    for _ in range(10):
        name = f"test-{secrets.token_hex(6)}"
        exchange(server, "PUT", f"/{name}")

        def work(number: int, name: str = name) -> Reply:
            if number % 4 == 3:
                return exchange(server, "DELETE", f"/{name}")
            return exchange(server, "PUT", f"/{name}/{number}", body=b"x")

        replies = at_once(8, work)
        stored = {str(n) for n, reply in enumerate(replies) if n % 4 != 3 and reply.status == 200}
        if any(reply.status == 204 for reply in replies):
            assert not stored
        else:
            assert set(list_keys(client, name)) == stored
            purge(client, name)
