"""The client and `penstock jobs`, against a real server, and against servers that are not well."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.cli.main import cli
from penstock.client import Client
from penstock.core.errors import (
    Conflict,
    InputNotFound,
    NotFound,
    NotLoggedIn,
    OutputFailed,
    PenstockError,
    RequestInvalid,
    ServerUnavailable,
    SettingInvalid,
    TooMany,
)
from tests.serving import Api, Tenant

RECORDS = [{"id": 1}, {"id": 2}]
LINES = b'{"id":1}\n{"id":2}\n'


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return api.tenant()


@pytest.fixture
def client(api: Api, tenant: Tenant) -> Iterator[Client]:
    with api.client(tenant) as client:
        yield client


# ---- the client ----


def test_a_version_may_stand_behind_the_name_of_a_script(api, client):
    assert client.jobs.submit("clean@1.0.0", RECORDS).version == "1.0.0"
    assert client.jobs.submit("clean@^1", RECORDS, version="^1").version == "1.0.0"
    with pytest.raises(NotFound, match=r"no published version '9'"):
        client.jobs.submit("clean@9", RECORDS)
    with pytest.raises(RequestInvalid, match=r"clean@9 names version 9, and version='\^1'"):
        client.jobs.submit("clean@9", RECORDS, version="^1")
    api.work()


def test_records_go_and_come_back(api, client):
    job = client.jobs.submit("clean", RECORDS, labels={"day": "1"})
    assert (job.state, job.labels, job.version) == ("queued", {"day": "1"}, "1.0.0")
    api.work()
    assert client.jobs.wait(job.id, timeout_s=30).state == "succeeded"
    assert client.jobs.records(job.id) == RECORDS


def test_many_records_are_sent_as_lines(api, client):
    job = client.jobs.submit("clean", [{"id": number, "text": "x" * 500} for number in range(2_000)])
    assert job.shown["input"]["format"] == "ndjson"
    assert job.shown["input"]["size_bytes"] > 10**6
    api.work()


@pytest.mark.parametrize(
    ("name", "content", "encoding", "form"),
    [
        ("orders.ndjson", LINES, "identity", "ndjson"),
        ("orders.jsonl.gz", gzip.compress(LINES, mtime=0), "gzip", "ndjson"),
        ("orders.csv", b"a,b\n1,2\n", "identity", "csv"),
        ("orders.json", b'[{"id": 1}]', "identity", None),
        ("orders.tar.gz", b"whatever", "identity", None),
    ],
)
def test_a_file_is_streamed_with_what_its_name_says(api, client, tmp_path, name, content, encoding, form):
    (tmp_path / name).write_bytes(content)
    told: list[tuple[int, int | None]] = []
    job = client.jobs.submit("clean", tmp_path / name, progress=lambda *step: told.append(step))
    assert job.shown["input"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (job.shown["input"]["encoding"], job.shown["input"]["format"]) == (encoding, form)
    assert job.shown["input"]["name"] == name.removesuffix(".gz") if encoding == "gzip" else name
    assert told[-1] == (len(content), len(content))
    api.work()


def test_a_result_is_written_whole_or_not_at_all(api, client, tmp_path):
    job = client.jobs.submit("clean", RECORDS)
    with pytest.raises(Conflict, match="queued"):
        client.jobs.result(job.id, tmp_path / "out.ndjson")
    assert list(tmp_path.iterdir()) == []
    api.work()
    assert client.jobs.result(job.id, tmp_path / "out.ndjson") == len(LINES)
    assert (tmp_path / "out.ndjson").read_bytes() == LINES
    assert [path.name for path in tmp_path.iterdir()] == ["out.ndjson"]
    with pytest.raises(OutputFailed):
        client.jobs.result(job.id, tmp_path / "none" / "out.ndjson")


def test_a_job_is_watched_to_its_end(api, client):
    job = client.jobs.submit("clean", RECORDS)
    seen = []
    for step in client.jobs.watch(job.id):
        seen.append(step.state)
        if len(seen) == 1:
            api.work()
    assert (seen[0], seen[-1]) == ("queued", "succeeded")


def test_waiting_with_the_request_gives_the_end(api, client):
    api.work_soon()
    assert client.jobs.submit("clean", RECORDS, wait_s=10).state == "succeeded"


def test_pages_are_followed(api):
    with api.client(api.tenant("pages")) as client:
        made = [client.jobs.submit("clean", RECORDS).id for _ in range(5)]
        assert [job.id for job in client.jobs.list()] == made[::-1]
        assert [job.id for job in client.jobs.list(limit=2)] == made[:2:-1]
        assert len(list(client.transport.pages("/jobs", query={"limit": 2}, limit=None))) == 5
        api.work()


def test_jobs_are_cancelled_retried_and_replayed(api, client):
    job = client.jobs.submit("clean", RECORDS)
    assert client.jobs.cancel(job.id).state == "cancelled"
    again = client.jobs.retry(job.id)
    assert again.shown["replay_of"] == job.id
    with pytest.raises(NotFound, match="no dead letters"):
        client.jobs.replay(again.id)
    api.work()
    assert [attempt["outcome"] for attempt in client.jobs.attempts(again.id)] == ["succeeded"]


def test_an_id_that_is_written_like_a_path_leads_nowhere_else(client):
    for name in ("../me", "../../../health/live", "?limit=1", "job_1/attempts"):
        with pytest.raises((NotFound, RequestInvalid)):
            client.jobs.read(name)


def test_errors_are_the_classes_that_the_server_raised(api, client):
    with pytest.raises(NotFound) as missing:
        client.jobs.submit("none", RECORDS)
    assert missing.value.hint
    with pytest.raises(RequestInvalid) as invalid:
        client.jobs.submit("clean", RECORDS, priority=1_000)
    assert invalid.value.problems[0]["place"] == "body.priority"
    with Client(api.url, "pk_wrong_key") as stranger, pytest.raises(NotLoggedIn):
        stranger.jobs.read("job_1")


@pytest.mark.parametrize("url", ["", "localhost:8400", "ftp://x", "http://"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(SettingInvalid):
        Client(url, "key")


def test_a_server_that_is_not_there_is_told(monkeypatch):
    client = Client("http://127.0.0.1:9", "key")
    client.transport._sleep = lambda _: None
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        client.jobs.read("job_1")


# ---- servers that are not well ----


class Sick(http.server.BaseHTTPRequestHandler):
    """Answers what is in its list, one after the other."""

    answers: list[tuple[int, dict[str, str], bytes]] = []  # noqa: RUF012  # set anew for each test
    asked: list[str] = []  # noqa: RUF012  # as above

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Answer in the same way."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def sick(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[Client, list[float]]]:
    """Give a client of a server that answers so, and the list of its pauses."""
    Sick.answers, Sick.asked = list(answers), []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sick) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pauses: list[float] = []
        client = Client(f"http://127.0.0.1:{server.server_address[1]}", "key", timeout_s=10)
        client.transport._sleep = pauses.append
        try:
            yield client, pauses
        finally:
            client.close()
            server.shutdown()


def problem(code: str) -> bytes:
    return json.dumps({"code": code, "detail": "d", "hint": "h", "status": 0}).encode()


BUSY = (503, {"Retry-After": "3"}, problem("database_unavailable"))
FULL = (429, {"Retry-After": "7"}, problem("too_many"))
FINE: tuple[int, dict[str, str], bytes] = (200, {}, b'{"items": [], "next": null}')


def test_what_is_safe_is_asked_again_after_the_time_that_the_server_names():
    with sick(BUSY, FULL, FINE) as (client, pauses):
        assert client.transport.request("GET", "/jobs") == {"items": [], "next": None}
    assert pauses == [3.0, 7.0]


def test_what_is_not_safe_is_asked_again_only_when_nothing_was_done():
    with sick(FULL, BUSY, FINE) as (client, pauses), pytest.raises(PenstockError) as error:
        client.transport.request("POST", "/jobs/x/cancel")
    assert error.value.code == "database_unavailable"
    assert pauses == [7.0]


def test_nobody_waits_longer_than_patience():
    with sick((429, {"Retry-After": "600"}, problem("too_many"))) as (client, pauses), pytest.raises(TooMany) as error:
        client.transport.request("GET", "/jobs")
    assert (error.value.retry_after_s, pauses) == (600.0, [])


def test_a_proxy_that_answers_in_its_place_is_told_apart():
    with sick((502, {}, b"<html>bad gateway</html>")) as (client, _), pytest.raises(ServerUnavailable):
        client.transport.request("GET", "/jobs")
    with sick((404, {}, b"<html>not here</html>")) as (client, _), pytest.raises(PenstockError) as error:
        client.transport.request("GET", "/jobs")
    assert error.value.code == "server_foreign"


def test_an_error_that_the_client_does_not_know_keeps_its_code():
    with sick((409, {}, problem("something_new"))) as (client, _), pytest.raises(Conflict) as error:
        client.transport.request("GET", "/jobs")
    assert error.value.code == "something_new"


def test_a_result_that_breaks_off_or_is_another_leaves_no_file(tmp_path):
    cut = (200, {"Content-Length": "100", "ETag": '"x"'}, b"half")
    with sick(cut) as (client, _), pytest.raises(ServerUnavailable):
        client.jobs.result("job_1", tmp_path / "out")
    other = (200, {"ETag": '"not its hash"'}, b"whole")
    with sick(other) as (client, _), pytest.raises(ServerUnavailable, match="others than the server has"):
        client.jobs.result("job_1", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---- the command line ----


@pytest.fixture
def terminal(api, tenant, monkeypatch, tmp_path):
    """Run a command as the workspace's admin, and return what it printed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PENSTOCK_URL", api.url)
    monkeypatch.setenv("PENSTOCK_API_KEY", tenant.api_key)
    monkeypatch.chdir(tmp_path)
    Path("orders.ndjson").write_bytes(LINES)

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(cli, list(words))
        if isinstance(result.exception, PenstockError):
            raise result.exception
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    return run


