"""Owns the reading of browser POST forms: multipart/form-data, its fields in memory within a limit, its file streamed.

Source: AWS, "POST Object" and "Creating an HTML Form (Using AWS Signature Version 4)".
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.errors import EntityTooLarge
from core.types import ChecksumAlgorithm, ExpectedDigest
from s3api.auth.digests import Claims, read_checksum, read_content_md5
from s3api.auth.errors import (
    InvalidPostField,
    MalformedPostRequest,
    PostFieldsTooLarge,
    PostTooSmall,
)

MAX_FIELD_BYTES = 20 * 1024
"""All names, headers and values before the file together (AWS: POST Object, the form data limit)."""

_FILE_FIELD = "file"


@dataclass(frozen=True, slots=True)
class PostForm:
    """A form up to its file. `fields` by lower-case name, as text, with `${filename}` replaced already.

    `filename` is the last component of what the browser named; `file` must be read for the form to be whole.
    """

    fields: Mapping[str, str]
    filename: str
    file: FormFile


async def read_post_form(chunks: AsyncIterable[bytes], content_type: str) -> PostForm:
    """Read a form's fields and stop where its file begins.

    Raises MalformedPostRequest, PostFieldsTooLarge, InvalidPostField (no file, no key, a field twice), InvalidRequest
    and InvalidDigest for checksum fields that are none.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise MalformedPostRequest
    parser = _FormParser(boundary, aiter(chunks))
    while not parser.has_file:
        if not await parser.advance():
            raise InvalidPostField(
                "POST requires exactly one file upload per request.", name=_FILE_FIELD, value="0"
            )
    fields = {
        name: value.replace("${filename}", parser.filename) for name, value in parser.fields.items()
    }
    if not fields.get("key"):
        raise missing_field("key")
    return PostForm(fields, parser.filename, FormFile(parser, _claims(fields)))


def missing_field(name: str) -> InvalidPostField:
    """The error for a form without a field that it needs."""
    return InvalidPostField(
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the "
        "order of the fields.",
        name=name,
        value="",
    )


def _claims(fields: Mapping[str, str]) -> Claims:
    digests: list[ExpectedDigest] = []
    content_md5 = fields.get("content-md5")
    if content_md5 is not None:
        digests.append(read_content_md5(content_md5))
    checksum = read_checksum(fields)
    if checksum is None:
        return Claims(tuple(digests))
    return Claims((*digests, checksum), ChecksumAlgorithm(checksum.algorithm.upper()))


class FormFile:
    """The BodyStream of a form's file. Its size is not declared; `limit` says what a policy allows."""

    size_bytes: int | None = None

    def __init__(self, parser: _FormParser, claims: Claims) -> None:
        self._parser = parser
        self._claims = claims
        self._min_bytes = 0
        self._max_bytes: int | None = None

    @property
    def wanted_checksum(self) -> ChecksumAlgorithm | None:
        """As BodyStream."""
        return self._claims.wanted

    def limit(self, min_bytes: int, max_bytes: int) -> None:
        """Narrow the sizes that iteration accepts."""
        self._min_bytes = max(self._min_bytes, min_bytes)
        current = self._max_bytes
        self._max_bytes = max_bytes if current is None else min(current, max_bytes)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """As BodyStream. Raises EntityTooLarge as soon as it is, PostTooSmall, MalformedPostRequest."""
        parser = self._parser
        received = 0
        while True:
            piece = parser.take()
            received += len(piece)
            if self._max_bytes is not None and received > self._max_bytes:
                raise EntityTooLarge(size_bytes=received, max_bytes=self._max_bytes)
            if piece:
                yield piece
            if not await parser.advance():
                break
        if received < self._min_bytes:
            raise PostTooSmall(size_bytes=received, min_bytes=self._min_bytes)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """As BodyStream."""
        return self._claims.digests

    def expected_algorithms(self) -> Sequence[str]:
        """As BodyStream."""
        return self._claims.algorithms()


class _Part(Enum):
    """What is done with the data of the part that is being parsed."""

    FIELD = auto()
    FILE = auto()
    IGNORED = auto()


class _FormParser:
    """Sorts the parser's events: fields are kept, the file's bytes wait for `take`, what follows it is ignored."""

    def __init__(self, boundary: bytes, chunks: AsyncIterator[bytes]) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.has_file = False
        self._chunks = chunks
        self._is_whole = False
        self._field_bytes = 0
        self._file: list[bytes] = []
        self._part = _Part.IGNORED
        self._name = ""
        self._value = bytearray()
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise MalformedPostRequest from None

    async def advance(self) -> bool:
        """Parse the next bytes; False at the end. Raises MalformedPostRequest if the form ends before its end."""
        chunk = await anext(self._chunks, None)
        if chunk is None:
            if not self._is_whole:
                raise MalformedPostRequest
            return False
        if self._is_whole:
            return True  # an epilogue says nothing
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise MalformedPostRequest from None
        return True

    def take(self) -> bytes:
        """The bytes of the file that were parsed since the last call."""
        pieces, self._file = self._file, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _count(self, more: int) -> None:
        if self.has_file:
            return
        self._field_bytes += more
        if self._field_bytes > MAX_FIELD_BYTES:
            raise PostFieldsTooLarge

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        if self.has_file:
            self._part = _Part.IGNORED
            return
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name")
        if name is None:
            raise MalformedPostRequest
        self._name = _text(name).lower()
        self._value = bytearray()
        self._part = _Part.FIELD
        if self._name == _FILE_FIELD:
            self._part = _Part.FILE
            self.has_file = True
            self.filename = _base_name(_text(options.get(b"filename", b"")))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is _Part.FILE:
            self._file.append(data[start:end])
        elif self._part is _Part.FIELD:
            self._count(end - start)
            self._value += data[start:end]

    def _on_part_end(self) -> None:
        if self._part is _Part.FIELD:
            if self._name in self.fields:
                raise InvalidPostField(
                    f"POST requires at most one field named '{self._name}'.",
                    name=self._name,
                    value="2",
                )
            self.fields[self._name] = _text(bytes(self._value))

    def _on_end(self) -> None:
        self._is_whole = True


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedPostRequest from None


def _base_name(filename: str) -> str:
    """What follows the last slash or backslash: some browsers send whole paths."""
    return filename.replace("\\", "/").rpartition("/")[2]
