"""pyarrow's S3FileSystem, and a dataset over it."""

from __future__ import annotations

import pyarrow
import pytest
from pyarrow import dataset, fs

from tests.s3compat.wire import host_of
from tests.server import REGION, ROOT_KEYS, Server


@pytest.fixture
def arrow(server: Server) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=ROOT_KEYS.access_key,
        secret_key=ROOT_KEYS.secret_key,
        endpoint_override=host_of(server),
        scheme="http",
        region=REGION,
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )


def test_pyarrow_files(arrow: fs.S3FileSystem, bucket: str) -> None:
    data = bytes(range(256)) * 50_000
    arrow.create_dir(f"{bucket}/dir")
    with arrow.open_output_stream(f"{bucket}/dir/large") as stream:
        stream.write(data)
    with arrow.open_input_file(f"{bucket}/dir/large") as file:
        assert file.read_at(300, 1000) == data[1000:1300]
        assert file.read() == data
    arrow.copy_file(f"{bucket}/dir/large", f"{bucket}/dir/copy")
    arrow.move(f"{bucket}/dir/copy", f"{bucket}/dir/moved")
    found = arrow.get_file_info(fs.FileSelector(f"{bucket}/dir", recursive=True))
    assert sorted((each.base_name, each.size) for each in found) == [
        ("large", len(data)),
        ("moved", len(data)),
    ]
    arrow.delete_dir(f"{bucket}/dir")
    assert arrow.get_file_info(f"{bucket}/dir/large").type == fs.FileType.NotFound


def test_pyarrow_dataset(arrow: fs.S3FileSystem, bucket: str) -> None:
    table = pyarrow.table({"n": list(range(10_000)), "part": ["a", "b"] * 5_000})
    dataset.write_dataset(
        table,
        f"{bucket}/data",
        filesystem=arrow,
        format="parquet",
        partitioning=["part"],
        partitioning_flavor="hive",
    )
    again = dataset.dataset(f"{bucket}/data", filesystem=arrow, partitioning="hive")
    assert sorted(again.to_table()["n"].to_pylist()) == list(range(10_000))
    assert again.count_rows(filter=dataset.field("part") == "a") == 5_000
