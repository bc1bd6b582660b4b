"""A project in a folder, from a terminal: no server, no account; state in .penstock/local."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from penstock.planning.pipelines import Occasion
from penstock.wiring.folder import read_files
from penstock.wiring.local import open_local
from tests.journeys.command import PENSTOCK, Here

FILES = {
    "penstock.yml": "name: shop\nconnections:\n  here: {kind: files, path: data}\n",
    "data/orders.ndjson": '{"id":1,"shop":"a","total":2.5}\n{"id":2,"shop":"b","total":3.0}\nnot json\n',
    "sql/daily.sql": "SELECT shop, sum(total) AS total\nFROM orders\nGROUP BY ALL ORDER BY shop\n",
    "pipelines/sales.yml": """\
tasks:
  land: {kind: ingest, from: {connection: here, path: "*.ndjson"}, to: raw.orders}
  daily: {kind: sql, file: sql/daily.sql, from: {orders: raw.orders}, to: marts.daily}
""",
}


SAMPLES = """\
suite: expectations/orders.json
samples:
  - {name: a good day, rows: [{order_id: A1, country: BR, total: 3.5}]}
  - name: twice
    rows: [{order_id: A1, country: BR, total: 3.5}, {order_id: A1, country: DE, total: 1}]
    fails: [expect_column_values_to_be_unique(order_id)]
  - {name: bad, rows: [{order_id: A1, country: null, total: 3.5}]}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """A project that has run once."""
    folder = Here(tmp_path_factory.mktemp("shop"))
    for name, content in FILES.items():
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text(content)
    done = folder.penstock("run").out
    assert "daily  sql     succeeded  2 rows" in done
    return folder


def test_a_task_is_done_for_each_file_of_a_connection(tmp_path: Path):
    here = Here(tmp_path)
    each = 'for_each: {files: "2026-*/*.ndjson", connection: here}, from: {connection: here, path: "${item}"}'
    files = {name: text for name, text in FILES.items() if name == "penstock.yml"}
    files["pipelines/land.yml"] = f"tasks:\n  land: {{kind: ingest, {each}, to: raw.orders}}\n"
    for number in (1, 2, 3):
        files[f"data/2026-0{number}/orders.ndjson"] = f'{{"id":{number}}}\n'
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    here.penstock("run")
    (task,) = here.shown("status", "last")["tasks"]
    assert (task["state"], task["items"]) == ("succeeded", 3)
    told = here.penstock("query", "SELECT _source, id FROM raw.orders ORDER BY id", "--csv").out
    assert told.splitlines()[1:] == [f"2026-0{number}/orders.ndjson,{number}" for number in (1, 2, 3)]


def test_tables_are_described_queried_and_traced(shop: Here):
    assert [table["name"] for table in shop.shown("tables")] == ["marts.daily", "raw.orders", "raw.orders__rejected"]
    answer = shop.penstock("query", "FROM marts.daily", "--csv").out
    assert answer == "shop,total\na,2.5\nb,3.0\n"
    refused = shop.penstock("query", "FROM '/etc/passwd'", exit_code=2).err
    assert "hint: Name published tables: a query reads nothing else. There are: marts.daily" in refused
    capped = shop.penstock("query", "FROM marts.daily", "--rows", "1")
    assert capped.out.split() == ["shop", "total", "a", "2.5"]
    assert capped.err == "only the first 1 row; more with --rows\n"
    tree = shop.shown("lineage", "marts.daily")
    assert [(each["table"], each["task"]) for each in (tree, *tree["upstream"])] == [
        ("marts.daily", "daily"),
        ("raw.orders", "land"),
    ]
    lines = shop.penstock("lineage", "marts.daily").out.splitlines()
    assert f"shop/daily (sql/daily.sql#{hashlib.sha256(FILES['sql/daily.sql'].encode()).hexdigest()[:12]})" in lines[0]
    assert lines[1].startswith("└── raw.orders@")