def test_a_file_goes_and_its_result_comes_with_one_command(api, terminal):
    api.work_soon()
    printed = terminal("jobs", "submit", "clean", "orders.ndjson", "--label", "day:1", "-o", "clean.ndjson")
    assert "succeeded" in printed
    assert "2: 2 produced" in printed
    assert Path("clean.ndjson").read_bytes() == LINES


def test_a_job_is_shown_listed_fetched_and_cancelled(api, terminal):
    job = terminal("jobs", "submit", "clean@1.0.0", "orders.ndjson", "--label", "who:cli").strip()
    assert job.startswith("job_")
    assert "waits" in terminal("jobs", "show", job)
    assert job in terminal("jobs", "list", "--label", "who:cli", "--state", "queued")
    api.work()
    assert terminal("jobs", "result", job) == LINES.decode()
    fetched = json.loads(terminal("jobs", "result", job, "-o", "again.ndjson", "--json"))
    assert fetched == {"job": job, "output": "again.ndjson", "size_bytes": len(LINES)}
    with pytest.raises(PenstockError, match="cannot have both"):
        terminal("jobs", "result", job, "--json")
    assert json.loads(terminal("jobs", "show", job, "--json"))["attempts"][0]["outcome"] == "succeeded"
    assert "succeeded" in terminal("jobs", "watch", job)
    other = json.loads(terminal("jobs", "submit", "clean", "orders.ndjson", "--json"))["id"]
    assert "cancelled" in terminal("jobs", "cancel", other)
    terminal("jobs", "watch", other, code=2)
    again = [json.loads(terminal("jobs", "retry", other, "--idempotency-key", "once", "--json")) for _ in range(2)]
    assert [each["replay_of"] for each in again] == [other, other]
    assert again[0]["id"] == again[1]["id"]
    api.work()


