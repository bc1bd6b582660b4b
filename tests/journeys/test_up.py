"""A newcomer starts a server with one command, logs in, and has a script run; and five teams share it."""

from __future__ import annotations

import csv
import http.server
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Self

import orjson
import pytest

from penstock.client.client import Client
from tests.journeys.command import PENSTOCK
from tests.processes import wait_for
from tests.unit.guest.inputs import real_data

TWICE = "def process(data):\n    return None if data['n'] < 0 else {'n': data['n'], 'twice': data['n'] * 2}\n"
LOOP = "def process(data):\n    for _ in range(data['n']):\n        pass\n    return data\n"
RETAIL = Path(__file__).parents[2] / "examples" / "retail" / "clean.py"
REPOSITORY = Path(__file__).parents[2]
TEAMS, JOBS = 5, 50


@dataclass(slots=True)
class Up:
    """A server that `penstock up` started in a folder."""

    folder: Path
    process: subprocess.Popen[bytes]
    url: str
    login: list[str]

    def penstock(self, *arguments: str, exit_code: int = 0, inside: str = "") -> str:
        """Call the command as somebody who shares nothing with this machine's user, and return what it printed."""
        words = [PENSTOCK, *arguments]
        environ = environment(self.folder)
        done = subprocess.run(words, cwd=self.folder / inside, env=environ, capture_output=True, timeout=60)
        assert done.returncode == exit_code, done.stderr.decode()
        return done.stdout.decode()

    def team(self, name: str) -> Client:
        """Make a workspace, as who runs the server does, and return a client of its admin."""
        made = orjson.loads(self.penstock("workspaces", "create", name, "--json"))
        anybody = Client(self.url, "")
        try:
            key = anybody.transport.request("POST", "/login", json={"token": made["token"]})["api_key"]
        finally:
            anybody.close()
        return Client(self.url, key)


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return kept | {"PENSTOCK_HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "config")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def up(tmp_path_factory) -> Iterator[Up]:
    folder, port = tmp_path_factory.mktemp("up"), _free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PENSTOCK, "up", "--port", str(port)],
            cwd=folder,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert process.stdout is not None
        try:
            printed = iter(process.stdout.readline, b"")
            login = next(line.decode().split() for line in printed if b"penstock login" in line)
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: b"listening" in (folder / "log").read_bytes(), timeout_s=30)
            yield Up(folder, process, url, login[1:])
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0, (folder / "log").read_text()
            process.stdout.close()


def test_a_newcomer_has_a_script_run_within_a_handful_of_commands(up):
    up.penstock(*up.login)
    (up.folder / "twice.py").write_text(TWICE)
    (up.folder / "in.ndjson").write_text('{"n": 1}\n{"n": -1}\n{"n": 21}\n')
    up.penstock("scripts", "push", "twice.py")
    up.penstock("scripts", "publish", "twice@1.0.0")
    up.penstock("scripts", "activate", "twice@1.0.0")
    up.penstock("jobs", "submit", "twice", "in.ndjson", "-o", "out.ndjson")
    assert (up.folder / "out.ndjson").read_text() == '{"n":1,"twice":2}\n{"n":21,"twice":42}\n'
    listed = orjson.loads(up.penstock("jobs", "list", "--json"))
    assert [(job["state"], job["script"]["version"]) for job in listed] == [("succeeded", "1.0.0")]
    assert "whole" in up.penstock("audit", "verify")


def test_the_project_of_init_runs_on_the_server_as_it_does_here(up):
    up.penstock("init", "shop")
    up.penstock("deploy", inside="shop")
    for _ in range(2):
        ended = orjson.loads(up.penstock("run", "--server", "--json", inside="shop"))
        assert ended["state"] == "succeeded"
    (report,) = (up.folder / "home" / "files").glob("*/reports/daily_sales.csv")
    assert report.read_text().startswith("day,country,")


def test_a_run_that_failed_is_resumed_from_the_terminal_once_its_cause_is_mended(up):
    with Source() as source:
        up.penstock("workspaces", "set", "default", "--egress", "127.0.0.1")
        for name, text in resumed_project(source.server_port).items():
            (up.folder / "resumed" / name).parent.mkdir(parents=True, exist_ok=True)
            (up.folder / "resumed" / name).write_text(text)
        up.penstock("deploy", inside="resumed")
        failed = orjson.loads(up.penstock("run", "--server", "--json", inside="resumed", exit_code=2))
        assert [(task["name"], task["state"]) for task in failed["tasks"]] == [
            ("first", "succeeded"),
            ("land", "failed"),
            ("total", "blocked"),
        ]
        source.mended = True
        ended = orjson.loads(up.penstock("resume", "--server", failed["id"], "--json", inside="resumed"))
    assert (ended["id"], ended["state"], ended["resumes"]) == (failed["id"], "succeeded", 1)
    first, before = ended["tasks"][0], failed["tasks"][0]
    assert first == before  # what had succeeded is not done again
    query = ["query", "SELECT total FROM marts.total", "--csv", "--server"]
    assert up.penstock(*query, inside="resumed") == "total\n7\n"


def resumed_project(port: int) -> dict[str, str]:
    """Return the files of a project whose second task reads from a server on loopback."""
    shop = f"{{kind: rest, url: 'http://127.0.0.1:{port}', tries: 1}}"
    return {
        "penstock.yml": f"name: resumed\nconnections:\n  shop: {shop}\n",
        "pipelines/nightly.yml": """\
tasks:
  first: {kind: sql, sql: "SELECT 4 AS n", to: marts.first}
  land: {kind: ingest, from: {connection: shop, path: orders}, to: raw.resumed, after: [first], retries: 0}
  total: {kind: sql, sql: "SELECT sum(n) AS total FROM orders", from: {orders: raw.resumed}, to: marts.total}
""",
    }


