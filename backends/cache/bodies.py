"""Owns the bodies that go to backends: what waits on a disk here, read as often as it takes; what passes through when
there is no room for it; and what readers offer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from core.digests import MD5, Digest, check_claims, new_digest, wanted_algorithms
from core.errors import IncompleteBody
from core.protocols import BodyStream, ObjectReader
from core.types import ChecksumAlgorithm, ExpectedDigest

# Below this, the way to a thread and back costs more than a digest.
_INLINE_BYTES = 32 * 1024


class ReaderBody:
    """The bytes that an open reader offers, once."""

    def __init__(self, reader: ObjectReader, wanted: ChecksumAlgorithm | None = None) -> None:
        self._reader = reader
        self.size_bytes: int | None = reader.length
        self.wanted_checksum = wanted

    def __aiter__(self) -> AsyncIterator[bytes]:
        """See BodyStream."""
        return aiter(self._reader)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """None: the reader answers for its bytes."""
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        """None."""
        return ()


class StoredBody:
    """Bytes that lie here, in one run or several, one after the other; each iteration reads them anew, so a request may
    be tried again."""

    wanted_checksum: ChecksumAlgorithm | None = None
    is_replayable = True

    def __init__(
        self,
        size_bytes: int,
        runs: Sequence[Callable[[], Awaitable[ObjectReader]]],
        *,
        md5: bytes = b"",
    ) -> None:
        self.size_bytes: int | None = size_bytes
        self._runs = runs
        self._claims = [ExpectedDigest(MD5, md5, "content-md5")] if md5 else []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See BodyStream."""
        for open_run in self._runs:
            reader = await open_run()
            try:
                async for chunk in reader:
                    yield chunk
            finally:
                await reader.close()

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """The MD5, known before the first byte."""
        return self._claims

    def expected_algorithms(self) -> Sequence[str]:
        """See BodyStream."""
        return [claim.algorithm for claim in self._claims]


class WatchedBody:
    """A body that tells whether anything of it was taken."""

    def __init__(self, body: BodyStream) -> None:
        self._body = body
        self.size_bytes = body.size_bytes
        self.wanted_checksum = body.wanted_checksum
        self.has_begun = False
        self.expected_digests = body.expected_digests
        self.expected_algorithms = body.expected_algorithms

    def __aiter__(self) -> AsyncIterator[bytes]:
        """See BodyStream."""
        self.has_begun = True
        return aiter(self._body)


class PassingBody:
    """A body on its way through, which is not kept here. Its last chunk is handed out only when every claim of the
    sender was found to hold, so that a receiver who was promised `size_bytes` never has a bad body whole."""

    def __init__(self, body: BodyStream, wanted: ChecksumAlgorithm | None) -> None:
        assert body.size_bytes is not None
        self._body = body
        self._digests: dict[str, Digest] = {
            name: new_digest(name) for name in wanted_algorithms(body, wanted)
        }
        self.size_bytes: int | None = body.size_bytes
        self.wanted_checksum = wanted
        self.has_begun = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See BodyStream."""
        self.has_begun = True
        size_bytes = 0
        held = b""
        async for chunk in self._body:
            size_bytes += len(chunk)
            if size_bytes > (self.size_bytes or 0):
                break
            if len(chunk) < _INLINE_BYTES:
                self._update(chunk)
            else:
                await asyncio.to_thread(self._update, chunk)
            if held:
                yield held
            held = bytes(chunk)
        if size_bytes != self.size_bytes:
            raise IncompleteBody(expected_bytes=self.size_bytes, actual_bytes=size_bytes)
        check_claims(self.digests(), self._body.expected_digests())
        if held:
            yield held

    def _update(self, chunk: bytes) -> None:
        for digest in self._digests.values():
            digest.update(chunk)

    def digests(self) -> dict[str, bytes]:
        """Of what has passed."""
        return {name: digest.digest() for name, digest in self._digests.items()}

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """None: they are checked on the way."""
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        """None."""
        return ()
