"""What downloads bring here, what they leave alone, and where they may not go."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.memory_keys import MemoryKeyService
from core.egress import PUBLIC, EgressRules
from core.errors import Corrupt, InvalidArgument
from core.job_table import SEALED
from core.jobs import JobProgress, JobRecord
from core.sealing import open_text, seal_text
from core.types import Bucket
from jobs.downloads import fetching
from jobs.downloads.failures import DownloadFailed, shown
from jobs.downloads.hub import HubName, parse_hub_name
from jobs.downloads.job import DownloadJob, DownloadRules, binding_of
from jobs.downloads.report import Report
from jobs.downloads.request import DownloadRequest, base_name, check_link, full_link
from jobs.downloads.web import Web
from jobs.queue import JobContext, JobStopped
from tests.unit.jobs.remote_place import HERE, RemotePlace, remote_place
from tests.unit.jobs.web_server import SmallWeb, small_web
from tests.unit.storage.box import USER, key, pattern, read_all

PRIVATE = EgressRules(allows_private=True)


class Downloads:
    def __init__(self, place: RemotePlace, server: SmallWeb) -> None:
        self.place = place
        self.server = server
        self.keys = MemoryKeyService()
        self.rules = DownloadRules(
            EgressRules(hosts=frozenset({f"127.0.0.1:{server.port}"})),
            hub_endpoint=server.url(""),
        )
        self.report: Mapping[str, Any] = {}

    async def context(self, progress: JobProgress, **fields: Any) -> JobContext:
        bucket: Bucket = fields.pop("bucket", HERE)
        request = DownloadRequest(bucket.ref, bucket.bucket_id, USER.user_id, **fields)
        sealed = await seal_text(self.keys, binding_of("j"), request.text())
        return JobContext(JobRecord("j", "download", {SEALED: sealed}, progress=progress))

    async def run(self, progress: JobProgress = JobProgress(), **fields: Any) -> Mapping[str, int]:  # noqa: B008
        context = await self.context(progress, **fields)
        await DownloadJob(self.place.service, self.place.control, self.keys, self.rules).run(
            context
        )
        self.report = json.loads(context.progress.report)
        return context.progress.counters

    def links(self, *names: str) -> tuple[tuple[str, str], ...]:
        return tuple((name, self.server.url(f"/files/{name}")) for name in names)

    async def data(self, name: str) -> bytes:
        return await read_all(await self.place.node.get(HERE, key(name)))


@asynccontextmanager
async def downloads(root: Path, **files: bytes) -> AsyncIterator[Downloads]:
    async with remote_place(root) as place, small_web() as server:
        server.files = {f"/files/{name}": data for name, data in files.items()}
        yield Downloads(place, server)


# --- where they may go -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1", "100.64.0.1"),
        *("255.255.255.255", "240.0.0.1", "192.0.2.1", "::1", "::", "fe80::1", "ff02::1"),
        *("fec0::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "::ffff:0:127.0.0.1"),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo: the client, 127.0.0.1, is inverted
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    for rules in (PUBLIC, PRIVATE):
        assert not rules.allows(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "fc00::1", "fd12::1", "::ffff:10.0.0.1"),
        *("64:ff9b::a00:1", "2002:c0a8:101::1"),
    ],
)
def test_private_addresses_can_be_opened(address: str) -> None:
    assert not PUBLIC.allows(ipaddress.ip_address(address))
    assert PRIVATE.allows(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1"]
)
def test_public_addresses_are_open(address: str) -> None:
    assert PUBLIC.allows(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    async with small_web() as server, Web(PUBLIC, {}, connections=1) as web:
        with pytest.raises(DownloadFailed) as failure:
            await web.open(f"http://{host}:{server.port}/files/x")
        assert not server.asked, failure.value


async def test_redirects_are_under_the_same_rules_and_take_no_secrets_along() -> None:
    async with small_web() as server, small_web() as other:
        server.files["/files/x"] = other.files["/files/x"] = b"x"
        server.redirects = {
            "/same": "/files/x",
            "/other": other.url("/files/x"),
            "/loop": "/loop",
            "/file": "file:///etc/passwd",
        }
        opened = frozenset({f"127.0.0.1:{server.port}"})
        headers = {"Authorization": "Bearer secret", "X-Own": "1"}
        async with Web(EgressRules(hosts=opened), headers, connections=1) as web:
            await (await web.open(server.url("/same"))).close()
            assert server.seen[-1][1]["Authorization"] == "Bearer secret"
            for path in ("/other", "/loop", "/file"):
                with pytest.raises(DownloadFailed) as failure:
                    await web.open(server.url(path))
                assert "secret" not in str(failure.value)
            assert not other.asked
        both = opened | {f"127.0.0.1:{other.port}"}
        async with Web(EgressRules(hosts=both), headers, connections=1) as web:
            await (await web.open(server.url("/other"))).close()
            assert not {"Authorization", "X-Own"} & set(other.seen[-1][1])


def test_links_are_shown_without_what_is_secret() -> None:
    told = shown("https://user:pass@host:8/a/b?X-Amz-Signature=abc#frag")
    assert told == "https://host:8/a/b"
    assert shown("http://[") == "a link that is none"


# --- requests --------------------------------------------------------------------------------------------------------


def test_links_and_names() -> None:
    assert full_link("host/a{1..2}") == "https://host/a{1..2}"
    assert full_link("gs://b/k/x") == "https://storage.googleapis.com/b/k/x"
    assert full_link("s3://b/k") == "https://b.s3.amazonaws.com/k"
    assert base_name("https://h/a/b%20c.tar?x=y") == "b c.tar"
    for bad in (
        "ftp://h/x",
        "",
        "http://",
        "http://h:99999/x",
        "http://[",
        "a\nb",
        None,
        "x" * 9000,
    ):
        with pytest.raises(InvalidArgument):
            check_link(bad)


def test_requests_of_templates() -> None:
    request = DownloadRequest(HERE.ref, 1, USER.user_id, template="h/o{8..12..2}.x", subdir="d/")
    assert DownloadRequest.parse(request.text()) == request
    assert request.count == 3
    assert [item.name for item in request.items()] == ["d/o8.x", "d/o10.x", "d/o12.x"]
    assert [item.link for item in request.items(2)] == ["https://h/o12.x"]


def test_names_at_the_hub() -> None:
    assert parse_hub_name("hf://datasets/o/n@v1.0/data/x") == HubName(
        "datasets", "o/n", "v1.0", "data/x"
    )
    assert parse_hub_name("hf://models/o/n") == HubName("models", "o/n")
    assert parse_hub_name("hf://datasets/squad").name == "squad"
    bad = ("hf://x/o/n", "hf://datasets/../n", "hf://models/o/n@..", "hf://models/", "hf://")
    for text in bad:
        with pytest.raises(InvalidArgument):
            parse_hub_name(text)


async def test_what_is_sealed_opens_as_what_it_was_alone() -> None:
    keys = MemoryKeyService()
    sealed = await seal_text(keys, b"one", "secret")
    assert "secret" not in sealed
    assert await open_text(keys, b"one", sealed) == "secret"
    for binding, text in (
        (b"two", sealed),
        (b"one", "x"),
        (b"one", "a.b.c"),
        (b"one", sealed[:-8]),
    ):
        with pytest.raises(Corrupt):
            await open_text(keys, binding, text)


def test_reports_are_bounded() -> None:
    report = Report(now_ns=lambda: 1)
    for number in range(200):
        report.end(report.begin("n" * 500))
        report.fail(f"{number}", "r" * 500)
        report.begin("m" * 500)
    assert len(report.text()) < 70_000
    again = json.loads(Report(report.text()).text())
    assert (len(again["finished"]), len(again["errors"]), again["current"]) == (50, 50, [])


# --- jobs ------------------------------------------------------------------------------------------------------------


async def test_links_become_objects_and_are_not_fetched_twice(tmp_path: Path) -> None:
    async with downloads(tmp_path, a=b"aaa", b=pattern(5000)) as bench:
        links = bench.links("a", "b")
        assert await bench.run(links=links) == {"objects": 2, "bytes": 5003}
        assert await bench.data("b") == pattern(5000)
        info = await bench.place.node.head(HERE, key("a"))
        assert info.attributes.headers["content-type"] == "text/x-test"
        assert info.attributes.user_metadata["source"] == "web"
        assert await bench.run(links=links) == {"skipped_objects": 2}
        bench.server.files["/files/a"] = b"AAA"
        bench.server.refused_methods = {"HEAD"}
        assert await bench.run(links=links) == {"objects": 1, "bytes": 3, "skipped_objects": 1}
        assert await bench.data("a") == b"AAA"


async def test_errors_are_counted_and_told(tmp_path: Path) -> None:
    async with downloads(tmp_path, a=b"aaa", b=bytes(1000)) as bench:
        bench.server.truncated = {"/files/b"}
        links = (
            *bench.links("a", "b", "absent"),
            ("elsewhere", "http://127.0.0.1:1/x?token=secret"),
            ("bad\x00name" * 300, bench.server.url("/files/a")),
        )
        fetching._FIRST_WAIT_S = 0.01
        counted = await bench.run(links=links)
        assert counted == {"objects": 1, "bytes": 3, "failed_objects": 4}
        errors = {each["name"]: each["error"] for each in bench.report["errors"]}
        assert "404" in errors["absent"]
        assert "breaks off" in errors["b"]
        assert "may reach" in errors["elsewhere"]
        assert "secret" not in json.dumps(bench.report)
        assert await bench.place.present(HERE) == ["a"]


async def test_servers_that_fail_for_a_while_are_asked_again(tmp_path: Path) -> None:
    async with downloads(tmp_path, a=b"aaa") as bench:
        fetching._FIRST_WAIT_S = 0.01
        bench.server.failures["/files/a"] = 2
        assert await bench.run(links=bench.links("a")) == {"objects": 1, "bytes": 3}


async def test_large_ones_come_by_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LARGE_BYTES", 10_000)
    monkeypatch.setattr(fetching, "_PART_BYTES", 3000)
    data = pattern(10_001)
    async with downloads(tmp_path, large=data) as bench:
        assert await bench.run(links=bench.links("large")) == {"objects": 1, "bytes": 10_001}
        assert await bench.data("large") == data
        ranges = [headers.get("Range") for _, headers in bench.server.seen]
        assert "bytes=9000-10000" in ranges


async def test_a_template_and_the_number_to_go_on_from(tmp_path: Path) -> None:
    async with downloads(tmp_path, o1=b"1", o2=b"2", o3=b"3") as bench:
        template = bench.server.url("/files/o{1..3}")
        progress = JobProgress({"objects": 1}, cursor="/1")
        assert await bench.run(progress, template=template, subdir="d/") == {
            "objects": 3,
            "bytes": 2,
        }
        assert await bench.place.present(HERE) == ["d/o2", "d/o3"]


async def test_a_dataset(tmp_path: Path) -> None:
    files = {"README.md": b"r", "data/a b.parquet": b"ab", "data/c.parquet": b"c"}
    async with downloads(tmp_path) as bench, small_web() as storage:
        server = bench.server
        server.repositories = {"datasets/o/n": files, "models/o/m": {"weights": b"w"}}
        base = f"/datasets/o/n/resolve/{'a' * 40}/"
        server.files = {base + name: data for name, data in files.items()}
        server.files[f"/o/m/resolve/{'a' * 40}/weights"] = b"w"
        storage.files = {"/lfs/c": b"c"}
        server.redirects = {base + "data/c.parquet": storage.url("/lfs/c")}
        bench.rules = DownloadRules(
            EgressRules(hosts=bench.rules.egress.hosts | {f"127.0.0.1:{storage.port}"}),
            hub_endpoint=bench.rules.hub_endpoint,
        )
        secret = {"Authorization": "Bearer hf_token"}
        counted = await bench.run(hub="hf://datasets/o/n", subdir="squad/", headers=secret)
        assert counted == {"objects": 3, "bytes": 4}
        assert await bench.data("squad/data/c.parquet") == b"c"
        assert all(h["Authorization"] == "Bearer hf_token" for _, h in server.seen)
        assert storage.seen
        assert not any("Authorization" in h for _, h in storage.seen)
        assert await bench.run(hub="hf://datasets/o/n@main/data") == {"objects": 2, "bytes": 3}
        assert await bench.run(hub="hf://models/o/m") == {"objects": 1, "bytes": 1}
        with pytest.raises(DownloadFailed):
            await bench.run(hub="hf://models/o/absent")


async def test_a_limit_of_bytes_holds_it_back_until_it_is_stopped(tmp_path: Path) -> None:
    async with downloads(tmp_path, a=bytes(100), b=bytes(100)) as bench:
        context = await bench.context(
            JobProgress(), links=bench.links("a", "b"), bytes_per_hour=200, connections=1
        )
        job = DownloadJob(bench.place.service, bench.place.control, bench.keys, bench.rules)
        running = asyncio.create_task(job.run(context))
        while not bench.server.asked:
            await asyncio.sleep(0.01)
        context.stop()
        with pytest.raises(JobStopped):
            await running
        assert await bench.place.present(HERE) == []
