"""XML is written so that it can be read back, and read so that no document can do harm."""

from __future__ import annotations

import asyncio
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from s3api.protocol_errors import MalformedXML
from s3api.xml import children, document, echo, element, escape, flag, optional, parse, texts

# What XML 1.0 can carry; "\r" comes back because it is written as a reference.
_CARRIED = st.characters(exclude_categories=["Cs"]).filter(
    lambda c: c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff")
)


def read(source: bytes, root: str = "A") -> Element:
    return asyncio.run(parse(source, root, lambda node: node))


@given(st.text(_CARRIED))
def test_text_comes_back(text: str) -> None:
    assert (fromstring(document("A", element("B", text))).findtext("{*}B") or "") == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_echo_can_be_parsed(text: str) -> None:
    fromstring(document("A", echo("B", text)))


def test_escape_leaves_plain_text_alone() -> None:
    text = "a/b-ü ☃"
    assert escape(text) is text


def test_elements() -> None:
    assert element("A", 3) == "<A>3</A>"
    assert (optional("A", None), optional("A", ""), optional("A", 0)) == ("", "", "<A>0</A>")
    assert flag("A", True) + flag("A", False) == "<A>true</A><A>false</A>"


@pytest.mark.parametrize(
    "source", [b"<A><B>x</B><B/></A>", b'<A xmlns="http://any/"><B>x</B><B/></A>']
)
def test_namespaces_do_not_matter(source: bytes) -> None:
    root = read(source)
    assert texts(root) == {"B": "x"}
    assert len(list(children(root, "B"))) == 2


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"<A>",
        b"<A></B>",
        b"<B/>",
        b"text",
        b"<A>\xff</A>",
        b'<?xml version="1.0" encoding="nonsense"?><A/>',
        b"<!DOCTYPE A><A/>",
        b'<!DOCTYPE A [<!ENTITY x "y">]><A>&x;</A>',
        b'<!DOCTYPE A SYSTEM "file:///etc/passwd"><A/>',
        b"<A>&#1;</A>",
        b"<A>" + b"<B/>" * 100_001 + b"</A>",
    ],
)
def test_bad_documents(source: bytes) -> None:
    with pytest.raises(MalformedXML):
        read(source)


def test_deep_document() -> None:
    depth = 90_000
    assert texts(read(b"<A>" * depth + b"</A>" * depth)) == {"A": ""}
