"""A small web on loopback: files, redirects, and a hub of datasets and models, with what was asked of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web


class SmallWeb:
    """Serves `files` under /files/. `asked` counts requests by method and path; `seen` has the headers of each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.failures: Counter[str] = Counter()
        self.refused_methods: set[str] = set()
        self.truncated: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.seen: list[tuple[str, Mapping[str, str]]] = []
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.asked[f"{request.method} {path}"] += 1
        self.seen.append((path, dict(request.headers)))
        if self.failures[path] > 0:
            self.failures[path] -= 1
            return web.Response(status=503)
        if request.method in self.refused_methods:
            return web.Response(status=405)
        if path in self.redirects:
            return web.Response(status=302, headers={"Location": self.redirects[path]})
        if path.startswith("/api/"):
            return self._repository(path)
        data = self.files.get(path)
        return web.Response(status=404) if data is None else await self._file(request, data)

    def _repository(self, path: str) -> web.Response:
        name = path.removeprefix("/api/").partition("/revision/")[0]
        files = self.repositories.get(name)
        if files is None:
            return web.Response(status=404)
        siblings = [{"rfilename": each, "size": len(data)} for each, data in files.items()]
        return web.json_response({"id": name, "sha": "a" * 40, "siblings": siblings})

    async def _file(self, request: web.Request, data: bytes) -> web.StreamResponse:
        etag = hashlib.md5(data).hexdigest()
        headers = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": "text/x-test"}
        status, body = 200, data
        wanted = request.headers.get("Range", "")
        if wanted and request.headers.get("If-Range", f'"{etag}"') == f'"{etag}"':
            first, last = (int(text) for text in wanted.removeprefix("bytes=").split("-"))
            status, body = 206, data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        if request.method != "HEAD":
            if request.path in self.truncated:
                await response.write(body[: len(body) // 2])
                assert request.transport is not None
                request.transport.close()
                return response
            await response.write(body)
        return response


@asynccontextmanager
async def small_web() -> AsyncIterator[SmallWeb]:
    server = SmallWeb()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
