"""Sealed runs and wrapped keys: they give back what went in, any range of it, and nothing at all once touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cipher import (
    CHUNK_BYTES,
    HEADER_BYTES,
    SEALED_CHUNK_BYTES,
    DoesNotOpen,
    Opener,
    Sealer,
    chunks_of,
    hidden_etag,
    new_key,
    open_run,
    opened_size,
    sealed_size,
    unwrap,
    wrap,
)
from tests.unit.storage.box import pattern

KEY = bytes(range(32))
OTHER = bytes(32)

EDGES = [
    max(0, chunks * CHUNK_BYTES + delta) for chunks in (0, 1, 2, 3) for delta in (-2, -1, 0, 1, 2)
]
sizes = st.sampled_from(EDGES) | st.integers(0, 4 * CHUNK_BYTES)


def sealed(data: bytes, part_number: int = 0) -> bytes:
    return Sealer(KEY, part_number).seal(data)


@pytest.mark.parametrize("size_bytes", sorted(set(EDGES)))
def test_a_run_comes_back_whole(size_bytes: int) -> None:
    data = pattern(size_bytes)
    run = sealed(data)
    assert len(run) == sealed_size(size_bytes)
    assert opened_size(len(run)) == size_bytes
    assert open_run(KEY, 0, run, 0, size_bytes) == data


@settings(max_examples=60, deadline=None)
@given(sizes, st.data())
def test_any_range_opens_from_its_own_chunks(size_bytes: int, draw: st.DataObject) -> None:
    data = pattern(size_bytes)
    run = sealed(data)
    edges = [edge for edge in EDGES if edge <= size_bytes] or [0]
    first = draw.draw(st.sampled_from(edges) | st.integers(0, size_bytes))
    length = draw.draw(st.integers(0, size_bytes - first))
    assert open_run(KEY, 0, run, first, length) == data[first : first + length]
    if length:
        needed = chunks_of(first, length, len(run))
        assert needed.size_bytes <= length + 2 * SEALED_CHUNK_BYTES + length // CHUNK_BYTES * 16


@settings(max_examples=40, deadline=None)
@given(sizes, st.lists(st.integers(1, 70_000), max_size=8))
def test_however_the_bytes_arrive_the_run_is_the_same_length_and_opens(
    size_bytes: int, cuts: list[int]
) -> None:
    data, sealer, pieces, at = pattern(size_bytes), Sealer(KEY, 3), [], 0
    for cut in cuts:
        pieces += sealer.update([data[at : at + cut]])
        at += cut
    run = b"".join([*pieces, *sealer.update([data[at:]]), *sealer.finish()])
    assert len(run) == sealed_size(size_bytes)
    assert open_run(KEY, 3, run, 0, size_bytes) == data


def test_the_same_bytes_never_look_the_same() -> None:
    assert sealed(b"again") != sealed(b"again")
    assert pattern(200_000)[:1000] not in sealed(pattern(200_000))


@pytest.mark.parametrize(
    "place",
    [0, 1, 16, 17, 23, 24, 100, HEADER_BYTES + SEALED_CHUNK_BYTES - 1, -17, -16, -1],
    ids=str,
)
def test_a_changed_byte_anywhere_is_noticed(place: int) -> None:
    run = bytearray(sealed(pattern(CHUNK_BYTES + 500)))
    run[place] ^= 1
    with pytest.raises(DoesNotOpen):
        open_run(KEY, 0, bytes(run), 0, CHUNK_BYTES + 500)


@pytest.mark.parametrize("missing", [1, 16, 17, 500, SEALED_CHUNK_BYTES])
def test_a_shortened_run_is_noticed(missing: int) -> None:
    run = sealed(pattern(3 * CHUNK_BYTES))[:-missing]
    with pytest.raises(DoesNotOpen):
        open_run(KEY, 0, run, 0, opened_size(len(run)))


def test_dropping_whole_chunks_from_the_end_is_noticed() -> None:
    run = sealed(pattern(3 * CHUNK_BYTES))[: HEADER_BYTES + 2 * SEALED_CHUNK_BYTES]
    assert opened_size(len(run)) == 2 * CHUNK_BYTES
    assert open_run(KEY, 0, run, 0, 10) == pattern(3 * CHUNK_BYTES)[:10]
    with pytest.raises(DoesNotOpen):
        open_run(KEY, 0, run, CHUNK_BYTES, CHUNK_BYTES)


def test_swapped_chunks_are_noticed() -> None:
    run = sealed(pattern(3 * CHUNK_BYTES))
    head, body = run[:HEADER_BYTES], run[HEADER_BYTES:]
    first, second = body[:SEALED_CHUNK_BYTES], body[SEALED_CHUNK_BYTES : 2 * SEALED_CHUNK_BYTES]
    swapped = head + second + first + body[2 * SEALED_CHUNK_BYTES :]
    with pytest.raises(DoesNotOpen):
        open_run(KEY, 0, swapped, 0, 3 * CHUNK_BYTES)


def test_chunks_of_another_run_are_noticed() -> None:
    one, two = sealed(pattern(2 * CHUNK_BYTES, 1)), sealed(pattern(2 * CHUNK_BYTES, 2))
    mixed = one[: HEADER_BYTES + SEALED_CHUNK_BYTES] + two[HEADER_BYTES + SEALED_CHUNK_BYTES :]
    with pytest.raises(DoesNotOpen):
        open_run(KEY, 0, mixed, 0, 2 * CHUNK_BYTES)


def test_a_part_does_not_open_as_another() -> None:
    with pytest.raises(DoesNotOpen):
        open_run(KEY, 2, sealed(b"part one", 1), 0, 8)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(DoesNotOpen):
        open_run(OTHER, 0, sealed(b"secret"), 0, 6)


@pytest.mark.parametrize("size_bytes", [0, 23, 24, 39, HEADER_BYTES + SEALED_CHUNK_BYTES + 16 - 1])
def test_lengths_that_no_run_has(size_bytes: int) -> None:
    with pytest.raises(DoesNotOpen):
        opened_size(size_bytes)


def test_an_unknown_format_does_not_open() -> None:
    run = sealed(b"x")
    with pytest.raises(DoesNotOpen):
        Opener(KEY, 0, b"\x02" + run[1:HEADER_BYTES], len(run))


def test_wrapped_keys_open_with_their_key_and_binding_only() -> None:
    secret = new_key()
    wrapped = wrap(KEY, secret, b"mine")
    assert unwrap(KEY, wrapped, b"mine") == secret
    assert secret not in wrapped
    assert wrap(KEY, secret, b"mine") != wrapped
    for key, kept, binding in (
        (OTHER, wrapped, b"mine"),
        (KEY, wrapped, b"yours"),
        (KEY, wrapped[:-1], b"mine"),
        (KEY, wrapped[:3], b"mine"),
        (KEY, b"", b"mine"),
        (KEY, bytes([wrapped[0] ^ 1]) + wrapped[1:], b"mine"),
    ):
        with pytest.raises(DoesNotOpen):
            unwrap(key, kept, binding)


def test_hidden_etags_are_stable_and_look_like_md5() -> None:
    assert hidden_etag(KEY, b"md5") == hidden_etag(KEY, b"md5")
    assert hidden_etag(KEY, b"md5") != hidden_etag(OTHER, b"md5")
    assert len(hidden_etag(KEY, b"md5")) == 32


def test_a_sealer_shows_no_key() -> None:
    assert repr(KEY) not in repr(Sealer(KEY))
