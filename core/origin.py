"""Owns who makes a change, and by what: what an event notification says of it beside the object itself."""

from __future__ import annotations

from dataclasses import dataclass

from core.light import light


@light
@dataclass(frozen=True, slots=True)
class Origin:
    """The request, or the job, that changes a bucket. `operation` is the S3 operation's name, or LIFECYCLE."""

    operation: str
    requester: str = ""
    source_address: str = ""
    request_id: str = ""
    host_id: str = ""
    region: str = ""


LIFECYCLE = Origin("Lifecycle", requester="s3.amazonaws.com")
"""Of what lifecycle rules do."""
