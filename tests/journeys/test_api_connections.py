"""Who sends requests without end, or none at all, holds neither memory nor a connection for long."""

from __future__ import annotations

import socket
import time

import orjson
import pytest

from penstock.core import limits
from penstock.core.limits import Limit

HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MUCH_BYTES = 64 * 2**20


def connect(api):
    host, port = api.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.settimeout(20)
    return connection


def answered(connection):
    """Return everything that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(2**16):
            parts.append(part)
    except ConnectionResetError:  # it did not take all that was sent
        pass
    return b"".join(parts)


def send_without_end(connection, begin, more):
    """Send until the other side closes; return how much that took."""
    sent_bytes = 0
    try:
        connection.sendall(begin)
        while sent_bytes < MUCH_BYTES:
            connection.sendall(more)
            sent_bytes += len(more)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent_bytes


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (HEAD + b"X: ", b"a" * 2**16),
        (b"GET /", b"a" * 2**16),
        (HEAD, b"X: y\r\n" * 2**13),
        (POST + b"0\r\nX: ", b"a" * 2**16),
        (POST + b"1;", b"a" * 2**16),
    ],
    ids=["header", "path", "headers", "trailer", "chunk size"],
)
def test_what_has_no_end_is_cut_off_soon(api, begin, more):
    with connect(api) as connection:
        assert send_without_end(connection, begin, more) < MUCH_BYTES / 4, "what lies in buffers, and little more"
    with api.http() as http:
        assert http.get("/health/live").status_code == 200


def test_a_head_that_is_too_long_is_told_the_bound(api):
    with connect(api) as connection:
        connection.sendall(HEAD + b"X: " + b"a" * (limits.REQUEST_HEAD.value * 1024 + 1) + b"\r\n\r\n")
        head, _, body = answered(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    problem = orjson.loads(body)
    assert (problem["status"], problem["code"]) == (431, "too_large")
    assert "64 KiB" in problem["detail"]


def test_a_head_within_the_bound_may_come_in_pieces(api):
    with connect(api) as connection:
        connection.sendall(HEAD + b"X: " + b"a" * 30_000)
        time.sleep(0.05)
        connection.sendall(b"a" * 30_000 + b"\r\nConnection: close\r\n\r\n")
        assert answered(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begin", [b"", b"GET /health", HEAD + b"\r\n" + HEAD], ids=["nothing", "half", "the next"])
def test_a_connection_that_sends_no_request_is_closed(api, monkeypatch, begin):
    monkeypatch.setattr(limits, "HEAD_TIME", Limit("head_time", 0.3, "s", "a test"))
    with connect(api) as connection:
        connection.sendall(begin)
        for byte in b"aaaaaa":  # it drips, so as to look alive
            time.sleep(0.02)
            connection.sendall(bytes([byte])) if begin else None
        assert answered(connection).count(b"HTTP/1.1 200") == begin.count(b"\r\n\r\n")


def test_headers_behind_a_body_are_not_looked_at(api):
    tenant = api.tenant()
    with connect(api) as connection:
        connection.sendall(
            b"POST /api/v1/jobs?script=clean HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
            b"Content-Type: application/x-ndjson\r\n\r\n0\r\nAuthorization: Bearer "
            + tenant.api_key.encode()
            + b"\r\n\r\n"
        )
        assert answered(connection).startswith(b"HTTP/1.1 401 ")
