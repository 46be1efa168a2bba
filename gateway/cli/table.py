"""Owns how lists and times are printed: a table for people, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

_NS_PER_S = 10**9


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], is_json: bool) -> None:
    """Rows as a table of some columns, or all of them as JSON."""
    if is_json:
        print(json.dumps(rows, indent=2))
        return
    table = [
        [name.replace("_", " ") for name in columns],
        *([str(row[name]) for name in columns] for row in rows),
    ]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for line in table:
        print(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def time_text(time_ns: int) -> str:
    """A time in UTC, to the second; nothing for none."""
    if not time_ns:
        return ""
    return datetime.fromtimestamp(time_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
