"""Exports: a published table leaves as a file that appears whole, or in batches; nothing else changes."""

import contextlib
import dataclasses
import datetime as dt

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.access.egress import HttpEgress
from penstock.checks.judging import GxSuites
from penstock.connectors import connectors
from penstock.core.access import Policy
from penstock.core.errors import DestinationUnavailable, LeaseExpired, ProjectInvalid, TaskFailed, TooLarge
from penstock.project.loading import load_project
from penstock.sandbox.strict import StrictSandbox
from penstock.tasks import run_kinds
from tests.pipelines import pipeline_context
from tests.sources import serve

TABLE = pa.table(
    {
        "id": pa.array([1, 2], pa.int64()),
        "note": ['a "b", c', None],
        "at": pa.array([dt.datetime(2024, 1, 2, 3, 4, 5, 600, dt.UTC), None], pa.timestamp("us", "UTC")),
        "day": pa.array([dt.date(2024, 1, 2), None]),
    }
)
TASKS = """
tasks:
  csv: { kind: export, from: marts.t, to: { connection: disk, path: "out/t-${date}.csv" } }
  lines: { kind: export, from: marts.t, to: { connection: disk, path: t.ndjson }, columns: [at, id] }
  parquet: { kind: export, from: marts.t, to: { connection: disk, path: t.parquet } }
  api: { kind: export, from: marts.t, to: { connection: api, path: in, batch: 1 }, columns: [id] }
  outside: { kind: export, from: marts.t, to: { connection: disk, path: ../../t.csv } }
"""


@pytest.fixture(scope="module")
def source():
    with serve() as source:
        yield source


@pytest.fixture(scope="module")
def bench(tmp_path_factory, source):
    egress, policy = HttpEgress(), Policy(egress=("127.0.0.1",))
    project = f"""name: shop
connections:
  disk: {{ kind: files, path: reports }}
  api: {{ kind: rest, url: "{source.url}", tries: 1 }}
"""
    with (
        contextlib.closing(StrictSandbox()) as strict,
        pipeline_context(
            tmp_path_factory.mktemp("export"),
            files={"penstock.yml": project, "pipelines/main.yml": TASKS},
            connection_kinds=connectors(),
            strict=strict,
            resolve=lambda _workspace, url: egress.check(url, policy=policy),
        ) as bench,
    ):
        bench.put("marts.t", TABLE)
        yield bench


def test_a_table_becomes_a_file_of_each_format(bench):
    report = bench.run("csv")
    assert (report["rows"], report["path"]) == (2, "out/t-${date}.csv")  # what fills it in is the runner's
    (path,) = (bench.folder / "reports" / "out").iterdir()
    assert sorted(path.read_text().splitlines()) == [
        '1,"a ""b"", c",2024-01-02T03:04:05.000600Z,2024-01-02',
        "2,,,",
        "id,note,at,day",
    ]
    bench.run("lines")
    lines = (bench.folder / "reports" / "t.ndjson").read_bytes().splitlines()
    assert sorted(map(orjson.loads, lines), key=lambda row: row["id"]) == [
        {"at": "2024-01-02T03:04:05.000600Z", "id": 1},
        {"at": None, "id": 2},
    ]
    bench.run("parquet")
    assert pq.read_table(bench.folder / "reports" / "t.parquet").sort_by("id").equals(TABLE)


def test_a_file_that_cannot_be_written_leaves_what_stood_there(bench):
    with pytest.raises(TaskFailed, match="leads out of the project"):
        bench.run("outside")
    assert not list(bench.folder.rglob(".t.*"))


def test_rows_go_to_an_api_in_batches_and_a_failure_fails_the_task(bench, source):
    assert bench.run("api")["requests"] == 2
    assert sorted(orjson.loads(body)[0]["id"] for body, _ in source.posted) == [1, 2]
    source.faults = {len(source.asked) + 2: "500"}
    with pytest.raises(DestinationUnavailable):
        bench.run("api")
    bench.run("api")  # of the same run: the receiver can tell that it has both batches
    assert len({headers["Idempotency-Key"] for _, headers in source.posted}) == 2


def test_nothing_leaves_when_the_work_may_be_another_s_by_now(bench, source):
    before = len(source.posted)
    with bench.open("api") as ctx:
        ctx.stop.held_until_s = 0.0
        with pytest.raises(LeaseExpired):
            bench.kinds["export"].run(bench.project.pipelines["main"].tasks["api"].spec, ctx)
    assert len(source.posted) == before


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("from: marts.t, to: { connection: disk, path: t.xls }", "does not tell the format"),
        ("from: marts.t, to: { connection: base }", "nothing can be written to a connection of the kind sqlite"),
    ],
)
def test_mistakes_are_found_before_anything_runs(task, message):
    project = "name: shop\nconnections: { disk: { kind: files }, base: { kind: sqlite, path: x.db } }\n"
    pipeline = f"tasks: {{ out: {{ kind: export, {task} }} }}\n"
    files = {"penstock.yml": project.encode(), "pipelines/main.yml": pipeline.encode()}
    kinds = run_kinds(suites=GxSuites(), connectors=connectors())
    with pytest.raises(ProjectInvalid) as refused:
        load_project(files, kinds=kinds, connection_kinds=connectors())
    assert message in refused.value.problems[0].message


def test_a_file_that_does_not_fit_beside_the_workspace_s_others_is_refused(bench, monkeypatch):
    folder = bench.folder / "mine"
    (folder / "reports").mkdir(parents=True)
    others = folder / "dropped.csv"
    others.write_bytes(bytes(290))
    parts = dataclasses.replace(bench.parts, files_folder=folder, files_room=lambda _workspace: 300)
    monkeypatch.setattr(bench, "parts", parts)
    with pytest.raises(TooLarge, match="the workspace's files have 290 B, and ") as refused:
        bench.run("lines")
    assert "stored_bytes_max leaves them 300 B" in refused.value.message
    assert list((folder / "reports").iterdir()) == []
    others.unlink()
    bench.run("lines")
    monkeypatch.setattr(bench, "parts", dataclasses.replace(parts, files_room=lambda _workspace: 150))
    bench.run("lines")  # what it replaces does not count
    assert [path.name for path in (folder / "reports").iterdir()] == ["t.ndjson"]
