"""The datasets of `aistore.pytorch`, unmodified, alone and under a DataLoader with worker processes."""

from __future__ import annotations

import importlib.util
import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.dataset.data_shard import DataShard

from tests.server import Server

pytestmark = [
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("torch", "alive_progress")),
        reason="CLIENT NOT TESTED: torch and alive-progress are not installed; the SDK's readers and batches,"
        " which the datasets are made of, have tests of their own",
    ),
    # The SDK forks and lets sessions be collected unclosed; torch and its parts warn of themselves.
    pytest.mark.filterwarnings("ignore"),
]

_COUNT = 40


def _shard(samples: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def samples(bucket: Bucket) -> dict[str, bytes]:
    made = {f"sample/{n:03}": b"%d" % n * (n + 1) for n in range(_COUNT)}
    for name, content in made.items():
        bucket.object(name).get_writer().put_content(content)
    return made


@pytest.fixture
def shards(bucket: Bucket) -> dict[str, dict[str, bytes]]:
    made: dict[str, dict[str, bytes]] = {}
    for number in range(3):
        content = {}
        for place in range(4):
            content[f"{number}-{place}.cls"] = b"%d" % place
            content[f"{number}-{place}.jpg"] = bytes([number]) * (100 + place)
        made[f"shard-{number}.tar"] = content
        bucket.object(f"shard-{number}.tar").get_writer().put_content(_shard(content))
    return made


def _loaded(dataset: Any, workers: int) -> Iterator[tuple[str, bytes]]:
    from torch.utils.data import DataLoader

    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    for name, content in loader:
        yield name, bytes(content)


@pytest.mark.parametrize("workers", [0, 2])
def test_map_dataset(bucket: Bucket, samples: dict[str, bytes], workers: int) -> None:
    from aistore.pytorch import AISMapDataset

    dataset = AISMapDataset(ais_source_list=[bucket])
    assert len(dataset) == _COUNT
    assert dict(_loaded(dataset, workers)) == samples


@pytest.mark.parametrize("workers", [0, 2])
def test_iterable_dataset(bucket: Bucket, samples: dict[str, bytes], workers: int) -> None:
    from aistore.pytorch import AISIterDataset

    dataset = AISIterDataset(bucket, prefix_map={bucket: "sample/00"})
    assert dict(_loaded(dataset, workers)) == {
        name: content for name, content in samples.items() if name.startswith("sample/00")
    }


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_objects(
    client: Client, bucket: Bucket, samples: dict[str, bytes], *, workers: int, streaming: bool
) -> None:
    from aistore.pytorch.batch_iter_dataset import AISBatchIterDataset

    dataset = AISBatchIterDataset(bucket, client, max_batch_size=7, streaming=streaming)
    assert dict(_loaded(dataset, workers)) == samples


def test_objects_read_in_parallel(bucket: Bucket, samples: dict[str, bytes]) -> None:
    from aistore.pytorch import AISParallelMapDataset

    dataset = AISParallelMapDataset([bucket], {bucket: "sample/03"}, num_workers=2)
    name, content = dataset[0]
    with content:
        assert content.tobytes() == samples[name]


def test_shards(bucket: Bucket, shards: dict[str, dict[str, bytes]]) -> None:
    from aistore.pytorch import AISShardReader

    reader = AISShardReader(bucket)
    read = {
        f"{name}.{ending}": content for name, parts in reader for ending, content in parts.items()
    }
    # Not len(reader), which asks for an attribute that the SDK's own objects do not have.
    assert read == {name: data for shard in shards.values() for name, data in shard.items()}


def test_streams_of_shards(
    server: Server, bucket: Bucket, shards: dict[str, dict[str, bytes]]
) -> None:
    from aistore.pytorch import AISMultiShardStream

    bucket.object("labels.tar").get_writer().put_content(_shard({"a": b"1", "b": b"2"}))
    sources = [
        DataShard(server.endpoint, bucket.name, prefix=name) for name in ("shard-1", "labels")
    ]
    stream = AISMultiShardStream(sources)
    # Two members of the shorter one.
    expected = zip(sorted(shards["shard-1.tar"].items()), (b"1", b"2"), strict=False)
    assert [tuple(map(bytes, pair)) for pair in stream] == [
        (content, label) for (_, content), label in expected
    ]


def test_batches_by_size(bucket: Bucket, samples: dict[str, bytes]) -> None:
    from aistore.pytorch import AISMapDataset, DynamicBatchSampler
    from torch.utils.data import DataLoader

    dataset = AISMapDataset(ais_source_list=bucket)
    sampler = DynamicBatchSampler(dataset, max_batch_size=200)
    seen = {}
    for batch in DataLoader(dataset, batch_sampler=sampler, collate_fn=list):
        seen.update({name: bytes(content) for name, content in batch})
    assert seen == samples
