"""The task kind `sql`: one SELECT over tables, by the day or whole."""

import datetime as dt
import hashlib
import threading

import pytest

from penstock.core.errors import NotFound, ProjectInvalid, RowsOutside, SchemaRefused, Stopped, TaskFailed
from tests.lakes import WORKSPACE
from tests.pipelines import load, pipeline_context

D1, D2 = dt.date(2026, 1, 1), dt.date(2026, 1, 2)
PIPELINE = """
params: {least: 0}
tasks:
  daily:
    kind: sql
    file: sql/daily.sql
    from: {orders: raw.orders}
    to: marts.daily
    window: day
  whole:
    kind: sql
    sql: SELECT shop, sum(total)::DECIMAL(18, 2) AS total, count(*) AS orders FROM daily GROUP BY shop
    from: marts.daily
    to: marts.whole
  by_day: {kind: sql, sql: "SELECT * FROM raw.orders", from: [raw.orders], to: marts.by_day, date_column: day}
  clash: {kind: sql, sql: "SELECT 1 AS id, '2026-01-02' AS _date", to: marts.clash, window: day}
  other: {kind: sql, sql: "SELECT _date + 1 AS _date FROM orders", from: raw.orders, to: marts.other, window: day}
  forgot: {kind: sql, sql: "SELECT * FROM customers", to: marts.forgot}
  broken: {kind: sql, file: sql/broken.sql, from: raw.orders, to: marts.broken}
  for_ever: {kind: sql, file: sql/for_ever.sql, to: marts.for_ever}
"""
FILES = {
    "pipelines/main.yml": PIPELINE,
    "sql/daily.sql": "SELECT shop, sum(total) AS total, '${date}' AS said\nFROM orders\n"
    "WHERE total >= ${params.least}\nGROUP BY shop\n",
    "sql/broken.sql": "SELECT id,\n  totl\nFROM orders\n",
    "sql/for_ever.sql": "SELECT count(*) AS n FROM range(90_000) a, range(90_000) b WHERE hash(a.range + b.range) = 7",
}
ROWS = [
    {"id": 1, "shop": "a", "total": 5, "day": D1, "_date": D1},
    {"id": 2, "shop": "a", "total": 7, "day": D2, "_date": D2},
    {"id": 3, "shop": "b", "total": 9, "day": D1, "_date": D2},
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory, sandbox):
    with pipeline_context(tmp_path_factory.mktemp("shop"), strict=sandbox, files=FILES) as opened:
        opened.put("raw.orders", ROWS, by=("_date",))
        yield opened


@pytest.fixture(autouse=True)
def another_run(bench):
    bench.next_run(date="2026-01-02")


def test_a_task_reads_and_replaces_the_day_of_its_run(bench):
    assert bench.run("daily", params={"least": 0})["rows"] == 2
    bench.publish()
    assert bench.rows("marts.daily") == [("a", 7, "2026-01-02", D2), ("b", 9, "2026-01-02", D2)]
    bench.next_run(date="2026-01-01")
    assert bench.run("daily", params={"least": 0})["rows"] == 1
    bench.publish()
    bench.next_run(date="2026-01-02")
    assert bench.run("daily", params={"least": 8})["rows"] == 1
    report = bench.run("whole")
    assert (report["rows"], report["rejected"]) == (2, 0)
    assert report["bytes"] > 0
    bench.publish()
    assert bench.rows("marts.daily") == [("a", 5, "2026-01-01", D1), ("b", 9, "2026-01-02", D2)]
    assert [(shop, float(total), orders) for shop, total, orders in bench.rows("marts.whole")] == [
        ("a", 5.0, 1),
        ("b", 9.0, 1),
    ]
    assert bench.columns("marts.whole") == {"shop": "string", "total": "decimal(18, 2)", "orders": "long"}


def test_a_snapshot_knows_which_file_at_which_hash_made_it(bench):
    bench.run("daily", params={"least": 0})
    bench.publish()
    bench.run("whole")  # its query stands in the pipeline's own file
    bench.publish()
    for table, path in (("marts.daily", "sql/daily.sql"), ("marts.whole", "pipelines/main.yml")):
        found = hashlib.sha256(FILES[path].encode()).hexdigest()
        assert bench.lake.history(WORKSPACE, table, count=1)[0].author.version == f"{path}#{found[:12]}"


