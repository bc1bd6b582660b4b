"""The HTTP API as others meet it: a real server on a loopback port, on a database of its own, with tenants to be."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import uvicorn

from penstock.api.app import create_app
from penstock.api.connections import Connection
from penstock.base.ids import new_id
from penstock.client import Client
from penstock.core import limits
from penstock.core.access import MemberId, Role
from penstock.core.jobs import AttemptReport, small_blob
from penstock.core.runs import TASK_PARTS
from penstock.core.work import Assignment, Ended
from penstock.database.schema import scripts, versions
from penstock.wiring.server import Server, open_server
from penstock.wiring.settings import read_settings
from tests.processes import wait_for

CODE = b"def process(data):\n    return data\n"
WORKER = "wrk_test"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A workspace with an admin, and a script `clean` whose version 1.0.0 is active."""

    workspace: str
    member: str
    api_key: str
    script: str
    version: str


@dataclass(slots=True)
class Api:
    """One server, in this process, so that a test can look behind the door."""

    url: str
    server: Server
    home: Path
    app: Any
    _tenants: dict[str, Tenant] = field(default_factory=dict)

    def tenant(self, name: str = "acme") -> Tenant:
        """Return a workspace by its name, made when first asked for."""
        if name not in self._tenants:
            self._tenants[name] = make_tenant(self.server, name)
        return self._tenants[name]

    def http(self, tenant: Tenant | None = None, *, key: str | None = None, timeout_s: float = 30) -> httpx.Client:
        """Return a client that shows a key."""
        key = key or (tenant.api_key if tenant else None)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, trust_env=False)

    def client(self, tenant: Tenant) -> Client:
        """Return Penstock's own client."""
        return Client(self.url, tenant.api_key)

    def key_of(self, tenant: Tenant, role: Role) -> str:
        """Make a member with a role, and return a key of its own."""
        admin = self.server.keys.authenticate(tenant.api_key, origin="test")
        member, token = self.server.members.add(f"{role}-{new_id('n')[-6:]}", role=role, actor=admin)
        assert member.role == role
        return self.server.workspaces.login(token, origin="test").api_key

    def work(self, *, rounds: int = 10, **report: Any) -> int:
        """Carry out what waits, as a worker whose scripts give back what they get; return how many attempts."""
        done = 0
        for _ in range(rounds):
            taken = self.server.work.round(WORKER, (), count=16).assignments
            if not taken:
                break
            jobs = [assignment for assignment in taken if assignment.lease.entry.part not in TASK_PARTS]
            ended = [self._end(assignment, report) for assignment in jobs]
            assert not self.server.work.round(WORKER, ended, count=0).refused
            done += len(jobs)
        return done

    def work_soon(self) -> threading.Thread:
        """Carry out in a moment, beside, what is there or else what comes first, however late."""

        def work() -> None:
            time.sleep(0.2)
            wait_for(self.work)

        worker = threading.Thread(target=work)
        worker.start()
        return worker

    def blobs(self) -> list[str]:
        """Return the keys of all that is stored, but for rows."""
        return sorted(pointer.key for pointer in self.server.blobs.list(""))

    def _end(self, assignment: Assignment, changes: dict[str, Any]) -> Ended:
        data = b"".join(self.server.blobs.stream(assignment.input.blob.key))
        lines = data.count(b"\n")
        account = {"records": lines, "produced": lines, "dropped": 0, "failed": 0, "rows": lines, "causes": []}
        output, small = small_blob(f"{assignment.prefix}result", data), {}
        if len(data) > limits.SMALL_BLOB.value * 1024:
            output = self.server.blobs.put(f"{assignment.prefix}result", data)
        else:
            small = {output.key: data}
        report: dict[str, Any] = {"outcome": "succeeded", "report": account, "output": output, "small": small}
        now = time.time()
        return Ended(assignment.lease, AttemptReport(**report | changes), now, now)


def make_tenant(server: Server, name: str) -> Tenant:
    """Make a workspace with an admin who is logged in, and a script that is ready to run."""
    _, token = server.workspaces.create(name, admin="ada")
    logged_in = server.workspaces.login(token, origin="test")
    workspace, member = logged_in.workspace.id, logged_in.member.id
    script, version = new_id("scr"), new_id("ver")
    code = server.blobs.put(f"{workspace}/code/{version}", CODE)
    now = time.time()

    def create(tx: Any) -> None:
        by: dict[str, Any] = {"workspace": workspace, "created_at": now, "created_by": member}
        tx.execute(scripts.insert().values(id=script, name="clean", language="python", active_version=version, **by))
        tx.execute(
            versions.insert().values(
                id=version,
                script=script,
                version="1.0.0",
                state="published",
                profile="std",
                tier="isolated",
                code_key=code.key,
                code_sha256=code.sha256,
                code_bytes=code.size_bytes,
                hash=code.sha256,
                limits="{}",
                updated_at=now,
                updated_by=member,
                published_at=now,
                **by,
            )
        )

    server.database.write(create)
    return Tenant(workspace, MemberId(member), logged_in.api_key, script, version)


@contextlib.contextmanager
def serve(home: Path, **environment: str) -> Iterator[Api]:
    """Serve from a thread until the end of the block."""
    settings = read_settings({"PENSTOCK_HOME": str(home), "PENSTOCK_PORT": "0", **environment})
    with open_server(settings, create=True) as server, socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(server)
        config = uvicorn.Config(
            app, http=Connection, loop="uvloop", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, args=([listener],), name="api", daemon=True)
        thread.start()
        while not running.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        try:
            yield Api(f"http://127.0.0.1:{listener.getsockname()[1]}", server, home, app)
        finally:
            app.state.watch.stop()
            running.should_exit = True
            thread.join(10)
            assert not thread.is_alive(), "the server did not stop"


@contextlib.contextmanager
def serve_process(home: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve from a process of its own, as `penstock api`, whose database is there already."""
    environment = {**os.environ, "PENSTOCK_HOME": str(home), "PENSTOCK_HOST": "127.0.0.1", "PENSTOCK_PORT": "0"}
    command = [sys.executable, "-m", "penstock", "api"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("listening on "), line
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield line.split()[-1], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Serve for all tests of a file; each takes workspaces of its own where it matters."""
    with serve(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def log() -> Iterator[io.BytesIO]:
    """Where the lines of the log go while the test runs."""
    before, lines = structlog.get_config(), io.BytesIO()
    structlog.configure(**{**before, "logger_factory": structlog.BytesLoggerFactory(lines)})
    yield lines
    structlog.configure(**before)
