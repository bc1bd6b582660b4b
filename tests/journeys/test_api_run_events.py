"""What becomes of a run, as server-sent events: all of it once, and then only what has changed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from penstock.api.run_models import RunChange
from penstock.client import Client
from penstock.client.events import Event, read_events
from penstock.client.runs import changed
from penstock.core.access import WorkspaceId
from penstock.core.plan import RunId, TaskName
from penstock.core.runs import CheckResult, PipelineRun
from penstock.core.tables import SnapshotId, TableName
from penstock.storage.attempt_records import SqlAttemptRecords
from penstock.storage.run_records import SqlRunRecords
from tests.serving import Api, Tenant

TASKS = 200
PIPELINE = "tasks:\n" + "".join(
    f"  t{number}: {{kind: ingest, from: {{connection: here, path: x.json}}, to: raw.t{number}}}\n"
    for number in range(TASKS)
)
FILES = {
    "penstock.yml": b"name: wide\nconnections: {here: {kind: files, path: data}}\n",
    "pipelines/many.yml": PIPELINE.encode(),
}
RUNS = SqlRunRecords()


@pytest.fixture(scope="module")
def tenant(api: Api) -> Tenant:
    return api.tenant("wide")


@pytest.fixture(scope="module")
def client(api: Api, tenant: Tenant) -> Iterator[Client]:
    with api.client(tenant) as client:
        client.projects.deploy(FILES)
        yield client


@pytest.fixture
def run(client: Client) -> str:
    """A run that nobody carries out."""
    return client.runs.start("wide", "many").id


def test_after_the_first_event_only_what_has_changed_is_sent(api: Api, tenant: Tenant, client: Client, run: str):
    with listening(api, tenant, run) as events:
        first = next(events)
        shown = orjson.loads(first.data)
        assert (first.kind, shown) == ("state", client.runs.read(run).shown)
        for number in (7, 8, 150):
            change(api, run, f"t{number}", state="running", attempt=1)
            event = next(events)
            said = orjson.loads(event.data)
            assert (event.kind, [task["name"] for task in said["tasks"]]) == ("change", [f"t{number}"])
            assert RunChange.model_validate(said, strict=True).model_dump(mode="json") == said
            assert len(event.data) < len(first.data) / 50
            shown = changed(shown, said)
        check(api, tenant, run)
        change(api, run, "t8", state="succeeded")
        said = orjson.loads(next(events).data)
        assert ([each["suite"] for each in said["checks"]], len(said["tasks"])) == (["expectations/t8.json"], 1)
        change(api, run, "t7", state="succeeded")
        again = orjson.loads(next(events).data)
        assert again["checks"] == []
        assert changed(changed(shown, said), again) == client.runs.read(run).shown
    client.runs.cancel(run)


def test_who_comes_back_gets_all_of_it_first(api: Api, tenant: Tenant, client: Client, run: str):
    with listening(api, tenant, run) as events:
        next(events)
        change(api, run, "t1", state="running")
        mark = next(events).id
    change(api, run, "t2", state="running")
    with listening(api, tenant, run, last=mark) as events:
        back = next(events)
        assert (back.kind, orjson.loads(back.data)) == ("state", client.runs.read(run).shown)
    with listening(api, tenant, run, last=back.id) as events:  # which has seen it: nothing is said before more happens
        time.sleep(0.5)
        change(api, run, "t3", state="running")
        more = next(events)
        assert (more.kind, orjson.loads(more.data)) == ("state", client.runs.read(run).shown)
    client.runs.cancel(run)


def test_the_client_puts_changes_together(api: Api, tenant: Tenant, client: Client, run: str):
    steps = client.runs.watch(run)
    assert next(steps).state == "running"
    change(api, run, "t5", state="running")
    assert {task["name"] for task in next(steps).tasks if task["state"] == "running"} == {"t5"}
    client.runs.cancel(run)
    *_, last = steps
    assert (last.state, len(last.tasks)) == ("cancelled", TASKS)
    assert last.shown == client.runs.read(run).shown


@contextlib.contextmanager
def listening(api: Api, tenant: Tenant, run: str, *, last: str = "") -> Iterator[Iterator[Event]]:
    """Give the events of a run."""
    headers = {"Last-Event-ID": last} if last else {}
    with api.http(tenant) as http, http.stream("GET", f"/api/v1/runs/{run}/events", headers=headers) as stream:
        yield read_events(stream.iter_bytes())


def change(api: Api, run: str, task: str, **values: Any) -> None:
    """Record that a task has come further."""

    def write(tx: Any) -> None:
        before = RUNS.load(tx, [RunId(run)], to_change=True)[RunId(run)]
        RUNS.save(tx, before, _with(before, task, values))

    api.server.database.write(write)


def check(api: Api, tenant: Tenant, run: str) -> None:
    """Record what became of a suite."""
    result = CheckResult(
        run=RunId(run),
        task=TaskName("t8"),
        table=TableName("raw.t8"),
        snapshot=SnapshotId(1),
        suite="expectations/t8.json",
        success=True,
        evaluated=1,
        failed=0,
        blocks=True,
        at=0.0,
    )
    workspace = WorkspaceId(tenant.workspace)
    api.server.database.write(lambda tx: SqlAttemptRecords().add_check(tx, workspace, result))


def _with(run: PipelineRun, name: str, values: dict[str, Any]) -> PipelineRun:
    return replace(run, tasks=tuple(replace(task, **values) if task.name == name else task for task in run.tasks))
