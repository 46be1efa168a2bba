"""Get-batch over buckets that live elsewhere: what is not here yet comes on its way into the archive."""

from __future__ import annotations

import io
import secrets
import tarfile

from tests.remote.cold import Cold


def _batch(cold: Cold, items: list[dict[str, str]]) -> dict[str, bytes]:
    """The members of the answer, in order."""
    named = [{"bucket": cold.bucket, "provider": "aws", **item} for item in items]
    message = {"in": named, "coer": True, "strm": True, "onob": True}
    reply = cold.front.ask("GET", f"/v1/ml/moss/{cold.bucket}?provider=aws", json=message)
    assert reply.status_code == 200, reply.text
    with tarfile.open(fileobj=io.BytesIO(reply.content)) as archive:
        return {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def test_what_is_not_here_is_fetched(cold: Cold, key: str) -> None:
    data = {f"{key}/{n}": secrets.token_bytes(1000 * 40**n) for n in range(4)}
    for name, each in data.items():
        cold.wilful.place(name, each)
    items = [{"objname": name} for name in data]
    for _ in range(2):
        assert list(_batch(cold, items).items()) == list(data.items())
        assert all(cold.is_cached(name) for name in data)
    assert all(cold.wilful.reads[name] == 1 for name in data)


def test_what_is_nowhere_is_a_soft_error(cold: Cold, key: str) -> None:
    cold.wilful.place(key, b"here")
    got = _batch(cold, [{"objname": f"{key}-absent"}, {"objname": key}])
    assert list(got.items()) == [(f"__404__/{key}-absent", b""), (key, b"here")]


def test_members_of_a_shard_that_is_not_here(cold: Cold, key: str) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(3):
            info = tarfile.TarInfo(f"m{number}")
            info.size = 700
            archive.addfile(info, io.BytesIO(bytes([number]) * 700))
    shard = f"{key}.tar"
    cold.wilful.place(shard, file.getvalue())
    items = [{"objname": shard, "archpath": f"m{number}"} for number in (2, 0)]
    got = _batch(cold, items)
    assert list(got.values()) == [bytes([2]) * 700, bytes([0]) * 700]
    assert cold.wilful.reads[shard] == 1
