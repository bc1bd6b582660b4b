"""A receiver of webhooks on loopback, which keeps what it takes."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import orjson


class Server(http.server.ThreadingHTTPServer):
    taken: list[dict[str, str]]
    status = 200
    location = ""


class Receiver(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(orjson.loads(body))
        self.send_response(self.server.status)
        if 300 <= self.server.status < 400:
            elsewhere = f"http://localhost.localdomain:{self.server.server_port}/"
            self.send_header("Location", self.server.location or elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver(status: int = 200) -> Iterator[Server]:
    """Give a receiver that answers with a status."""
    with Server(("127.0.0.1", 0), Receiver) as server:
        server.taken, server.status = [], status
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)
