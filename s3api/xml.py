"""Owns XML in both directions: the writing of S3's documents as text, and the safe reading of clients' documents.

Writing is string building, because a listing of 1,000 keys has 1 ms. Reading goes through defusedxml only.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import TypeVar
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from s3api.protocol_errors import MalformedXML

T = TypeVar("T")

XML_TYPE = (b"content-type", b"application/xml")
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

# What cannot stand in XML text as itself. Control characters, which XML 1.0 cannot carry at all, become character
# references as S3 writes them; a client that has such keys asks for encoding-type=url.
_SPECIAL = re.compile('[&<>"\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]')
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}

# Beyond this size a document is parsed in a thread: the pure-Python tree building takes about 1 ms.
_THREAD_ABOVE_BYTES = 16 * 1024

# 10,000 parts with ETag, number and five checksums are 80,001 elements. An element costs 25 times its shortest text.
_MAX_ELEMENTS = 100_000


def escape(text: str) -> str:
    """Text as it may stand between tags."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_reference, text)


def _reference(match: re.Match[str]) -> str:
    character = match.group()
    return _NAMED.get(character) or f"&#x{ord(character):x};"


def element(name: str, text: str | int) -> str:
    """One element of text."""
    return f"<{name}>{escape(text) if isinstance(text, str) else text}</{name}>"


def echo(name: str, text: str) -> str:
    """One element that repeats to a client what it sent. What XML 1.0 cannot carry is replaced, so that the document
    can be parsed whatever the key."""
    return element(name, _ILLEGAL.sub("\ufffd", text))


def optional(name: str, text: str | int | None) -> str:
    """One element of text, or nothing where there is none (None or empty)."""
    return element(name, text) if text is not None and text != "" else ""


def flag(name: str, value: bool) -> str:
    """An element that says true or false."""
    return f"<{name}>{'true' if value else 'false'}</{name}>"


def document(root: str, *content: str, namespace: bool = True) -> bytes:
    """A whole document; errors alone are written without the namespace."""
    opening = _NAMESPACE if namespace else ""
    return f"{_DECLARATION}<{root}{opening}>{''.join(content)}</{root}>".encode()


async def parse(source: bytes, root: str, convert: Callable[[Element], T]) -> T:
    """What `convert` makes of the root element of a client's document; a long one is handled in a thread.

    Raises MalformedXML, also for a root of another name, and what `convert` raises.
    """
    if len(source) > _THREAD_ABOVE_BYTES:
        return await asyncio.to_thread(_convert_sync, source, root, convert)
    return _convert_sync(source, root, convert)


def _convert_sync(source: bytes, root: str, convert: Callable[[Element], T]) -> T:
    parsed = _parse_sync(source)
    if local_name(parsed) != root:
        raise MalformedXML(reason=f"root element is {local_name(parsed)}, not {root}")
    return convert(parsed)


def _parse_sync(source: bytes) -> Element:
    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        parser.feed(source)
        parsed: Element = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise MalformedXML(reason=str(error)) from error
    return parsed


class _BoundedBuilder(TreeBuilder):
    """Builds trees of no more elements than any document of S3 has."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._count += 1
        if self._count > _MAX_ELEMENTS:
            raise MalformedXML(reason=f"more than {_MAX_ELEMENTS} elements")
        return super().start(tag, attrs)


def local_name(node: Element) -> str:
    """The tag without its namespace: clients send S3's, another or none."""
    return node.tag.rpartition("}")[2]


def children(node: Element, name: str) -> Iterator[Element]:
    """The child elements of a name."""
    return (child for child in node if local_name(child) == name)


def first_child(node: Element, name: str) -> Element | None:
    """The first child element of a name."""
    return next(children(node, name), None)


def texts(node: Element) -> dict[str, str]:
    """The texts of the child elements by name; the first of a name wins."""
    found: dict[str, str] = {}
    for child in node:
        found.setdefault(local_name(child), child.text or "")
    return found