def test_mistakes_at_the_terminal_are_told(terminal):
    with pytest.raises(InputNotFound):
        terminal("jobs", "submit", "clean", "none.ndjson")
    with pytest.raises(PenstockError, match="NAME:VALUE"):
        terminal("jobs", "submit", "clean", "orders.ndjson", "--label", "x")
    with pytest.raises(PenstockError, match="go together"):
        terminal("jobs", "submit", "clean", "orders.ndjson", "--webhook", "https://example.com")
    with pytest.raises(NotFound):
        terminal("jobs", "show", "job_none")


def test_a_key_is_never_shown_to_another_server(terminal, monkeypatch, api):
    folder = Path("config") / "penstock"
    folder.mkdir(parents=True)
    (folder / "credentials.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "api_key": "pk_secret"}))
    monkeypatch.delenv("PENSTOCK_API_KEY")
    with pytest.raises(NotLoggedIn, match=r"is for http://127\.0\.0\.1:1"):
        terminal("jobs", "list")
    monkeypatch.delenv("PENSTOCK_URL")
    (folder / "credentials.json").write_text("{")
    with pytest.raises(SettingInvalid):
        terminal("jobs", "list")
    (folder / "credentials.json").unlink()
    with pytest.raises(NotLoggedIn):
        terminal("jobs", "list")


def test_a_watch_goes_on_when_events_do_not_come_through(api, client, monkeypatch):
    def broken(*_: object) -> Iterator[object]:
        raise ServerUnavailable("no events here", hint="h")
        yield

    monkeypatch.setattr(type(client.jobs), "_events", broken)
    job = client.jobs.submit("clean", RECORDS)
    api.work_soon()
    began = time.monotonic()
    assert [step.state for step in client.jobs.watch(job.id)][-1] == "succeeded"
    assert time.monotonic() - began < 10
