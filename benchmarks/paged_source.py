"""A REST source for those who ingest: `GET /rows?page=N` gives a thousand rows as JSON, and says what the next page is.

Everybody who is measured reads from it: pages are made before it listens, so that it costs them little and all alike.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

PAGE_ROWS: Final = 1_000


@contextlib.contextmanager
def source_url(rows: int) -> Iterator[str]:
    """Serve so many rows in a process of its own, and end it."""
    command = [sys.executable, "-m", "benchmarks.paged_source", str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/rows"
        finally:
            server.terminate()
            server.wait(10)


def row(number: int) -> dict[str, Any]:
    """Return a row: a key, a time, texts, an amount and something that is missing now and then."""
    return {
        "id": number,
        "ordered_at": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00Z",
        "customer": f"customer-{number % 9_973}",
        "country": ("DE", "FR", "NL", "SE")[number % 4],
        "quantity": number % 17 + 1,
        "price": round(number % 10_007 * 0.01, 2),
        "note": None if number % 5 else f"note on order {number}",
    }


def pages(rows: int) -> list[bytes]:
    """Return what is answered, page by page."""
    starts = range(0, rows, PAGE_ROWS)
    found = []
    for page, start in enumerate(starts):
        data = [row(number) for number in range(start, min(start + PAGE_ROWS, rows))]
        following = page + 1 if page + 1 < len(starts) else None
        found.append(json.dumps({"data": data, "next_page": following}).encode())
    return found


def serve(rows: int) -> None:
    """Answer until somebody ends it; print the port first."""
    answers = pages(rows)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept
        disable_nagle_algorithm = True
        wbufsize = 65_536  # headers and body leave together

        def do_GET(self) -> None:
            page = int(parse_qs(urlsplit(self.path).query).get("page", ["0"])[0])
            body = answers[page] if 0 <= page < len(answers) else b'{"data": [], "next_page": null}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_args: Any) -> None:  # noqa: A002  # it is called so
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
