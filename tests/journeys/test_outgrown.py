"""The way from one machine to PostgreSQL and S3, as docs/how-to/postgresql-and-s3.md says: hosts that share nothing."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from penstock.storage.blobs.s3 import S3Blobs
from tests.journeys.command import PENSTOCK
from tests.processes import wait_for

SUMS = {
    "penstock.yml": "name: sums\ndescription: Sums.\n",
    "pipelines/rows.yml": "tasks: {rows: {kind: sql, sql: 'SELECT range AS n FROM range(1000)', to: staging.rows}}\n",
    "pipelines/total.yml": "tasks:\n  total: {kind: sql, sql: 'SELECT sum(n)::BIGINT AS total FROM rows',"
    " from: staging.rows, to: marts.total}\n",
}
CODE = "def process(data):\n    return {'n': data['n'] * 2, 'text': data['text']}\n"


@dataclass(frozen=True, slots=True)
class Host:
    """A machine of its own: its folders are empty, and all it knows of the others is the settings."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are told."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "AWS_"))}
        homes = {"PENSTOCK_HOME": str(self.folder / "home"), "XDG_CONFIG_HOME": str(self.folder / "config")}
        return kept | homes | dict(self.settings)

    def penstock(self, *arguments: str, exit_code: int = 0) -> str:
        """Call the command and return what it printed on both."""
        done = subprocess.run(
            [PENSTOCK, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def serving(self, *arguments: str, until: str) -> Iterator[subprocess.Popen[bytes]]:
        """Keep a process while the context lasts, begun when its log says so; it ends as it should."""
        path = self.folder / "log"
        with path.open("wb") as log:
            process = subprocess.Popen([PENSTOCK, *arguments], cwd=self.folder, env=self.environment, stderr=log)
        try:
            wait_for(lambda: until in path.read_text() or process.poll() is not None, timeout_s=120)
            assert process.poll() is None, path.read_text()
            yield process
        finally:
            process.terminate()
            assert process.wait(60) == 0, path.read_text()


@pytest.fixture
def hosts(tmp_path, postgres, s3):
    url = postgres.fresh_url()
    settings = {
        **s3.environment,
        "PENSTOCK_DATABASE_URL": url,
        "PENSTOCK_BLOBS": f"s3://{s3.fresh_bucket()}/production",
        "PENSTOCK_MASTER_KEY": base64.b64encode(bytes(32)).decode(),
    }
    made = []
    for name in ("door", "hall", "yard"):
        (tmp_path / name).mkdir()
        made.append(Host(tmp_path / name, settings))
    yield made
    postgres.drop(url)


@pytest.mark.timeout(480)
def test_hosts_serve_work_and_read_each_others_tables_on_postgresql_and_s3(hosts, monkeypatch):
    door, hall, yard = hosts
    for refused in ("api", "worker"):
        assert "penstock db upgrade" in door.penstock(refused, exit_code=2)
    assert "run penstock db upgrade" in door.penstock("db", "status", exit_code=2)
    door.penstock("db", "upgrade")
    assert "works     with this version" in hall.penstock("db", "status")
    port = free_port()
    with door.serving("api", "--port", str(port), until="listening"):
        made = orjson.loads(door.penstock("workspaces", "create", "acme", "--json"))
        door.penstock("login", "--url", f"http://127.0.0.1:{port}", "--token", made["token"])
        (door.folder / "double.py").write_text(CODE)
        door.penstock("scripts", "push", "double.py")
        door.penstock("scripts", "publish", "double", "--activate")
        for name, content in SUMS.items():
            (door.folder / name).parent.mkdir(exist_ok=True)
            (door.folder / name).write_text(content)
        door.penstock("deploy")
        with hall.serving("worker", until="worker.started"):
            records = [{"n": number, "text": "x" * 200} for number in range(30_000)]  # some 6 MB: cut into chunks
            (door.folder / "in.ndjson").write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
            door.penstock("jobs", "submit", "double", "in.ndjson", "-o", "out.ndjson")
            lines = (door.folder / "out.ndjson").read_bytes().splitlines()
            assert [orjson.loads(line)["n"] for line in lines] == [2 * number for number in range(30_000)]
            (job,) = orjson.loads(door.penstock("jobs", "list", "--json"))
            assert job["state"] == "succeeded"
            assert "succeeded" in door.penstock("run", "rows", "--server")
        with yard.serving("worker", until="worker.started"):  # alone: what it reads another host has written
            assert "succeeded" in door.penstock("run", "total", "--server")
        sql = "SELECT total, (SELECT count(*) FROM staging.rows) AS rows FROM marts.total"
        assert orjson.loads(door.penstock("query", sql, "--server", "--json"))["rows"] == [[499_500, 1_000]]
    for name, value in door.settings.items():
        monkeypatch.setenv(name, value)
    blobs = S3Blobs(door.settings["PENSTOCK_BLOBS"], endpoint=door.settings["PENSTOCK_S3_ENDPOINT"])
    assert {blob.key.split("/")[1] for blob in blobs.list("", changed_before=time.time() + 60)} >= {"uploads", "jobs"}
    for host in hosts:
        left = [path for path in (host.folder / "home").rglob("*") if path.is_file()]
        assert left == [], "nothing of the service lies on a host"


@pytest.mark.timeout(180)
def test_pipelines_run_where_the_records_are_in_postgresql(tmp_path, postgres):
    key = base64.b64encode(bytes(32)).decode()
    url, port = postgres.fresh_url(), free_port()
    host = Host(tmp_path, {"PENSTOCK_DATABASE_URL": url, "PENSTOCK_MASTER_KEY": key, "PENSTOCK_PORT": str(port)})
    host.penstock("db", "upgrade")
    with host.serving("up", until="runner.started"):
        made = orjson.loads(host.penstock("workspaces", "create", "acme", "--json"))
        host.penstock("login", "--url", f"http://127.0.0.1:{port}", "--token", made["token"])
        project = tmp_path / "sums"
        (project / "pipelines").mkdir(parents=True)
        (project / "penstock.yml").write_text("name: sums\ndescription: Sums.\n")
        task = "  one: { kind: sql, sql: SELECT 1 AS one, to: marts.one }\n"
        (project / "pipelines" / "sums.yml").write_text(f"description: Sums.\ntasks:\n{task}")
        inside = Host(project, {**host.settings, "XDG_CONFIG_HOME": str(tmp_path / "config")})
        inside.penstock("deploy")
        assert "succeeded" in inside.penstock("run", "--server")
    postgres.drop(url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
