"""The commands of docs/cloud.md that have a counterpart here, as they are written there."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.counterparts.process import clean_environment, program
from tests.counterparts.started import S3Endpoint
from tests.server import REPOSITORY, ROOT_KEYS, Server, ServerOptions

PAGE = REPOSITORY / "docs/cloud.md"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and does not log."""

    def log_message(self, *_: object) -> None:
        pass


def block_with(text: str) -> str:
    """The block of commands marked as tried that has this in it."""
    blocks = re.findall(r"<!-- tried -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if text in block]
    return str(found)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(ServerOptions([tmp_path_factory.mktemp("docs") / "data"]))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def run(server: Server, block: str, environment: dict[str, str], directory: Path) -> str:
    """What the commands print, typed in a shell in which `weir` is this one, and its store the server's."""
    weir = f'weir() {{ {sys.executable} -m gateway.cli.main "$@"; }}\n'
    block = block.replace("http://127.0.0.1:9000", server.endpoint)
    path = os.pathsep.join([str(Path(program("aws")).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-euc", weir + block],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=directory,
        env=clean_environment()
        | {
            "PATH": path,
            "PYTHONPATH": str(REPOSITORY),
            "WEIR_DATA": str(server.options.data_dirs[0]),
            "AWS_ACCESS_KEY_ID": ROOT_KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": ROOT_KEYS.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_any_s3_endpoint(server: Server, moto: S3Endpoint, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("read me")
    bucket = f"docs-{secrets.token_hex(6)}"
    moto.client().create_bucket(Bucket=bucket)
    block = block_with("minio").replace("https://minio.example:9000", moto.endpoint)
    keys = {"MINIO_KEY": moto.keys.access_key, "MINIO_SECRET": moto.keys.secret_key}
    said = run(server, block.replace("my-bucket", bucket), keys, tmp_path)
    assert f"bucket {bucket} is there" in said
    assert said.rstrip().endswith("README.md")
    with moto.client().get_object(Bucket=bucket, Key="README.md")["Body"] as body:
        assert body.read() == b"read me"


def test_a_plain_http_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("read me")
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    serving = Thread(target=files.serve_forever)
    serving.start()
    try:
        block = block_with("files.example").replace(
            "https://files.example/", f"http://127.0.0.1:{files.server_port}/"
        )
        assert run(server, block, {}, tmp_path).endswith("read me")
    finally:
        files.shutdown()
        serving.join()
        files.server_close()
