"""The support page says what the operation table says."""

from __future__ import annotations

from pathlib import Path

from s3api.router import TABLE
from s3api.support import NOTES, render

_PAGE = Path(__file__).resolve().parents[3] / "docs/s3-support.md"


def test_page_is_current() -> None:
    assert _PAGE.read_text() == render(), "run: python -m s3api.support > docs/s3-support.md"


def test_notes_are_of_served_operations() -> None:
    assert NOTES.keys() <= {row.operation.name for row in TABLE}