def test_a_whole_table_may_be_partitioned_by_a_date_of_its_rows(bench):
    assert bench.run("by_day")["rows"] == 3
    bench.publish()
    with bench.open("by_day") as ctx:
        reading = ctx.read("marts.by_day", partitions=[(D1,)])
    assert (reading.rows, reading.partition_by) == (2, ("day",))


def test_rows_of_another_day_fail_the_task(bench):
    with pytest.raises(RowsOutside, match=r"2 of 2 rows lie outside of the 1 partitions of marts\.other"):
        bench.run("other")


def test_a_date_that_is_text_is_not_taken_for_one(bench):
    with pytest.raises(SchemaRefused, match="'_date': it is string, and has to be date"):
        bench.run("clash")


def test_a_query_that_fails_names_its_file_and_line(bench):
    with pytest.raises(TaskFailed) as caught:
        bench.run("broken")
    assert caught.value.message.startswith("sql/broken.sql: the query failed in line 2: Binder Error")
    assert (caught.value.figures["code"], caught.value.figures["line"]) == ("sql_failed", 2)


def test_a_table_that_is_not_named_is_not_there(bench):
    with pytest.raises(TaskFailed) as caught:
        bench.run("forgot")
    assert caught.value.hint == "Name the tables that it reads under from, such as from: {customers: staging.orders}."


def test_a_table_that_nobody_has_published_is_not_found(tmp_path, sandbox):
    files = {"pipelines/main.yml": "tasks: {t: {kind: sql, sql: SELECT 1, from: raw.nothing, to: a.b}}"}
    with (
        pipeline_context(tmp_path, strict=sandbox, files=files) as bench,
        pytest.raises(NotFound, match=r"raw\.nothing"),
    ):
        bench.run("t")


def test_a_window_of_a_day_needs_one(bench):
    with pytest.raises(TaskFailed, match="the task has window: day, and the run has no date"):
        bench.run("daily", date=None)


def test_a_query_without_end_ends_with_its_run(bench):
    with bench.open("for_ever") as ctx:
        threading.Timer(0.5, ctx.stop.ask).start()
        with pytest.raises(Stopped):
            bench.kinds["sql"].run(bench.project.pipelines["main"].tasks["for_ever"].spec, ctx)


def test_a_query_that_takes_too_much_memory_says_what_helps(bench, monkeypatch):
    from penstock.core import engines

    bounds = engines.EngineLimits(memory_bytes=256 * 2**20, disk_bytes=2**20)
    monkeypatch.setattr("penstock.execution.task_context.EngineLimits", lambda: bounds)
    with bench.open("for_ever") as ctx, pytest.raises(TaskFailed) as caught:
        ctx.write_query(
            _write("marts.big"), "SELECT string_agg(repeat('x', 1_000_000) || range) AS a FROM range(900)", tables={}
        )
    assert caught.value.figures["code"] in ("limit_memory", "limit_disk")
    assert caught.value.hint.startswith("Let the query")


def _write(table):
    from penstock.core.ports import TableWrite

    return TableWrite(table, "replace_table")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("{kind: sql, to: a.b}", "a query stands in sql, or in a file"),
        ("{kind: sql, sql: SELECT 1, file: sql/x.sql, to: a.b}", "a query stands in sql, or in a file"),
        ("{kind: sql, file: sql/dayly.sql, to: a.b}", "file: the project has no file sql/dayly.sql"),
        ("{kind: sql, file: sql/empty.sql, to: a.b}", "file: sql/empty.sql is empty"),
        ("{kind: sql, file: sql/bad.sql, to: a.b}", "sql/bad.sql:2: '${params.regoin}' stands for nothing"),
        ("{kind: sql, sql: SELECT 1, to: orders}", "'orders' is not the name of a table"),
        ("{kind: sql, sql: SELECT 1, from: {a b: x.y}, to: a.b}", "a b"),
        ("{kind: sql, sql: SELECT 1, to: a.b, window: week}", "window: 'week' is not valid"),
        ("{kind: sql, sql: SELECT 1, too: a.b}", "'too' is not known here"),
    ],
)
def test_what_is_wrong_is_told_before_a_run(task, words):
    files = {
        "pipelines/main.yml": f"params: {{region: br}}\ntasks:\n  t: {task}\n",
        "sql/daily.sql": "SELECT 1",
        "sql/empty.sql": "\n",
        "sql/bad.sql": "SELECT 1,\n  '${params.regoin}'",
    }
    with pytest.raises(ProjectInvalid) as caught:
        load(files)
    assert any(words in problem.message for problem in caught.value.problems), caught.value.problems
    assert caught.value.problems[0].place.line == 3
