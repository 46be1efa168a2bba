"""The log: one line, as text or JSON, with tracebacks and without surprises."""

from __future__ import annotations

import json
import logging
import re
import sys

from gateway.log import JsonFormatter, TextFormatter


def record(message: str, *values: object, is_error: bool = False) -> logging.LogRecord:
    exc_info = None
    if is_error:
        try:
            raise ValueError("broken")
        except ValueError:
            exc_info = sys.exc_info()
    return logging.LogRecord("a.b", logging.WARNING, "file.py", 1, message, values, exc_info)


def test_text() -> None:
    line = TextFormatter().format(record("lost %s of %d", "x", 3))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning a\.b: lost x of 3", line)


def test_text_with_traceback() -> None:
    lines = TextFormatter().format(record("failed", is_error=True)).splitlines()
    assert lines[1].startswith("Traceback")
    assert lines[-1] == "ValueError: broken"


def test_json() -> None:
    line = JsonFormatter().format(record('say "%s"', "\n", is_error=True))
    assert "\n" not in line
    fields = json.loads(line)
    assert (fields["level"], fields["logger"], fields["message"]) == ("warning", "a.b", 'say "\n"')
    assert fields["traceback"].endswith("ValueError: broken")
