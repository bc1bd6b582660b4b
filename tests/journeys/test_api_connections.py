"""Who sends requests without end, or none at all, holds neither memory nor a connection for long."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import time

import orjson
import pytest

from penstock.core import limits
from penstock.core.limits import Limit
from tests.processes import wait_for

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
    monkeypatch.setattr(limits, "HEAD_TIME", Limit("head_time", 1, "s", "a test"))
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


@pytest.fixture(scope="module")
def large(api):
    """A key, and the path of a result that does not fit into what lies between two sockets."""
    tenant = api.tenant()
    with api.http(tenant) as http:
        job = http.post("/api/v1/jobs", json={"script": "clean", "input": [{"a": 1}]}).json()["id"]
    output = api.server.blobs.put(f"{tenant.workspace}/jobs/{job}/result", b"x" * 2**25)
    api.work(output=output, small={})
    return tenant.api_key.encode(), f"/api/v1/jobs/{job}/result".encode()


@pytest.fixture
def no_cleaning():
    """What is not closed stays open."""
    gc.disable()
    yield
    gc.enable()


def ask_for(connection, large):
    """Ask for a result, and read how it begins."""
    key, path = large
    connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key + b"\r\n\r\n")
    assert connection.recv(1024).startswith(b"HTTP/1.1 200 ")


def open_blobs(api):
    """Return how many blobs this process, which is the server's, has open."""
    found = 0
    for entry in os.scandir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(entry.path).startswith(f"{api.home}/blobs/")
    return found


@pytest.mark.usefixtures("no_cleaning")
def test_a_download_that_breaks_off_leaves_no_file_open(api, large):
    for _ in range(3):
        with connect(api) as connection:
            ask_for(connection, large)
            assert open_blobs(api) == 1
        wait_for(lambda: open_blobs(api) == 0)


@pytest.mark.usefixtures("no_cleaning")
def test_a_reader_that_stalls_is_given_up(api, large, monkeypatch):
    monkeypatch.setattr(limits, "READER_IDLE", Limit("reader_idle", 1, "s", "a test"))
    with connect(api) as connection:
        ask_for(connection, large)
        wait_for(lambda: open_blobs(api) == 0)
        assert len(answered(connection)) < 2**25


def test_a_reader_that_is_slow_gets_everything(api, large, monkeypatch):
    monkeypatch.setattr(limits, "READER_IDLE", Limit("reader_idle", 2, "s", "a test"))
    with connect(api) as connection:
        ask_for(connection, large)
        began_s, got_bytes = time.monotonic(), 0
        while got_bytes < 2**25 - 1024:  # but for what came with the head
            part = connection.recv(2**19)
            assert part, f"it was given up after {got_bytes:,} bytes"
            got_bytes += len(part)
            time.sleep(0.04)
    assert time.monotonic() - began_s > 2


def test_slow_requests_of_one_workspace_leave_room_for_those_of_others(api, monkeypatch):
    monkeypatch.setattr(limits, "REQUESTS_WORKSPACE", Limit("requests_workspace", 2, "requests", "a test"))
    slow, other = api.tenant("slow"), api.tenant("other-crowd")
    upload = (
        b"POST /api/v1/jobs?script=clean HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: 9999\r\nAuthorization: Bearer " + slow.api_key.encode() + b"\r\n\r\n"
    )
    with connect(api) as first, connect(api) as second, api.http(slow) as http, api.http(other) as others:
        first.sendall(upload)
        second.sendall(upload)
        wait_for(lambda: api.app.state.rates.crowd._running[slow.workspace] == 2)  # or one of them is refused
        for path in ("/api/v1/jobs", "/api/v1/jobs/job_1"):  # the framework answers one, and not the other
            refused = wait_for(lambda path=path: (found := http.get(path)).status_code == 429 and found)
            assert (refused.json()["code"], refused.headers["retry-after"]) == ("too_many", "1")
            assert "2 requests of the workspace" in refused.json()["detail"]
        assert others.get("/api/v1/jobs").status_code == 200
        first.close()
        assert wait_for(lambda: http.get("/api/v1/jobs").status_code == 200)
