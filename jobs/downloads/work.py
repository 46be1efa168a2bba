"""Owns the work of a job that downloads: its objects in order, many at a time, and what it tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from core.errors import Denied, NoSuchBucket, OutOfSpace, StoreError, Unavailable
from core.events import with_origin
from core.job_access import JobAccess
from core.names import parse_object_key
from core.origin import Origin
from core.types import User
from jobs.downloads.failures import DownloadFailed
from jobs.downloads.fetching import Fetcher, Pace
from jobs.downloads.hub import hub_items
from jobs.downloads.job import DownloadJob
from jobs.downloads.report import Report
from jobs.downloads.request import DownloadRequest, Item
from jobs.downloads.web import Web
from jobs.lookup import find_bucket
from jobs.parallel import work_through
from jobs.queue import JobContext


class DownloadWork:
    """One run of the job; see DownloadJob."""

    def __init__(self, kind: DownloadJob, context: JobContext, request: DownloadRequest) -> None:
        self._kind = kind
        self._context = context
        self._request = request
        bucket = find_bucket(kind.control, request.bucket, str(request.bucket_id))
        user = kind.control.user(request.user_id)
        if user is None:
            raise NoSuchBucket(bucket=bucket.name, reason="who asked for the download is gone")
        self._user: User = user
        self._access = JobAccess(user, bucket)
        origin = Origin("PutObject", requester=user.user_id, region=bucket.region)
        self._bucket = with_origin(bucket, origin)
        self._report = Report(context.report)
        context.tell_by(self._report.text)
        self._timeout_s = request.timeout_s or kind.rules.timeout_s

    async def work(self) -> None:
        context, request, rules = self._context, self._request, self._kind.rules
        connections = request.connections or rules.connections
        context.say(f"{context.arguments.get('description', '')} -> {self._bucket.name}".strip())
        async with Web(rules.egress, request.headers, connections=connections) as web:
            pace = Pace(request.bytes_per_hour, context.pause)
            self._fetcher = Fetcher(
                self._kind.store, self._bucket, self._user, web, pace, context.pause
            )
            await work_through(context, self._items(web), self._one, workers=connections)

    async def _items(self, web: Web) -> AsyncIterator[tuple[str, Item]]:
        """All that is left to do, each with the cursor behind it."""
        context, request = self._context, self._request
        before, _, number = context.cursor.rpartition("/")
        first = int(number) if number.isdecimal() else 0
        if not request.hub:
            context.expect(request.count)
            for index, item in enumerate(request.items(first), first + 1):
                yield f"/{index}", item
            return
        endpoint = self._kind.rules.hub_endpoint
        revision, items = await hub_items(web, endpoint, request.hub, request.subdir)
        if revision != before:
            first = 0  # what is there already is found out again
        context.expect(len(items))
        for index in range(first, len(items)):
            yield f"{revision}/{index + 1}", items[index]

    async def _one(self, item: Item) -> None:
        context = self._context
        task = self._report.begin(item.name)
        reason = ""
        try:
            key = parse_object_key(item.name.encode())
            self._access.require("s3:PutObject", key)
            async with asyncio.timeout(self._timeout_s):
                info = await self._fetcher.fetch(item, task)
            if info is None:
                context.count(skipped_objects=1)
            else:
                context.count(objects=1, size_bytes=info.size_bytes)
        except OutOfSpace:
            raise
        except TimeoutError:
            reason = f"it took longer than {self._timeout_s:g} s"
        except DownloadFailed as error:
            reason = f"{error.link}: {error.reason}"
        except Denied:
            reason = "who asked for it may not write it"
        except Unavailable as error:
            reason = f"it could not be stored: {type(error).__name__}"
        except (StoreError, UnicodeEncodeError) as error:
            reason = type(error).__name__
        finally:
            self._report.end(task, is_done=not reason)
        if reason:
            self._report.fail(item.name, reason)
            context.count(failed_objects=1)