def test_a_change_is_published_and_rolled_back(shop: Here):
    before = shop.shown("tables", "marts.daily")["snapshot"]
    (shop.path / "data/more.ndjson").write_text('{"id":3,"shop":"a","total":10.0}\n')
    plan = shop.shown("plan")
    assert [(task["name"], task["action"]) for task in plan["tasks"]] == [("land", "run"), ("daily", "decide")]
    shop.penstock("run")
    assert shop.shown("query", "SELECT total FROM marts.daily")["rows"] == [[12.5], [3.0]]
    old = shop.shown("query", "SELECT total FROM marts.daily", "--at", f"marts.daily={before}")
    assert old["rows"] == [[2.5], [3.0]]
    assert shop.shown("rollback", "marts.daily", "--to", before)["snapshot"] == before
    assert shop.shown("query", "SELECT total FROM marts.daily")["rows"] == [[2.5], [3.0]]
    refused = shop.penstock("rollback", "marts.daily", "--to", "12", exit_code=2).err
    assert "[snapshot_gone]" in refused


def test_what_has_not_changed_does_not_run_again(shop: Here):
    run = shop.shown("run")
    assert {task["name"]: task["state"] for task in run["tasks"]}["daily"] == "skipped"
    again = shop.shown("run", "--again", "--select", "daily")
    assert [(task["name"], task["state"]) for task in again["tasks"]] == [("daily", "succeeded")]


def test_a_run_that_fails_says_which_code_and_line_and_readers_notice_nothing(shop: Here):
    before = shop.shown("query", "FROM marts.daily")
    code = shop.path / "sql/daily.sql"
    good = code.read_text()
    code.write_text(good.replace("sum(total)", "sum(totl)"))
    failed = shop.penstock("run", exit_code=2)
    text = failed.out
    assert text == shop.penstock("status", "last").out
    assert "code     sql/daily.sql, line 1" in text
    assert 'Referenced column "totl" not found' in text
    assert "published  readers see what they saw before" in text
    assert len(text.splitlines()) < 30
    assert shop.shown("query", "FROM marts.daily") == before
    code.write_text(good)
    assert shop.shown("run", "--again")["state"] == "succeeded"


def test_runs_are_listed_and_their_tasks_have_said_something(shop: Here):
    listed = shop.shown("status", "--limit", "2")
    assert set(listed) == {"runs", "backfills"}
    assert len(listed["runs"]) == 2
    text = shop.penstock("status").out
    assert text.splitlines()[0].split()[:3] == ["run", "state", "created"]
    first = shop.shown("status")["runs"][-1]["id"]
    said = [json.loads(line) for line in shop.penstock("logs", first, "land", "--json").out.splitlines()]
    assert {line["task"] for line in said} == {"land"}
    unknown = shop.penstock("status", "run_0", exit_code=2).err
    assert "[not_found]" in unknown
    assert "Did you mean 'land'?" in shop.penstock("logs", first, "lend", exit_code=2).err
    assert "has no result, and no task of the kind expectations" in shop.penstock("checks", "--run", "last").err
    assert "[not_found]" in shop.penstock("checks", "--run", "run_0", exit_code=2).err


def test_every_problem_is_said_with_its_line_and_schemas_are_for_editors(shop: Here):
    assert shop.shown("validate")["ok"] is True
    path = shop.path / "pipelines/sales.yml"
    path.write_text(
        FILES["pipelines/sales.yml"].replace("kind: sql", "kind: sqll").replace("to: raw.orders", "too: raw")
    )
    try:
        found = shop.shown("validate", exit_code=2)
        assert {(each["file"], each["line"]) for each in found["problems"]} == {
            ("pipelines/sales.yml", 2),
            ("pipelines/sales.yml", 3),
        }
        text = shop.penstock("validate", exit_code=2).out
        assert "    3 |   daily: {kind: sqll," in text
        assert "Did you mean 'sql'?" in text
        assert "no pipeline" not in shop.penstock("run", exit_code=2).err
    finally:
        path.write_text(FILES["pipelines/sales.yml"])
    assert "yaml-language-server" in shop.penstock("validate", "--schema").out
    schema = json.loads((shop.path / ".penstock/schemas/pipeline.json").read_text())
    assert schema["additionalProperties"] is False


def test_a_backfill_runs_each_date_once(shop: Here):
    done = shop.shown("backfill", "--from", "2026-01-01", "--to", "2026-01-03", "--select", "daily")
    assert done["counts"] == {"succeeded": 3}
    text = shop.penstock("status", done["id"]).out
    assert "3 dates: 3 succeeded" in text
    wrong = shop.penstock("backfill", "--from", "2026-01-03", "--to", "2026-01-01", exit_code=2)
    assert "no date lies from" in wrong.err


