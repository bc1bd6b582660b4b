"""One NDJSON body of 256 MiB from a client on the same machine until the server has said 202, so that it is durable.

Beside `dd` from /dev/zero to the same disk with `conv=fsync`; three rounds in turn. The server counts, hashes and
stores the bytes; it parses none of them. The client sends from memory.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from benchmarks import service
from benchmarks.figures import Figure
from benchmarks.service import Served
from benchmarks.timing import median

NUMBER: Final = 31
TITLE: Final = "NDJSON upload to durable"
_MIB: Final = 2**20
_LINE: Final = b'{"id": 12345678, "name": "a record of some sixty bytes", "n": 1}\n'
_BLOCK: Final = _LINE * (_MIB // len(_LINE))


def measure(*, quick: bool) -> list[Figure]:
    """Return the rate of an upload beside that of the disk."""
    blocks, rounds = (8, 1) if quick else (256, 3)
    with service.served() as server:
        server.publish("twice", service.TRIVIAL)
        uploads_s, disk_s = [], []
        for _ in range(rounds):
            uploads_s.append(_upload_s(server, blocks))
            disk_s.append(_disk_s(server, blocks))
    size_mb = blocks * len(_BLOCK) / 1e6
    upload, disk = size_mb / median(uploads_s), size_mb / median(disk_s)
    return [
        Figure("of the disk's own rate", upload / disk, "x", f"{upload:,.0f} MB/s / {disk:,.0f} MB/s", at_least=0.5)
    ]


def _upload_s(server: Served, blocks: int) -> float:
    host = server.url.removeprefix("http://")
    headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/x-ndjson"}
    began_s = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection(host, timeout=120)) as connection:
        connection.request("POST", "/api/v1/jobs?script=twice", _blocks(blocks), headers, encode_chunked=True)
        answer = connection.getresponse()
        job = json.loads(answer.read())
    elapsed_s = time.monotonic() - began_s
    if answer.status != 202:
        raise RuntimeError(f"{answer.status}: {job}")
    with server.client() as penstock:
        penstock.jobs.cancel(job["id"])  # the measurement ends with 202; its work would disturb the next round
    return elapsed_s


def _blocks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield _BLOCK


def _disk_s(server: Served, blocks: int) -> float:
    target = server.folder / "dd"
    size = f"bs={len(_BLOCK)}"
    began_s = time.monotonic()
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={target}", size, f"count={blocks}", "conv=fsync", "status=none"], check=True
    )
    elapsed_s = time.monotonic() - began_s
    target.unlink()
    return elapsed_s
