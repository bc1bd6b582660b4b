"""A source of orders on loopback, a process of its own: `python rest_source.py RECORDS PAGE`; prints its port.

`/orders?page=N` answers `{"orders": [...]}`, made once and kept as bytes, so that what is measured is who asks.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


def record(number: int) -> dict[str, Any]:
    """Return an order: flat values of every kind, and a customer inside."""
    day, hour = 1 + number % 28, number % 24
    return {
        "id": number,
        "order_number": f"#{number:06}",
        "created_at": f"2024-03-{day:02}T{hour:02}:{number % 60:02}:00Z",
        "updated_at": f"2024-04-{day:02}T{hour:02}:{number % 60:02}:00Z",
        "total": round(10 + number % 997 * 1.37, 2),
        "currency": "BRL",
        "paid": number % 3 == 0,
        "items": number % 7,
        "note": None if number % 5 else f"note {number}",
        "city": "Recife" if number % 2 else "Olinda",
        "customer": {"id": number % 5_000, "email": f"c{number % 5_000}@example.com", "name": f"Customer {number}"},
    }


@contextlib.contextmanager
def serving(*, records: int, page: int) -> Iterator[str]:
    """Start the source, and return its URL."""
    arguments = [sys.executable, __file__, str(records), str(page)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def main(records: int, page: int) -> None:
    """Serve until killed."""
    pages = [
        json.dumps({"orders": [record(number) for number in range(start, min(start + page, records))]}).encode()
        for start in range(0, records, page)
    ]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer a page; an empty one behind the last."""
            number = int(parse_qs(urlsplit(self.path).query)["page"][0]) - 1
            body = pages[number] if number < len(pages) else b'{"orders": []}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
