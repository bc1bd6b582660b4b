"""`penstock api` as a process of its own: flat memory, an orderly end, and what it refuses to start on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from penstock.wiring.server import open_server
from penstock.wiring.settings import read_settings
from tests.serving import Tenant, make_tenant, serve_process

UPLOAD_MB = int(os.environ.get("UPLOAD_MB", "128"))  # UPLOAD_MB=2048 for two gigabytes
GROWTH_MB_MAX = 48
BLOCK = b'{"id": 12345, "name": "somebody"}\n' * 30_000


@pytest.fixture
def home(tmp_path: Path) -> tuple[Path, Tenant]:
    """A folder with a database and a workspace."""
    with open_server(read_settings({"PENSTOCK_HOME": str(tmp_path)}), create=True) as server:
        return tmp_path, make_tenant(server, "acme")


def headers(tenant: Tenant) -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant.api_key}", "Content-Type": "application/x-ndjson"}


def test_memory_stays_flat_while_a_large_body_comes_in(home):
    folder, tenant = home
    with serve_process(folder) as (url, process), httpx.Client(base_url=url, trust_env=False, timeout=300) as http:
        http.post("/api/v1/jobs?script=clean", content=BLOCK, headers=headers(tenant)).raise_for_status()
        before = resident_mb(process.pid)
        samples = [before]
        stop = threading.Event()
        sampler = threading.Thread(target=sample, args=(process.pid, samples, stop))
        sampler.start()
        sent = http.post("/api/v1/jobs?script=clean", content=blocks(UPLOAD_MB), headers=headers(tenant))
        stop.set()
        sampler.join()
    assert sent.status_code == 202, sent.text
    assert sent.json()["input"]["size_bytes"] >= UPLOAD_MB * 10**6
    assert len(samples) > 5
    assert max(samples) - before < GROWTH_MB_MAX, (before, max(samples))


def test_it_ends_in_order_while_somebody_listens(home):
    folder, tenant = home
    with serve_process(folder) as (url, process), httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        sent = http.post("/api/v1/jobs?script=clean", content=b'{"a":1}\n', headers=headers(tenant)).json()
        with http.stream("GET", f"/api/v1/jobs/{sent['id']}/events", headers=headers(tenant)) as events:
            lines = events.iter_lines()
            assert next(lines).startswith("id: queued")
            began = time.monotonic()
            process.terminate()
            assert "event: state" in list(lines)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 25


def test_it_does_not_start_on_a_database_without_its_tables(tmp_path):
    refused = subprocess.run(
        [sys.executable, "-m", "penstock", "api"],
        env={**os.environ, "PENSTOCK_HOME": str(tmp_path), "PENSTOCK_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert refused.returncode == 2
    assert "[schema_unknown]" in refused.stderr
    assert "penstock db upgrade" in refused.stderr


def test_a_port_that_is_taken_is_told(home):
    folder, _ = home
    with serve_process(folder) as (url, _process):
        refused = subprocess.run(
            [sys.executable, "-m", "penstock", "api", "--port", url.rpartition(":")[2]],
            env={**os.environ, "PENSTOCK_HOME": str(folder)},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert refused.returncode == 2
    assert "Address already in use" in refused.stderr


def blocks(size_mb: int) -> Iterator[bytes]:
    """Yield a body piece by piece."""
    for _ in range(size_mb * 10**6 // len(BLOCK) + 1):
        yield BLOCK


def sample(pid: int, samples: list[float], stop: threading.Event) -> None:
    """Note the resident memory of a process until asked to stop."""
    while not stop.wait(0.02):
        samples.append(resident_mb(pid))


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.parametrize(("proxies", "origin"), [("", "127.0.0.1"), ("127.0.0.1", "203.0.113.7")])
def test_an_address_that_somebody_else_tells_is_believed_from_proxies_only(home, monkeypatch, proxies, origin):
    folder, tenant = home
    monkeypatch.setenv("PENSTOCK_PROXIES", proxies)
    with serve_process(folder) as (url, _process), httpx.Client(base_url=url, trust_env=False) as http:
        told = {**headers(tenant), "X-Forwarded-For": "203.0.113.7"}
        http.post("/api/v1/jobs?script=clean", content=b"{}\n", headers=told).raise_for_status()
        events = http.get("/api/v1/audit", headers=headers(tenant)).json()["items"]
    assert [event["origin"] for event in events if event["action"] == "job.submit"] == [origin]
