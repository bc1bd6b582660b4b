"""A whole server for a measurement, as its users start it; and a client that costs little beside it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from penstock.client.client import Client

TRIVIAL: Final = "def process(data):\n    return {'id': data['id'], 'twice': data['id'] * 2}\n"
FIBO: Final = (
    "def fibo(n):\n    return n if n <= 1 else fibo(n - 1) + fibo(n - 2)\n\n\n"
    "def process(data):\n    return {'fibo': fibo(data['n'])}\n"
)
_READY_S: Final = 30.0
_END_S: Final = 60.0
_TOKEN: Final = re.compile(rb"--token (\S+)")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, and the key of its admin."""

    url: str
    api_key: str
    pid: int
    folder: Path

    def client(self) -> Client:
        """Return a client."""
        return Client(self.url, self.api_key, timeout_s=120)

    def publish(self, name: str, code: str) -> None:
        """Make a script whose first version is active."""
        with self.client() as penstock:
            version = penstock.scripts.push(name, {"code": code}).version
            penstock.scripts.publish(name, version.number)
            penstock.scripts.activate(name, version.number)


@contextlib.contextmanager
def served() -> Iterator[Served]:
    """Run `penstock up` in a folder of its own, and end it as Ctrl-C does."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        environment = {**os.environ, "PENSTOCK_HOME": f"{folder}/.penstock", "PENSTOCK_PORT": str(port)}
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "penstock", "up"], stdout=subprocess.PIPE, stderr=log, env=environment
            )
            try:
                token = _token(process)
                url = f"http://127.0.0.1:{port}"
                yield Served(url, _login(url, token), process.pid, Path(folder))
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(_END_S)
                if process.stdout is not None:
                    process.stdout.close()


class Connection:
    """One connection that asks and waits: some 100 microseconds a request, a tenth of what httpx takes."""

    def __init__(self, server: Served) -> None:
        host = server.url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(host, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = {
            "Authorization": f"Bearer {server.api_key}",
            "Content-Type": "application/json",
            "Prefer": "wait=30",
        }

    def run(self, body: bytes) -> dict[str, Any]:
        """Submit a job, wait for its end and return it.

        Raises:
            RuntimeError: when it did not succeed.
        """
        self._connection.request("POST", "/api/v1/jobs", body, self._headers)
        answer = self._connection.getresponse()
        job: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200 or job["state"] != "succeeded":
            raise RuntimeError(f"{answer.status}: {job}")
        return job

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def closed_loop(server: Served, body: bytes, *, connections: int, duration_s: float) -> tuple[float, list[float]]:
    """Return jobs a second and every latency in seconds, with so many jobs in flight all the time."""
    latencies: list[float] = []
    failures: list[BaseException] = []
    until_s = time.monotonic() + duration_s

    def go() -> None:
        with contextlib.closing(Connection(server)) as connection:
            while time.monotonic() < until_s:
                began_s = time.monotonic()
                connection.run(body)
                latencies.append(time.monotonic() - began_s)

    began_s = time.monotonic()
    _together([_collecting(go, failures)] * connections)
    if failures:
        raise failures[0]
    return len(latencies) / (time.monotonic() - began_s), latencies


def _together(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _collecting(work: Callable[[], None], failures: list[BaseException]) -> Callable[[], None]:
    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # the thread that waits raises it
            failures.append(error)

    return guarded


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group: asked first, then killed."""
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S / 2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _token(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := _TOKEN.search(line):
            return found[1].decode()
    raise RuntimeError(f"penstock up ended with {process.wait()} before it gave a token")


def _login(url: str, token: str) -> str:
    deadline_s = time.monotonic() + _READY_S
    while True:
        try:
            with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
                connection.request(
                    "POST", "/api/v1/login", json.dumps({"token": token}), {"Content-Type": "application/json"}
                )
                answer = json.loads(connection.getresponse().read())
                return str(answer["api_key"])
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)
