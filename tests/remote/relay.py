"""Owns a relay before an S3 server that remembers what was asked of it."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Relay:
    """Passes requests on, with their Host header, so that signatures stay good. `requests`: METHOD TARGET of each."""

    def __init__(self, upstream: str) -> None:
        self.requests: list[str] = []
        where = urlsplit(upstream)
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # the base's name
                return

            def _pass_on(self) -> None:
                relay.requests.append(f"{self.command} {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPConnection(
                    where.hostname or "", where.port, timeout=60
                )
                try:
                    connection.request(self.command, self.path, body, dict(self.headers.items()))
                    reply = connection.getresponse()
                    data = reply.read()
                finally:
                    connection.close()
                self.send_response(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                is_head = self.command == "HEAD"
                length = reply.getheader("Content-Length", "0") if is_head else str(len(data))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
