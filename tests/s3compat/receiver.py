"""Owns the webhook that event notifications are sent to in tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 60.0


class Receiver:
    """An HTTP server of this process that keeps what is posted to it, and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.messages: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/events"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait until something holds of what has come."""
        with self._changed:
            assert self._changed.wait_for(is_there, WAIT_S), f"{self.messages} {self.refused}"

    def records(self, bucket: str) -> list[dict[str, Any]]:
        """The records about a bucket, in the order in which they came."""
        found = [record for each in list(self.messages) for record in each.get("Records", [])]
        return [record for record in found if record["s3"]["bucket"]["name"] == bucket]

    def names(self, bucket: str) -> list[str]:
        return [record["eventName"] for record in self.records(bucket)]

    def _take(self, message: dict[str, Any], headers: dict[str, str]) -> int:
        with self._changed:
            if self.status == 200:
                self.messages.append(message)
                self.headers.append(headers)
            else:
                self.refused += 1
            self._changed.notify_all()
            return self.status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = take(json.loads(body), {k.lower(): v for k, v in self.headers.items()})
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
