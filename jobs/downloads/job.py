"""Owns the kind of job that downloads, and what the server says of downloads. What one does is in `work`."""

from __future__ import annotations

from dataclasses import dataclass

from core.control import KeyService
from core.egress import PUBLIC, EgressRules
from core.job_table import SEALED
from core.protocols import ObjectStore
from core.sealing import open_text
from jobs.downloads.request import DOWNLOAD, DownloadRequest
from jobs.object_group import Control
from jobs.queue import JobContext, OnDemand


@dataclass(frozen=True, slots=True)
class DownloadRules:
    """What the server says of downloads: where they may go, and what holds where a job does not say."""

    egress: EgressRules = PUBLIC
    connections: int = 8
    timeout_s: float = 3600.0
    hub_endpoint: str = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class DownloadJob(OnDemand):
    """A JobKind. An object that fails is counted and told of, and the others are fetched."""

    store: ObjectStore
    control: Control
    keys: KeyService
    rules: DownloadRules

    name = DOWNLOAD

    async def run(self, context: JobContext) -> None:
        text = await open_text(self.keys, binding_of(context.job_id), context.arguments[SEALED])
        # The HTTP client takes half a second to load, and 12 MiB, which most processes need never spend.
        from jobs.downloads.work import DownloadWork

        await DownloadWork(self, context, DownloadRequest.parse(text)).work()


def binding_of(job_id: str) -> bytes:
    """What the request of a job is sealed with, so that it opens as this job's alone."""
    return f"weir download {job_id}".encode()