def test_ctrl_c_asks_a_run_to_stop_and_says_how_to_go_on(shop: Here):
    (shop.path / "sql/slow.sql").write_text(
        "SELECT sum(a.range * b.range) AS n FROM range(200000) a, range(200000) b\n"
    )
    path = shop.path / "pipelines/slow.yml"
    path.write_text("tasks:\n  slow: {kind: sql, file: sql/slow.sql, from: {orders: raw.orders}, to: marts.slow}\n")
    try:
        with subprocess.Popen(
            [PENSTOCK, "run", "slow"], cwd=shop.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline().endswith("slow running\n")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    finally:
        path.unlink()
    assert process.returncode == 130, err
    assert "stopping; go on later with: penstock resume run_" in err
    assert "cancelled" in out
    assert "penstock resume run_" in out


def test_a_folder_without_a_project_says_what_to_do(tmp_path: Path):
    for command in ("validate", "plan", "run", "status", "tables"):
        refused = Here(tmp_path).penstock(command, exit_code=2).err
        assert "penstock init NAME" in refused
    assert os.listdir(tmp_path) == []


def test_a_new_project_is_valid_tested_run_and_says_what_it_refused(tmp_path: Path):
    Here(tmp_path).penstock("init", "shop")
    assert "is there already" in Here(tmp_path).penstock("init", "shop", exit_code=2).err
    shop = Here(tmp_path / "shop")
    assert shop.shown("validate")["ok"] is True
    (shop.path / "tests").mkdir()
    (shop.path / "tests/orders.yml").write_text(SAMPLES)
    tests = shop.shown("test", "orders", exit_code=2)["tests"]
    assert [(test["name"], test["passed"]) for test in tests] == [("a good day", True), ("twice", True), ("bad", False)]
    assert "expect_column_values_to_not_be_null(country) is not met" in tests[2]["problems"][0]["message"]
    run = shop.shown("run")
    assert {task["state"] for task in run["tasks"]} == {"succeeded"}, run
    assert shop.shown("query", "SELECT count(*) FROM marts.daily_sales")["rows"] == [[7]]
    refused = shop.shown("query", "SELECT error FROM staging.orders__rejected")["rows"]
    assert len(refused) == 1
    assert "many" in refused[0][0]
    assert [check["success"] for check in shop.shown("checks", "--run", "last")] == [True]


def test_schedules_of_a_folder_do_not_seem_to_run(tmp_path: Path):
    here = Here(tmp_path)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "penstock.yml").write_text("name: shop\n")
    task = "tasks: {t: {kind: sql, sql: SELECT 1 AS n, to: marts.t}}\n"
    (tmp_path / "pipelines/sales.yml").write_text(f'schedule: {{cron: "0 2 * * *"}}\n{task}')
    assert "nothing runs by itself in this folder" in here.penstock("schedules").err


def test_a_run_whose_process_is_gone_does_not_seem_to_run(shop: Here):
    with open_local(shop.path) as local:  # begun as `penstock run` does it, and never carried out
        local.use(read_files(shop.path))
        left = local.runs.start("shop", "sales", Occasion(None, {}, again=True), actor=local.actor).id
    seen = shop.penstock("status", left)
    assert f"{left} was left without an end; go on with it: penstock resume {left}" in seen.err
    assert shop.shown("status", left)["ended"]
    assert shop.penstock("logs", left, "--follow").err == "nothing was said\n"
    assert shop.shown("resume", left)["state"] == "succeeded"


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("lake", "and the catalog {folder}/lake/catalog.db is missing"),
        ("lake/warehouse", "and the folder of their files {folder}/lake/warehouse is missing"),
        (
            "penstock.db",
            "the catalog {folder}/lake/catalog.db has tables, such as marts.daily, and the records know none",
        ),
    ],
)
def test_half_of_what_was_published_is_not_taken_for_all_of_it(shop: Here, tmp_path: Path, gone: str, words: str):
    copy = Here(tmp_path / "copy")
    shutil.copytree(shop.path, copy.path)
    folder = copy.path / ".penstock" / "local"
    for path in folder.glob(f"{gone}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for command in ("run", "tables"):  # the first leaves the second nothing to be mistaken about
        said = copy.penstock(command, exit_code=75).err
        assert "the lake and the records do not belong together" in said
        assert words.format(folder=folder) in said
        assert "move both away, the records (penstock.db) and the folder lake" in said
