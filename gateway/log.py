"""Owns what the log looks like: one line, to standard error, as text or as a JSON object."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

from gateway.config import LogConfig
from gateway.node_log import NodeLog

_TALKATIVE = (
    "botocore",
    "aiobotocore",
    "boto3",
    "azure",
    "msal",
    "msrest",
    "aiohttp",
    "httpx",
    "httpcore",
    "urllib3",
    "requests",
)
"""Clients of providers. What they say below a warning has whole requests in it: signed URLs, tokens of sessions."""


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z info module: message`, a traceback on the lines after it."""

    def format(self, record: logging.LogRecord) -> str:
        line = (
            f"{_timestamp(record)} {record.levelname.lower()} {record.name}: {record.getMessage()}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _timestamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03}Z"


def configure_logging(config: LogConfig) -> None:
    """Send the log of all of weir's modules, and of the libraries it uses, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)
    # It announces each start and end of a worker; what goes wrong it says at a higher level.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLogger().level))
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))


def keep_log(config: LogConfig, directory: Path) -> None:
    """Keep the last of the log in a directory too, as text, from where clients of the native API read it."""
    try:
        kept = NodeLog(directory)
    except OSError as error:
        logging.getLogger(__name__).warning("the log is not kept in %s: %s", directory, error)
        return
    kept.setFormatter(TextFormatter())
    kept.setLevel(config.level.upper())
    logging.getLogger().addHandler(kept)
