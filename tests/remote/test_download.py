"""Downloads by AIStore's protocol, against the real process and a small web: every type, what is told, what is
refused, and going on after a death."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from mypy_boto3_s3 import S3Client

from tests.counterparts.started import S3Endpoint
from tests.crash.test_jobs import job_worker
from tests.remote.front import Front, start_front
from tests.remote.test_evict import cached
from tests.remote.web import served_web
from tests.s3compat.boto import connect
from tests.server import Server, ServerOptions
from tests.unit.jobs.web_server import SmallWeb
from tests.unit.storage.box import pattern

_DEADLINE_S = 60


class Bench:
    """A weir that may download from the small web on loopback."""

    def __init__(self, server: Server, web: SmallWeb) -> None:
        self.server = server
        self.web = web
        self.s3: S3Client = connect(server)
        self.http = requests.Session()
        self.http.trust_env = False
        self.bad_bucket = self.new_bucket()

    def ask(self, method: str, path: str = "", body: Any = None) -> requests.Response:
        url = f"{self.server.endpoint}/v1/download{path}"
        return self.http.request(method, url, json=body, timeout=30)

    def new_bucket(self) -> str:
        name = f"dl-{secrets.token_hex(6)}"
        self.s3.create_bucket(Bucket=name)
        return name

    def start(self, bucket: str, **fields: Any) -> str:
        reply = self.ask("POST", "", {"bucket": {"name": bucket}, **fields})
        assert reply.status_code == 200, reply.text
        job_id: str = reply.json()["id"]
        assert job_id.startswith("dnl-")
        return job_id

    def status(self, job_id: str) -> dict[str, Any]:
        reply = self.ask("GET", "", {"id": job_id})
        assert reply.status_code == 200, reply.text
        status: dict[str, Any] = reply.json()
        return status

    def ended(self, job_id: str) -> dict[str, Any]:
        return self.until(job_id, lambda status: not status["finished_time"].startswith("0001"))

    def until(self, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + _DEADLINE_S
        while not wanted(status := self.status(job_id)):
            assert time.monotonic() < deadline, f"{status}\n{self.server.log_tail()}"
            time.sleep(0.05)
        return status

    def read(self, bucket: str, key: str) -> bytes:
        with self.s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
            return body.read()

    def names(self, bucket: str) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with served_web() as web:
        environment = {
            "WEIR_DOWNLOADS_ALLOWED_HOSTS": f'["127.0.0.1:{web.port}"]',
            "WEIR_DOWNLOADS_HUB_ENDPOINT": web.url(""),
        }
        data = tmp_path_factory.mktemp("download") / "data"
        server = Server(ServerOptions([data], arguments=("--no-auth",), environment=environment))
        server.start()
        made = Bench(server, web)
        try:
            yield made
        finally:
            made.http.close()
            server.stop()


def test_single(bench: Bench) -> None:
    bucket = bench.new_bucket()
    bench.web.files["/files/one.bin"] = pattern(300_000)
    job_id = bench.start(
        bucket, type="single", link=bench.web.url("/files/one.bin"), description="one"
    )
    status = bench.ended(job_id)
    assert (status["finished_cnt"], status["total"], status["error_cnt"]) == (1, 1, 0)
    assert status["description"] == "one"
    assert status["finished_tasks"][0]["downloaded"] == "300000"
    assert bench.read(bucket, "one.bin") == pattern(300_000)
    again = bench.ended(
        bench.start(
            bucket, type="single", link=bench.web.url("/files/one.bin"), object_name="one.bin"
        )
    )
    assert again["skipped_cnt"] == 1


def test_range_and_multi(bench: Bench) -> None:
    bucket = bench.new_bucket()
    for number in range(8, 13):
        bench.web.files[f"/files/log{number:03}"] = b"%d" % number
    template = bench.web.url("/files/log{008..012..2}")
    bench.ended(bench.start(bucket, type="range", template=template, subdir="logs/"))
    assert bench.names(bucket) == ["logs/log008", "logs/log010", "logs/log012"]
    links = {"a/x": bench.web.url("/files/log008"), "b": bench.web.url("/files/absent")}
    status = bench.ended(bench.start(bucket, type="multi", objects=links))
    assert (status["finished_cnt"], status["error_cnt"]) == (1, 1)
    assert status["download_errors"][0]["name"] == "b"
    assert "404" in status["download_errors"][0]["error"]
    links_alone = [bench.web.url("/files/log009"), bench.web.url("/files/log011")]
    bench.ended(bench.start(bucket, type="multi", objects=links_alone))
    assert bench.read(bucket, "log011") == b"11"


def test_a_dataset_of_a_hub(bench: Bench) -> None:
    bucket, web = bench.new_bucket(), bench.web
    web.repositories["datasets/o/n"] = {"data/0.parquet": b"0", "README": b"r"}
    base = f"/datasets/o/n/resolve/{'a' * 40}/"
    web.files |= {base + "data/0.parquet": b"0", base + "README": b"r"}
    before = len(web.seen)
    headers = {"Authorization": ["Bearer hf_secret_token"]}
    job_id = bench.start(bucket, type="single", link="hf://datasets/o/n", headers=headers)
    assert bench.ended(job_id)["finished_cnt"] == 2
    assert bench.names(bucket) == ["README", "data/0.parquet"]
    assert {h["Authorization"] for _, h in web.seen[before:]} == {"Bearer hf_secret_token"}
    told = bench.ask("GET", "", {"id": job_id}).text
    snapshots = bench.http.get(
        f"{bench.server.endpoint}/v1/cluster?what=qryxstats", json={"ID": job_id}, timeout=30
    ).text
    listed = bench.server.admin("job", "status", job_id).stdout
    for text in (told, snapshots, listed, bench.server.log_tail(10**7)):
        assert "hf_secret_token" not in text
    stored = b"".join(
        path.read_bytes()
        for path in bench.server.options.data_dirs[0].rglob("*")
        if path.is_file() and "control" in path.parts
    )
    assert b"hf_secret_token" not in stored


def test_lists_and_removal(bench: Bench) -> None:
    bucket = bench.new_bucket()
    bench.web.files["/files/x"] = b"x"
    link = bench.web.url("/files/x")
    job_id = bench.start(bucket, type="single", link=link, description="7 sisters")
    bench.ended(job_id)
    found = bench.ask("GET", "", {"regex": "^[0-9] sis"}).json()
    assert [each["id"] for each in found] == [job_id]
    assert job_id in [each["id"] for each in bench.ask("GET").json()]
    assert bench.ask("DELETE", "/remove", {"id": job_id}).status_code == 200
    assert bench.ask("GET", "", {"id": job_id}).status_code == 404
    assert bench.ask("DELETE", "/remove", {"id": job_id}).status_code == 404
    assert bench.ask("DELETE", "/else", {"id": job_id}).status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "single", "link": "ftp://host/x"},
        {"type": "single", "link": "https://host/"},
        {"type": "single", "link": 5},
        {"type": "single", "link": "https://h/x", "object_name": "../x"},
        {"type": "multi", "objects": []},
        {"type": "multi", "objects": {"": "https://h/x"}},
        {"type": "multi", "objects": ["https://h/" + "x" * 9000]},
        {"type": "range", "template": "h/{1..0}"},
        {"type": "backend"},
        {"type": "other"},
        {"type": "single", "link": "https://h/x", "timeout": "soon"},
        {"type": "single", "link": "https://h/x", "limits": {"connections": -1}},
        {"type": "single", "link": "https://h/x", "headers": {"Host": "x"}},
        {"type": "single", "link": "https://h/x", "headers": {"a": "b\r\nc: d"}},
        {"type": "single", "link": "hf://datasets/.."},
        {},
    ],
)
def test_bad_requests(bench: Bench, fields: dict[str, Any]) -> None:
    bucket = bench.bad_bucket
    reply = bench.ask("POST", "", {"bucket": {"name": bucket}, **fields})
    assert 400 <= reply.status_code < 500, reply.text


def test_links_to_this_machine_are_refused(bench: Bench) -> None:
    bucket = bench.new_bucket()
    links = {
        "own": f"{bench.server.endpoint}/-/health",
        "name": f"http://localhost:{bench.server.port}/-/health",
        "metadata": "http://169.254.169.254/latest/meta-data/",
        "mapped": "http://[::ffff:127.0.0.1]:1/x",
    }
    status = bench.ended(bench.start(bucket, type="multi", objects=links))
    assert (status["error_cnt"], status["finished_cnt"]) == (4, 0)
    assert bench.names(bucket) == []
    bench.web.redirects["/out"] = f"{bench.server.endpoint}/-/health"
    status = bench.ended(bench.start(bucket, type="single", link=bench.web.url("/out")))
    assert status["error_cnt"] == 1


def test_abort_and_death(bench: Bench) -> None:
    bucket = bench.new_bucket()
    for number in range(30):
        bench.web.files[f"/files/s{number:02}"] = b"s" * 1000
    template = bench.web.url("/files/s{00..29}")
    # 10,000 bytes in ten seconds: it is at work while we look.
    limits = {"connections": 1, "bytes_per_hour": 3600 * 10_000}
    slow = bench.start(bucket, type="range", template=template, limits=limits)
    bench.until(slow, lambda status: status["finished_cnt"] > 0)
    os.kill(job_worker(bench.server), signal.SIGKILL)
    status = bench.ended(slow)
    assert status["finished_cnt"] == 30, status
    assert len(bench.names(bucket)) == 30
    other = bench.new_bucket()
    slower = {"connections": 1, "bytes_per_hour": 3600 * 100}
    stopped = bench.start(other, type="range", template=template, limits=slower)
    bench.until(stopped, lambda status: bool(status["current_tasks"]))
    assert bench.ask("DELETE", "/abort", {"id": stopped}).status_code == 200
    assert bench.ended(stopped)["aborted"]
    assert len(bench.names(other)) < 30


def test_from_the_command_line(bench: Bench, tmp_path: Path) -> None:
    bucket, web = bench.new_bucket(), bench.web
    web.files |= {"/files/c0": b"0", "/files/c1": b"1"}
    link = web.url("/files/c{0..1}")
    done = bench.server.admin("download", link, "--to", bucket, "--prefix", "cli")
    assert done.stdout.endswith("2 downloaded, 0 there already, 0 failed\n")
    assert bench.names(bucket) == ["cli/c0", "cli/c1"]
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer cli_secret\n")
    links = (web.url("/files/c0"), web.url("/files/gone"))
    words = ("--to", bucket, "--header-file", str(headers))
    done = bench.server.admin("download", *links, *words, is_checked=False)
    assert (done.returncode, "404" in done.stderr) == (1, True)
    assert web.seen[-1][1]["Authorization"] == "Bearer cli_secret"
    done = bench.server.admin("download", "ftp://x/y", "--to", bucket, is_checked=False)
    assert (done.returncode, "http" in done.stderr) == (1, True)


def test_into_a_remote_bucket(
    bench: Bench, moto: S3Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("into-remote")
    settings = directory / "weir.toml"
    settings.write_text(f'[downloads]\nallowed_hosts = ["127.0.0.1:{bench.web.port}"]\n')
    front = start_front(directory, moto, ("--config", str(settings)), workers=1)
    try:
        bucket = front.new_bucket()
        bench.web.files["/files/through"] = pattern(70_000)
        message = {
            "bucket": {"name": bucket, "provider": "aws"},
            "link": bench.web.url("/files/through"),
        }
        job_id = front.ask("POST", "/v1/download", json=message).json()["id"]
        _idle(front, job_id)
        assert front.read_there(bucket, "through") == pattern(70_000)
        front.put_there(bucket, "d/a.tgz", b"a")
        front.put_there(bucket, "d/b.txt", b"b")
        message = {
            "type": "backend",
            "bucket": {"name": bucket, "provider": "aws"},
            "prefix": "d/",
            "suffix": ".tgz",
        }
        job_id = front.ask("POST", "/v1/download", json=message).json()["id"]
        status = _idle(front, job_id)
        assert (status["finished_cnt"], status["error_cnt"]) == (1, 0)
        assert cached(front, bucket) == ["d/a.tgz", "through"]
    finally:
        front.server.stop()


def _idle(front: Front, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        status: dict[str, Any] = front.ask("GET", "/v1/download", json={"id": job_id}).json()
        if not status["finished_time"].startswith("0001"):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
