"""A project on a server, by HTTP and by its client: deployed, planned, run, watched, queried, rolled back."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from penstock.api import run_models as models
from penstock.api import table_models
from penstock.api.incident_models import IncidentShown
from penstock.api.routes import projects as routes
from penstock.client import Client
from penstock.client.runs import Run
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import Conflict, NotAllowed, NotFound, PenstockError, ProjectInvalid
from penstock.database import schema
from tests.carrying import SHOP, Working, carry_out
from tests.journeys.command import Here
from tests.serving import Api, Tenant

FILES = {name: content.encode() for name, content in SHOP.items()}
MARKET = {
    "penstock.yml": b"name: market\nconnections:\n  here: {kind: files, path: data}\n",
    "pipelines/bought.yml": b"""\
tasks:
  land: {kind: ingest, from: {connection: here, path: "*.ndjson"}, to: raw.bought}
  check: {kind: expectations, from: raw.bought, suite: expectations/bought.json}
""",
    "expectations/bought.json": b'{"expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "id"}}]}',
    "data/bought.ndjson": b'{"id":1}\n',
}


SEVERAL = b"""\
tasks:
  each: {kind: sql, sql: "SELECT '${item}' AS a", to: marts.several, for_each: {values: [one, two, three]}}
"""


@pytest.fixture(scope="module")
def tenant(api: Api) -> Tenant:
    return api.tenant("shopkeeper")


@pytest.fixture(scope="module")
def client(api: Api, tenant: Tenant) -> Iterator[Client]:
    with api.client(tenant) as client:
        yield client


@pytest.fixture(scope="module")
def run(api: Api, tenant: Tenant, client: Client) -> str:
    """A run that has landed two orders, and set one line aside."""
    client.projects.deploy(FILES)
    run = client.runs.start("shop", "sales", date="2026-01-31")
    carry_out(api, tenant)
    return run.id


def test_a_deploy_says_what_has_changed_and_which_schedules_run(client: Client, run: str):
    again = client.projects.deploy(FILES, note="the same")
    assert again.shown["before"] == again.revision
    assert again.shown["changes"] == {"added": [], "changed": [], "removed": []}
    more = client.projects.deploy({**FILES, "data/orders.ndjson": b"", "scripts/x.bin": b"\xff\xfe"}, note="less data")
    assert more.shown["changes"] == {"added": ["scripts/x.bin"], "changed": ["data/orders.ndjson"], "removed": []}
    assert [(each["cron"], each["paused"]) for each in more.shown["schedules"]] == [("0 2 * * *", False)]
    assert client.projects.activate("shop", again.revision[:12]).revision == again.revision
    assert [each.active for each in client.projects.revisions("shop")] == [False, True]
    assert [each.revision for each in client.projects.list()] == [again.revision]


def test_a_project_that_is_not_valid_changes_nothing_and_every_problem_is_said(client: Client, run: str):
    before = client.projects.list()
    with pytest.raises(ProjectInvalid, match="there is no task kind 'ingset'") as refused:
        client.projects.deploy(
            {**FILES, "pipelines/sales.yml": FILES["pipelines/sales.yml"].replace(b"ingest", b"ingset")}
        )
    assert [str(problem.place) for problem in refused.value.problems] == ["pipelines/sales.yml:4:16"]
    assert client.projects.list() == before


def test_a_table_that_another_project_writes_is_refused_when_it_is_deployed(client: Client, run: str):
    before = client.projects.list()
    other = FILES["penstock.yml"].replace(b"name: shop", b"name: outlet")
    with pytest.raises(ProjectInvalid, match=r"raw\.orders is written by the task land of the project shop") as refused:
        client.projects.deploy({**FILES, "penstock.yml": other})
    assert {problem.code for problem in refused.value.problems} == {"table_owned"}
    assert all(problem.place.file == "pipelines/sales.yml" for problem in refused.value.problems)
    assert client.projects.list() == before


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"files": {"../x": ""}}, "request_invalid", "downwards"),
        ({"files": {"a": "", "a/b": ""}}, "request_invalid", "a folder that is a file"),
        ({"files": {"a": ""}, "binary": {"a": ""}}, "request_invalid", "both files and binary"),
        ({"binary": {"a": "no base64!"}}, "request_invalid", "body.binary.a"),
        ({"files": {}, "mode": 1}, "request_invalid", "body.mode"),
        ({"files": {f"f{number}": "" for number in range(5001)}}, "request_invalid", "5,000"),
        ({"binary": {"a": base64.b64encode(bytes(16 * 2**20 + 1)).decode()}}, "too_large", "16 MiB"),
    ],
)
def test_files_that_cannot_be_those_of_a_project_are_refused(api: Api, tenant: Tenant, body, code, words):
    with api.http(tenant) as http:
        refused = http.post("/api/v1/projects", json=body).json()
    assert refused["code"] == code
    assert words in refused["detail"]


def test_a_body_that_is_too_large_is_not_taken_to_its_end(api: Api, tenant: Tenant):
    def blocks():
        for _ in range(routes._BODY_BYTES // 2**20 + 2):
            yield bytes(2**20)

    with api.http(tenant) as http:
        refused = http.post("/api/v1/projects", content=blocks())
    assert refused.status_code == 413


def test_a_run_says_what_it_did_and_whose_it_is(client: Client, tenant: Tenant, run: str):
    found = client.runs.read(run)
    assert (found.state, found.date, found.ended) == ("succeeded", "2026-01-31", True)
    assert (found.shown["started_by"], found.shown["revision"]["deployed_by"]) == ("ada", "ada")
    assert found.tasks[0]["report"]["rows"] == 2
    assert [each.id for each in client.runs.list(project="shop", state="succeeded")][-1] == run
    said = client.runs.logs(run, task="land")
    assert [line["cursor"] for line in said] == sorted(line["cursor"] for line in said)
    assert client.runs.logs(run, after=said[-1]["cursor"]) == []
    assert client.runs.checks(run=run) == []
    with pytest.raises(Conflict, match="has succeeded") as refused:
        client.runs.resume(run)
    assert "penstock run --server --again" in refused.value.hint


def test_a_run_knows_its_revision_however_many_came_after_it(api: Api):
    tenant = api.tenant("deploys-often")
    with api.client(tenant) as client:
        revision = client.projects.deploy(FILES, note="the first").shown
        run = client.runs.start("shop", "sales", date="2026-01-31").id
        later = time.time() + 60
        many = [
            {"workspace": tenant.workspace, "project": "shop", "revision": f"later{number}", "created_at": later}
            | {"blob_key": "k", "blob_sha256": "s", "size_bytes": 1, "files": 1, "created_by": "x", "note": ""}
            for number in range(limits.LISTED.value)
        ]
        api.server.database.write(lambda tx: tx.execute(schema.revisions.insert(), many) and None)
        shown = client.runs.read(run).shown["revision"]
    assert shown["revision"] == revision["revision"]
    assert (shown["deployed_by"], shown["note"]) == ("ada", "the first")


def test_every_answer_has_the_form_that_the_document_says(api: Api, tenant: Tenant, run: str):
    forms: list[tuple[str, type[BaseModel]]] = [
        ("projects", models.RevisionPage),
        ("projects/shop", models.RevisionShown),
        ("pipelines", models.PipelinePage),
        ("pipelines/shop/sales", models.PipelineShown),
        ("runs", models.RunPage),
        (f"runs/{run}", models.RunShown),
        (f"runs/{run}/logs", models.LogPage),
        (f"runs/{run}/tasks/land/items", models.ItemPage),
        ("backfills", models.BackfillPage),
        ("checks", models.CheckPage),
        ("tables", table_models.TablePage),
        ("tables/raw.orders", table_models.TableWhole),
        ("tables/raw.orders/history", table_models.HistoryPage),
        ("tables/raw.orders/lineage", table_models.LineageTree),
    ]
    with api.http(tenant) as http:
        for path, form in forms:
            shown = http.get(f"/api/v1/{path}").raise_for_status().json()
            assert form.model_validate(shown, strict=True).model_dump(mode="json") == shown, path
        for path, body, form in (
            ("tables/query", {"sql": "SELECT * FROM raw.orders"}, table_models.AnswerShown),
            ("pipelines/shop/sales/plan", {}, models.PlanShown),
        ):
            shown = http.post(f"/api/v1/{path}", json=body).raise_for_status().json()
            assert form.model_validate(shown, strict=True).model_dump(mode="json") == shown, path


def test_a_plan_says_what_would_run(client: Client, run: str):
    plan = client.runs.plan("shop", "sales", date="2026-02-01", select=["land"])
    assert [(task["name"], task["action"]) for task in plan["tasks"]] == [("land", "run")]
    with pytest.raises(NotFound, match="no pipeline 'sale'") as refused:
        client.runs.plan("shop", "sale")
    assert "Did you mean 'sales'?" in refused.value.hint


def test_a_watch_tells_what_becomes_of_a_run(api: Api, tenant: Tenant, client: Client, run: str):
    other = client.runs.start("shop", "sales", date="2026-02-02").id
    steps = list[Run]()
    with contextlib.ExitStack() as stack:
        for step in client.runs.watch(other):
            if not steps:  # nobody works before the first has been told
                stack.enter_context(Working(api, tenant))
            steps.append(step)
    assert (steps[0].ended, steps[-1].state) == (False, "succeeded")
    with api.http(tenant) as http, http.stream("GET", f"/api/v1/runs/{other}/events") as stream:
        mark = next(line for line in stream.iter_lines() if line.startswith("id: ")).removeprefix("id: ")
    with api.http(tenant) as http:
        seen = http.get(f"/api/v1/runs/{other}/events", headers={"Last-Event-ID": mark})
    assert seen.status_code == 204


def test_published_tables_are_queried_described_and_rolled_back(client: Client, run: str):
    table = client.tables.read("raw.orders")
    assert {column["name"] for column in table["columns"]} >= {"id", "total", "_run", "_date"}
    answer = client.tables.query("SELECT id, total FROM raw.orders ORDER BY id", rows_max=1)
    assert (answer.rows, answer.truncated) == ([[1, 2.5]], True)
    pinned = client.tables.query("SELECT count(*) FROM raw.orders", at={"raw.orders": table["snapshot"]})
    assert pinned.rows == [[2]]
    tree = client.tables.lineage("raw.orders")
    assert (tree["run"], tree["task"], tree["upstream"]) == (run, "land", [])
    assert [each["snapshot"] for each in client.tables.history("raw.orders")] == [table["snapshot"]]
    assert client.tables.rollback("raw.orders", table["snapshot"])["snapshot"] == table["snapshot"]
    assert [each["table"] for each in client.tables.maintain("raw.orders")] == ["raw.orders"]
    with pytest.raises(NotFound, match=r"raw\.order ") as refused:
        client.tables.history("raw.order")
    assert "raw.orders" in refused.value.hint


def test_a_query_ends_and_its_place_is_free_once_whoever_asked_has_gone(
    api: Api, tenant: Tenant, client: Client, run: str
):
    endless = "SELECT count(*) FROM range(1000000000000) a(i) WHERE i * i % 7 = 3"
    places = limits.QUERIES.value
    with api.http(tenant, timeout_s=2) as http, ThreadPoolExecutor(places + 1) as pool:
        leaving = [pool.submit(http.post, "/api/v1/tables/query", json={"sql": endless}) for _ in range(places + 1)]
        assert [type(each.exception()) for each in leaving] == [httpx.ReadTimeout] * (places + 1)
        gone_s = time.monotonic()
        assert client.tables.query("SELECT 1 AS one").rows == [[1]]
        assert time.monotonic() - gone_s < 20
    until_s = time.monotonic() + 30
    workspace = WorkspaceId(tenant.workspace)
    while api.server.tables._places.taken(workspace) != (0, 0) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert api.server.tables._places.taken(workspace) == (0, 0)
    assert list(api.server.tables.scratch.iterdir()) == []


def test_a_backfill_runs_each_date_and_can_be_ended(client: Client, run: str):
    begun = client.runs.backfill("shop", "sales", date_from="2026-03-01", date_to="2026-03-05", parallel=2)
    assert sum(begun["counts"].values()) == 5
    ended = client.runs.cancel_backfill(begun["id"])
    assert ended["counts"] == {"cancelled": 5}
    assert [each["id"] for each in client.runs.backfills("shop")] == [begun["id"]]
    with pytest.raises(PenstockError, match="no date lies from"):
        client.runs.backfill("shop", "sales", date_from="2026-03-05", date_to="2026-03-01")


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        ("runs", {"date": "2026-04-01", "params": {}}, {"date": "2026-04-02"}),
        (
            "backfills",
            {"date_from": "2026-04-01", "date_to": "2026-04-02"},
            {"date_from": "2026-04-01", "date_to": "2026-04-03"},
        ),
    ],
)
def test_the_same_key_and_body_begin_one_thing_and_another_body_is_refused(
    api: Api, tenant: Tenant, client: Client, run: str, path, body, other
):
    url, headers = f"/api/v1/pipelines/shop/sales/{path}", {"Idempotency-Key": f"nightly-{path}"}
    with api.http(tenant) as http, ThreadPoolExecutor(4) as pool:
        together = [pool.submit(http.post, url, json=body, headers=headers) for _ in range(4)]
        answers = [each.result() for each in together]
        assert [answer.status_code for answer in answers] == [202] * 4
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sorted(answer.headers.get("Idempotent-Replayed", "") for answer in answers) == ["", *["true"] * 3]
        refused = http.post(url, json=other, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert answers[0].json()["id"] in refused.json()["detail"]
        job = http.post("/api/v1/jobs", json={"script": "clean", "input": [{}]}, headers=headers)
        assert job.status_code == 409
        before = client.projects.list()[0].revision
        client.projects.deploy({name.replace("sales", "renamed"): content for name, content in FILES.items()})
        assert http.post(url, json=body, headers=headers).json()["id"] == answers[0].json()["id"]
        client.projects.activate("shop", before)


def test_a_start_whose_answer_is_lost_is_sent_again_and_starts_once(api: Api, tenant: Tenant, client: Client, run: str):
    with forgetful(api.url) as (url, sent), Client(url, tenant.api_key) as through:
        one = through.runs.start("shop", "sales", date="2026-05-01")
        many = through.runs.backfill("shop", "sales", date_from="2026-05-02", date_to="2026-05-03")
    assert len(sent) == 4
    assert [each.id for each in client.runs.list(pipeline="sales") if each.date == "2026-05-01"] == [one.id]
    assert [each["id"] for each in client.runs.backfills() if each["date_from"] == "2026-05-02"] == [many["id"]]
    ended = client.runs.cancel(one.id)
    assert ended.error is not None
    assert f"penstock resume --server {one.id}" in ended.error["hint"]
    client.runs.cancel_backfill(many["id"])


def test_every_list_goes_on_where_a_page_ends(api: Api, tenant: Tenant, client: Client, run: str):
    for note in ("first", "second"):
        client.projects.deploy({**MARKET, "pipelines/several.yml": SEVERAL, "notes.txt": note.encode()})
    for date in ("2026-06-01", "2026-06-02"):
        client.runs.start("market", "bought", date=date)
        client.runs.cancel_backfill(client.runs.backfill("shop", "sales", date_from=date, date_to=date)["id"])
    carry_out(api, tenant)
    for _ in range(2):
        several = client.runs.start("market", "several", again=True).id
        carry_out(api, tenant)
    history, items = "tables/marts.several/history", f"runs/{several}/tasks/each/items"
    with api.http(tenant) as http:
        for path in (
            "projects",
            "projects/market/revisions",
            "backfills",
            "checks",
            "tables",
            "pipelines",
            history,
            items,
        ):
            whole, pages, cursor = http.get(f"/api/v1/{path}").json(), list[Any](), None
            while not pages or cursor is not None:
                query = {"limit": 1} if cursor is None else {"limit": 1, "cursor": cursor}
                page = http.get(f"/api/v1/{path}", params=query).raise_for_status().json()
                pages, cursor = pages + page["items"], page["next"]
            assert pages == whole["items"], path
            assert (len(pages) > 1, whole["next"]) == (True, None), path
    assert len(client.runs.checks(limit=1)) == len(client.runs.backfills(limit=1)) == 1


@contextlib.contextmanager
def forgetful(server: str) -> Iterator[tuple[str, list[str]]]:
    """Give a proxy that passes every request on, and loses the answer to the first of two."""
    sent: list[str] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type", "Idempotency-Key")}
            answer = httpx.post(server + self.path, content=body, headers=headers, trust_env=False)
            sent.append(self.path)
            if len(sent) % 2 == 0:
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}", sent
        finally:
            proxy.shutdown()


def test_what_is_wrong_with_a_pipeline_is_listed_with_whom_it_was_told(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tenant, here = api.tenant("wronged"), Here(tmp_path)
    project = SHOP["penstock.yml"] + "alerts: {team: 'jsons://127.0.0.1:9/x'}\n"
    pipeline = SHOP["pipelines/sales.yml"].replace('"*.ndjson"', "none.ndjson") + "alerts: [team]\n"
    with api.client(tenant) as client:
        client.projects.deploy({"penstock.yml": project.encode(), "pipelines/sales.yml": pipeline.encode()})
        runs = [client.runs.start("shop", "sales", date=f"2026-01-0{day}").id for day in (1, 2)]
        carry_out(api, tenant)
        api.server.alerts.send_due()
        api.server.alerts.send_due()
        [incident] = client.incidents.list()
        assert IncidentShown.model_validate(incident, strict=True).model_dump(mode="json") == incident
        assert client.incidents.read(incident["id"]) == incident
        assert client.incidents.list(state="closed") == []
    assert (incident["kind"], incident["runs"], incident["telling"]) == ("failed", 2, "waiting")
    assert incident["run"] in runs
    assert "not a public address" in incident["told"][0]["error"]
    monkeypatch.setenv("PENSTOCK_URL", api.url)
    monkeypatch.setenv("PENSTOCK_API_KEY", tenant.api_key)
    said = printed(here, "alerts", "list", "--open")
    assert "open   failed  shop/sales  2026-01-0" in said
    assert "team (not yet)" in said
    assert "team was not told of its begin: the alert would reach what it may not" in said
    assert json.loads(printed(here, "alerts", "list", "--json")) == [incident]


def test_a_schedule_is_paused_and_goes_on(client: Client, run: str):
    assert client.projects.pause("shop", "sales", paused=True)["paused"]
    assert [each["schedule"]["paused"] for each in client.projects.pipelines("shop")] == [True]
    assert not client.projects.pause("shop", "sales", paused=False)["paused"]


def test_a_viewer_sees_an_editor_runs_and_neither_deploys(api: Api, tenant: Tenant, run: str):
    with Client(api.url, api.key_of(tenant, "viewer")) as viewer:
        assert viewer.runs.read(run).ended
        assert viewer.tables.query("SELECT 1 AS one").rows == [[1]]
        with pytest.raises(NotAllowed, match="pipelines:run"):
            viewer.runs.start("shop", "sales")
    with Client(api.url, api.key_of(tenant, "editor")) as editor:
        assert editor.runs.cancel(editor.runs.start("shop", "sales").id).state == "cancelled"
        with pytest.raises(NotAllowed, match="pipelines:deploy"):
            editor.projects.deploy(FILES)
        with pytest.raises(NotAllowed, match="pipelines:deploy"):
            editor.tables.rollback("raw.orders", "1")


def test_a_project_goes_to_the_server_and_runs_there_from_the_terminal(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tenant, here = api.tenant("terminal"), Here(tmp_path)
    monkeypatch.setenv("PENSTOCK_URL", api.url)
    monkeypatch.setenv("PENSTOCK_API_KEY", tenant.api_key)
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    said = printed(here, "deploy", "--note", "first")
    assert "shop: revision" in said
    assert "+ pipelines/sales.yml" in said
    assert "runs sales: 0 2 * * * (America/Sao_Paulo), next at" in said
    assert "nothing has changed" in printed(here, "deploy")
    assert "land  ingest" in printed(here, "plan", "--server")

    with Working(api, tenant):
        done = here.penstock("run", "--server")
    assert "deployed by ada" in done.out
    assert "land succeeded: 2 rows, 1 rejected" in done.err
    assert printed(here, "query", "SELECT sum(total) AS s FROM raw.orders", "--csv", "--server") == "s\n5.5"
    assert printed(here, "status", "last", "--server") == without_log(done.out)
    for verb, dates in (
        ("run", ["--date", "2026-08-01"]),
        ("backfill", ["--from", "2026-08-02", "--to", "2026-08-02"]),
    ):
        words = ["shop/sales", *dates, "--idempotency-key", f"my-{verb}"]
        one, other = (printed(here, verb, *words, "--server", "--no-wait") for _ in range(2))
        assert one == other
        assert "goes with --server" in here.penstock(verb, *words, exit_code=2).err
    assert "America/Sao_Paulo" in printed(here, "schedules", "--server")
    assert "it waits for" in printed(here, "schedules", "pause", "shop/sales", "--server")

    bad = FILES["pipelines/sales.yml"].replace(b"ingest", b"ingset")
    (tmp_path / "pipelines/sales.yml").write_bytes(bad)
    refused = here.penstock("deploy", exit_code=2)
    assert "pipelines/sales.yml:4:16: there is no task kind 'ingset'" in refused.err


def printed(here: Here, *arguments: str) -> str:
    """Return what a command prints."""
    return without_log(here.penstock(*arguments).out)


def without_log(text: str) -> str:
    """Return what a command has printed, without the lines of the server in the same process."""
    return "\n".join(line for line in text.splitlines() if "request.finished" not in line)