class Source(http.server.ThreadingHTTPServer):
    """Gives two records once it is mended."""

    mended = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Orders)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class Orders(http.server.BaseHTTPRequestHandler):
    """What is asked of a source."""

    server: Source

    def do_GET(self) -> None:
        """Answer with the records, or that they are not there."""
        body = b'[{"n": 3}, {"n": 4}]'
        self.send_response(200 if self.server.mended else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_javascript_goes_from_a_draft_to_a_job_by_the_api(up):
    code = "function process(data) { return data.n < 0 ? null : {n: data.n, twice: data.n * 2} }"
    example = {"name": "twice", "input": [{"n": 1}, {"n": -1}], "output": [{"n": 1, "twice": 2}]}
    with up.team("javascript") as team:
        pushed = team.scripts.push("twice_js", {"code": code, "examples": [example]}, language="javascript")
        assert team.scripts.try_("twice_js", pushed.version.number, b'{"n": 3}\n').output == [{"n": 3, "twice": 6}]
        team.scripts.publish("twice_js", "1.0.0")
        team.scripts.activate("twice_js", "1.0.0")
        job = team.jobs.wait(team.jobs.submit("twice_js", [{"n": 21}, {"n": -1}, {"n": 4}]).id, timeout_s=60)
        assert job.state == "succeeded", job.error
        assert team.jobs.records(job.id) == [{"n": 21, "twice": 42}, {"n": 4, "twice": 8}]


def test_the_receiver_of_the_documentation_takes_a_webhook_that_arrives_and_nothing_else(up):
    page = (REPOSITORY / "docs" / "how-to" / "webhooks.md").read_text()
    (example,) = re.findall(r'^--8<-- "(.+)"$', page, re.MULTILINE)
    secret, port, taken = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", _free_port(), up.folder / "taken"
    with taken.open("wb") as out, up.team("hooks") as team:
        words = [sys.executable, "-u", str(REPOSITORY / example), str(port)]
        receiver = subprocess.Popen(words, env={"SECRET": secret}, stdout=out, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: _answers(port), timeout_s=30)
            with pytest.raises(urllib.error.HTTPError, match="webhook-id is missing"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", b"{}", timeout=30)
            up.penstock("workspaces", "set", "hooks", "--egress", "127.0.0.1")
            team.workspace.put_secret("HOOK_KEY", secret)
            team.scripts.push("twice", {"code": TWICE})
            team.scripts.publish("twice", "1.0.0")
            hook = {"url": f"http://127.0.0.1:{port}/penstock", "secret": "HOOK_KEY"}
            team.jobs.submit("twice@1.0.0", [{"n": 1}], webhook=hook)
            wait_for(lambda: taken.read_text().endswith(" job.succeeded\n"), timeout_s=60)
        finally:
            receiver.terminate()
            receiver.wait(30)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_token_of_the_first_start_works_once(up):
    up.penstock(*up.login, exit_code=2)


def test_a_worker_that_is_killed_is_started_again_and_its_work_goes_on(up):
    with up.team("killers") as team:
        team.scripts.push(
            "loop", {"code": "def process(data):\n    for _ in range(data['n']):\n        pass\n    return data\n"}
        )
        team.scripts.publish("loop", "1.0.0")
        team.scripts.activate("loop", "1.0.0")
        job = team.jobs.submit("loop", [{"n": 30_000_000}])
        wait_for(lambda: team.jobs.read(job.id).state == "running", timeout_s=30)
        workers = subprocess.run(
            ["pgrep", "-P", str(up.process.pid), "-f", "penstock worker"], capture_output=True, text=True, check=True
        ).stdout.split()
        assert len(workers) == 1
        os.kill(int(workers[0]), signal.SIGKILL)
        wait_for(lambda: team.jobs.read(job.id).ended, timeout_s=60)
        assert team.jobs.read(job.id).state == "succeeded"


@pytest.mark.timeout(300)
def test_a_year_of_real_orders_in_fifty_jobs_of_five_teams_comes_out_to_the_cent(up):
    lines = _real_lines()
    shares = [b"".join(lines[number::JOBS]) for number in range(JOBS)]
    teams = [up.team(f"team-{number}") for number in range(TEAMS)]
    try:
        for team in teams:
            team.scripts.push("clean", {"code": RETAIL.read_text()})
            team.scripts.publish("clean", "1.0.0")
            team.scripts.activate("clean", "1.0.0")
        with ThreadPoolExecutor(TEAMS) as threads:
            work = [
                (teams[number % TEAMS], up.folder / f"{number}.ndjson", share) for number, share in enumerate(shares)
            ]
            sums = list(threads.map(lambda each: _clean(*each), work))
    finally:
        for team in teams:
            team.close()
    assert sum(rows for rows, _ in sums) == 530_104
    assert sum(total for _, total in sums) == Decimal("10666684.544")


def _real_lines() -> list[bytes]:
    lines: list[bytes] = []
    with tarfile.open(fileobj=io.BytesIO(real_data("uci-online-retail/by-day.tar.gz"))) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".csv"):
                rows = csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))
                lines += [orjson.dumps({name: value or None for name, value in row.items()}) + b"\n" for row in rows]
    return lines


def _clean(team: Client, path: Path, share: bytes) -> tuple[int, Decimal]:
    path.write_bytes(share)
    job = team.jobs.wait(team.jobs.submit("clean", path).id, timeout_s=240)
    assert job.state == "succeeded", job.error
    records = team.jobs.records(job.id)
    return len(records), sum((Decimal(record["LineTotal"]) for record in records), Decimal())
