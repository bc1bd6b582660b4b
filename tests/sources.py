"""A source on loopback that answers pages of orders in every way there is, and misbehaves when it is told to."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(slots=True)
class Source:
    """What the server answers from.

    Attributes:
        records: all there are, in order.
        faults: what goes wrong with the nth request, from 1: `429`, `500`, `hangs`, `truncated`, `not_json`, `resets`.
        asked: the targets of all requests.
        posted: the bodies of what was sent, each with its headers.
    """

    url: str = ""
    records: list[Any] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)
    size: int = 3
    zipped: bool = False
    token: str = "token-1"
    secret: str = "s3cr3t"
    asked: list[str] = field(default_factory=list)
    posted: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    tokens: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    at_once_max: int = 0
    delay_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def serve(source: Source | None = None, *, tls: ssl.SSLContext | None = None) -> Iterator[Source]:
    """Serve a source on a port of its own, behind TLS when that is given."""
    given_source = source or Source()

    class Handler(_Handler):
        given = given_source

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that refuses us is what is tested
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    given_source.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield given_source
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    given: Source

    def do_GET(self) -> None:
        """Answer, or misbehave."""
        source = self.given
        with source.lock:
            source.asked.append(self.path)
            fault = source.faults.get(len(source.asked), "")
            source.at_once += 1
            source.at_once_max = max(source.at_once_max, source.at_once)
        try:
            time.sleep(source.delay_s)
            self._answer_or_fail(fault)
        finally:
            with source.lock:
                source.at_once -= 1

    def do_POST(self) -> None:
        """Take what is sent, or give a token."""
        source = self.given
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/token":
            wanted = "Basic " + base64.b64encode(f"me:{source.secret}".encode()).decode()
            if self.headers.get("Authorization") != wanted:
                return self._send(401, {"error": "no"})
            source.tokens += 1
            source.token = f"token-{source.tokens}"
            return self._send(200, {"access_token": source.token, "expires_in": 3600})
        with source.lock:
            source.asked.append(self.path)
            fault = source.faults.get(len(source.asked), "")
            source.posted.append((body, dict(self.headers)))
        return self._send(int(fault) if fault.isdigit() else 200, {})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer_or_fail(self, fault: str) -> None:
        if fault == "429":
            self._send(429, {}, {"Retry-After": "0"})
        elif fault.isdigit():
            self._send(int(fault), {"error": "with a value of somebody@example.com"})
        elif fault == "hangs":
            time.sleep(0.8)
            self.close_connection = True
        elif fault == "truncated":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"orders": [{"id"')
            self.close_connection = True
        elif fault == "not_json":
            self._send_bytes(200, b"<html>busy</html>", {"Content-Type": "text/html; charset=utf-8"})
        else:
            self._answer()

    def _answer(self) -> None:
        source, url = self.given, urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        since = query.get("since", "")
        found = [one for one in source.records if not isinstance(one, dict) or str(one.get("at", "")) >= since]
        size = int(query.get("limit", source.size))
        match url.path:
            case "/all":
                self._send(200, found)
            case "/page":
                start = (int(query.get("page", "1")) - 1) * size
                self._send(200, {"orders": found[start : start + size]})
            case "/last_for_ever":
                pages = max(1, -(-len(found) // size))
                start = (min(int(query.get("page", "1")), pages) - 1) * size
                self._send(200, {"orders": found[start : start + size]})
            case "/offset":
                start = int(query.get("offset", "0"))
                self._send(200, {"orders": found[start : start + size]})
            case "/cursor":
                start = int(query.get("after", "0"))
                more = str(start + size) if start + size < len(found) else None
                self._send(200, {"orders": found[start : start + size], "paging": {"next": more}})
            case "/link" | "/elsewhere":
                start = int(query.get("start", "0"))
                host = source.url if url.path == "/link" else "http://127.0.0.2:1"
                link = {"Link": f'<{host}/x>; rel="prev", <{host}/link?start={start + size}>; rel="next"'}
                self._send(200, found[start : start + size], link if start + size < len(found) else {})
            case "/url":
                start = int(query.get("start", "0"))
                more = f"/url?start={start + size}" if start + size < len(found) else ""
                self._send(200, {"orders": found[start : start + size], "next": more})
            case "/bearer":
                allowed = self.headers.get("Authorization") == f"Bearer {source.token}"
                self._send(200 if allowed else 401, found if allowed else {})
            case "/paged_bearer":
                allowed = self.headers.get("Authorization") == f"Bearer {source.token}"
                start = (int(query.get("page", "1")) - 1) * size
                self._send(200 if allowed else 401, {"orders": found[start : start + size]} if allowed else {})
            case "/basic":
                wanted = "Basic " + base64.b64encode(f"me:{source.secret}".encode()).decode()
                self._send(200 if self.headers.get("Authorization") == wanted else 401, found)
            case "/header":
                self._send(200 if self.headers.get("X-Key") == source.secret else 401, found)
            case "/query":
                self._send(200 if query.get("key") == source.secret else 401, found)
            case "/session":
                start = int(query.get("start", "0"))
                known = self.headers.get("Cookie") == "session=7"
                more = f"/session?start={start + size}" if start + size < len(found) else ""
                body = {"orders": found[start : start + size], "next": more} if known or not start else {}
                self._send(200, body, {} if start else {"Set-Cookie": "session=7; Path=/; HttpOnly"})
            case "/loop":
                self._send(200, {"orders": found[:1], "paging": {"next": "again"}})
            case "/moved":
                self._send(302, {}, {"Location": "http://169.254.169.254/latest"})
            case _:
                self._send(404, {})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.given.counts[str(status)] += 1
        self._send_bytes(status, json.dumps(body).encode(), headers or {})

    def _send_bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self.given.zipped:
            body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
        with contextlib.suppress(ConnectionError):  # whoever asked has gone
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
