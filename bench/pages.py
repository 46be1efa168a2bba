"""Owns the cases that page through a whole bucket, page after page, by S3 and as native clients do."""

from __future__ import annotations

import http.client
import json
import re
import statistics
import time
from html import unescape

import msgpack

from bench.cases import Case
from bench.fill import bucket_of
from bench.samples import Sample
from bench.servers import Server, ServerError

_NEXT = re.compile(rb"<NextContinuationToken>([^<]*)</NextContinuationToken>")


class Pages(Case):
    """One client that asks for the next page as soon as it has the last; names and sizes of everything in the bucket.

    A page is as long as each API has it by default: 1,000 keys by S3, 10,000 natively.
    """

    servers = ("weir",)
    needs_many_keys = True

    def __init__(self, count: int, api: str) -> None:
        self.api = api
        self.count = count
        self.bucket = bucket_of(count)
        self.name = f"pages-{api}"
        self.title = f"Paging through {count:,} keys, {'S3' if api == 's3' else 'native'}"

    def prepare(self, server: Server) -> None:
        """The keys were laid down before the server started (`bench.load`)."""

    def run(self, server: Server, seconds: float) -> Sample:
        ask = _s3_page if self.api == "s3" else _native_page
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        taken_ms: list[float] = []
        keys, size_bytes, token = 0, 0, ""
        began = time.perf_counter()
        while not taken_ms or time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            count, length, token = ask(connection, server, self.bucket, token)
            taken_ms.append((time.perf_counter() - asked) * 1e3)
            keys += count
            size_bytes += length
        took_s = time.perf_counter() - began
        connection.close()
        return Sample(
            requests=len(taken_ms),
            bytes=size_bytes,
            seconds=took_s,
            p50_ms=statistics.median(taken_ms),
            p99_ms=max(taken_ms),
            errors=0,
            extra={"keys_s": keys / took_s},
        )


Page = tuple[int, int, str]
"""How many keys, how many bytes, and the token of the next page; "" begins anew."""


def _s3_page(
    connection: http.client.HTTPConnection, server: Server, bucket: str, token: str
) -> Page:
    query = {"list-type": "2"} | ({"continuation-token": token} if token else {})
    connection.request("GET", server.target("GET", f"/{bucket}", query))
    body = _body(connection)
    found = _NEXT.search(body)
    return body.count(b"<Key>"), len(body), unescape(found[1].decode()) if found else ""


def _native_page(
    connection: http.client.HTTPConnection, server: Server, bucket: str, token: str
) -> Page:
    message = {"action": "list", "value": {"continuation_token": token}}
    target = server.target("GET", f"/v1/buckets/{bucket}", {"provider": "ais"})
    headers = {"Accept": "application/msgpack"}
    connection.request("GET", target, json.dumps(message).encode(), headers)
    body = _body(connection)
    page = msgpack.unpackb(body)
    return len(page["Entries"]), len(body), page["ContinuationToken"]


def _body(connection: http.client.HTTPConnection) -> bytes:
    reply = connection.getresponse()
    body = reply.read()
    if reply.status != 200:
        raise ServerError(f"a page gave {reply.status}: {body[:200]!r}")
    return body
