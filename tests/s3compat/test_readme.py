"""The README's 60 seconds, as they are written there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.s3compat.programs import client_environment, find
from tests.server import REPOSITORY, Server


def test_aws_cli_block(server: Server, tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text()
    block = next(
        block
        for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
        if block.startswith("aws ")
    )
    (tmp_path / "README.md").write_text(readme)
    path = os.pathsep.join([str(Path(find("aws")).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-euc", block],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=client_environment() | {"AWS_ENDPOINT_URL": server.endpoint, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy.md").read_text() == readme


def test_store_is_private(server: Server) -> None:
    for directory in server.options.data_dirs:
        for path in directory.iterdir():
            assert path.stat().st_mode & 0o077 == 0, path
