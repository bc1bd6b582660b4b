"""What an attempt of a pipeline's task reaches: tables written by locked children, cursors, and when it must end."""

import contextlib
import datetime as dt
import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from pydantic import BaseModel
from pyiceberg.manifest import ManifestFile

from penstock.core.columns import Column
from penstock.core.errors import LeaseExpired, NotFound, RowsOutside, SchemaRefused, Stopped, TaskFailed
from penstock.core.ports import TableWrite
from penstock.core.tables import TableName
from tests.lakes import WORKSPACE
from tests.pipelines import pipeline_context

ORDERS, TOTALS = TableName("staging.orders"), TableName("marts.totals")
DAY = dt.date(2026, 1, 2)
DATE = Column("_date", "date")
BY_DAY = TableWrite(
    ORDERS, "replace_partitions", partition_by=("_date",), partitions=((DAY,),), added=((DATE, "2026-01-02"),)
)


@pytest.fixture
def bench(tmp_path, sandbox):
    with pipeline_context(tmp_path, strict=sandbox, kinds={}) as opened:
        yield opened


def write(bench, sql, table=TOTALS, **words):
    words = {"mode": "replace_table", **words}
    return bench.ctx().write_query(TableWrite(table, **words), sql, tables={})


def test_a_query_is_written_read_and_published(bench):
    ctx = bench.ctx()
    assert ctx.columns(TOTALS) == ()
    assert ctx.write_query(TableWrite(TOTALS, "replace_table"), "SELECT 1 AS a, 'x' AS b", tables={}).rows == 1
    assert bench.rows(TOTALS, run=True) == [(1, "x")]
    with pytest.raises(NotFound):
        bench.rows(TOTALS)
    bench.publish()
    bench.next_run()
    ctx = bench.ctx("next")
    reading = ctx.read(TOTALS)
    order = TableWrite(TableName("marts.next"), "replace_table")
    ctx.write_query(order, "SELECT sum(a) AS a FROM t", tables={"t": reading})
    bench.publish()
    assert bench.rows("marts.next") == [(1,)]
    assert bench.columns("marts.next") == {"a": "long"}
    assert ctx.reads == {TOTALS: reading.snapshot}
    lineage = bench.lake.lineage(WORKSPACE, TableName("marts.next"), ctx.wrote[order.table])
    assert lineage.inputs == {TOTALS: reading.snapshot}


def test_one_child_is_started_for_a_write_and_columns_may_come_and_widen(bench, monkeypatch):
    started = []
    converse = bench.parts.engines.converse

    def counted(*asked, **words):
        started.append(asked)
        return converse(*asked, **words)

    monkeypatch.setattr(bench.parts.engines, "converse", counted)
    nested = "SELECT 2::BIGINT AS a, {'x': 1, 'y': [1.5::DOUBLE]} AS s, MAP {'k': 1::BIGINT} AS m"
    for sql in ("SELECT 1::INTEGER AS a", nested, "SELECT NULL AS a, [1, 2] AS l"):
        write(bench, sql, mode="append")
        bench.publish()
        bench.next_run()
    assert len(started) == 3
    nothing = None
    assert bench.rows(TOTALS) == [
        (1, nothing, nothing, nothing),
        (2, {"x": 1, "y": [1.5]}, {"k": 1}, nothing),
        (nothing, nothing, nothing, [1, 2]),
    ]


def test_an_engine_that_is_started_ahead_is_used_once_and_ended_in_any_case(bench, monkeypatch):
    began, ended = [], []
    converse = bench.parts.engines.converse

    @contextlib.contextmanager
    def counted(*asked, **words):
        began.append(asked)
        with converse(*asked, **words) as talk:
            yield talk
        ended.append(asked)

    monkeypatch.setattr(bench.parts.engines, "converse", counted)
    ctx = bench.ctx()
    ctx.expect_write()
    ctx.expect_write()
    (ctx.staging / "rows.ndjson").write_bytes(b'{"a": 7}\n')
    view = {"arrived": f"SELECT * FROM read_json('{ctx.staging}/rows.ndjson', columns = {{a: 'BIGINT'}})"}
    write = TableWrite(TOTALS, "append")
    assert ctx.write_query(write, "SELECT a FROM arrived", tables={}, files=view).rows == 1
    assert (len(began), len(ended)) == (1, 1)
    ctx.write_query(replace(write, part="again"), "SELECT 8 AS a", tables={})
    assert bench.rows(TOTALS, run=True) == [(7,), (8,)]
    ctx.expect_write()
    assert (len(began), len(ended)) == (3, 2)
    ctx.start_over()
    assert len(ended) == 3


def test_the_partition_of_a_day_is_replaced_and_its_column_added(bench):
    ctx = bench.ctx()
    ctx.write_query(BY_DAY, "SELECT range AS id FROM range(3)", tables={})
    bench.publish()
    bench.next_run()
    bench.ctx().write_query(BY_DAY, "SELECT 7 AS id", tables={})
    bench.publish()
    assert bench.rows(ORDERS) == [(7, DAY)]


def test_what_a_partitioned_table_holds_is_not_read_for_its_columns(bench, monkeypatch):
    bench.ctx().write_query(BY_DAY, "SELECT 1 AS a", tables={})
    bench.publish()
    bench.next_run()
    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", lambda *_, **__: pytest.fail("a manifest was read"))
    assert [column.name for column in bench.ctx().columns(ORDERS)] == ["a", "_date"]


def test_rows_of_other_days_are_counted_and_never_shown(bench):
    sql = "SELECT i AS id, DATE '2026-01-02' + (i % 3)::INTEGER AS _date FROM range(10) t(i) UNION ALL SELECT 11, NULL"
    with pytest.raises(RowsOutside) as caught:
        bench.ctx().write_query(BY_DAY, sql, tables={})
    assert caught.value.message == (
        "7 of 11 rows lie outside of the 1 partitions of staging.orders that the task writes (_date: 2026-01-02),"
        " 1 of them without a value"
    )
    assert "2026-01-03" not in caught.value.message
    inside = "SELECT 1 AS id, DATE '2026-01-02' AS _date"
    assert bench.ctx().write_query(BY_DAY, inside, tables={}).rows == 1


def test_a_write_of_several_partitions_makes_a_file_for_each(bench):
    days = tuple((DAY + dt.timedelta(number),) for number in range(3))
    by_days = TableWrite(ORDERS, "replace_partitions", partition_by=("_date",), partitions=days)
    sql = "SELECT i AS id, DATE '2026-01-02' + (i % 3)::INTEGER AS _date FROM range(10) t(i)"
    written = bench.ctx().write_query(by_days, sql, tables={})
    assert (written.rows, written.files) == (10, 3)


def test_no_rows_empty_the_partition(bench):
    bench.ctx().write_query(BY_DAY, "SELECT 1 AS id", tables={})
    bench.publish()
    bench.next_run()
    assert bench.ctx().write_query(BY_DAY, "SELECT 1 AS id WHERE false", tables={}).rows == 0
    bench.publish()
    assert bench.rows(ORDERS) == []


def test_a_frozen_table_names_the_differences(bench):
    write(bench, "SELECT 1::INTEGER AS a, 'x' AS b", policy="freeze")
    with pytest.raises(SchemaRefused) as caught:
        write(bench, "SELECT 1::BIGINT AS a, 'x' AS b, true AS c", policy="freeze")
    assert caught.value.message == (
        "the columns of marts.totals are frozen: 'a': the table has int, this has long; 'c': it is new, boolean"
    )
    assert write(bench, "SELECT 'y' AS b", policy="freeze").rows == 1


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("NULL", "it has no values, so no type: cast it, as in NULL::BIGINT"),
        ("INTERVAL 1 DAY", "there is no place in a table for it: cast it to VARCHAR, or count seconds"),
        ("[TIMESTAMP_NS '2020-01-01']", "a table holds microseconds: cast it to TIMESTAMP"),
    ],
)
def test_a_type_without_a_place_is_refused(bench, expression, words):
    with pytest.raises(SchemaRefused) as caught:
        write(bench, f"SELECT {expression} AS odd")
    assert caught.value.problems == [{"place": "odd", "message": words}]


def test_numbers_that_do_not_fit_fail_and_are_never_changed(bench):
    assert write(bench, "SELECT sum(x) AS a FROM (VALUES (1::BIGINT), (2)) t(x)").rows == 1
    with pytest.raises(TaskFailed) as caught:
        write(bench, "SELECT 99999999999999999999::HUGEINT AS a")
    assert "99999" not in caught.value.message
    with pytest.raises(TaskFailed, match="nanoseconds"):
        write(bench, "SELECT TIMESTAMP_NS '2020-01-01 00:00:00.000000001' AS t", table=TableName("marts.times"))
    exact = "SELECT TIMESTAMP_NS '2020-01-01 00:00:00.000001' AS t UNION ALL SELECT NULL"
    assert write(bench, exact, table=TableName("marts.times")).rows == 2


def test_a_query_that_fails_says_where_and_what_to_do(bench):
    with pytest.raises(TaskFailed) as caught:
        write(bench, "SELECT 1 AS a,\n  nope AS b\nFROM range(3)")
    assert caught.value.message.startswith("the query failed in line 2: Binder Error: Referenced column")
    assert caught.value.figures["code"] == "sql_failed"
    with pytest.raises(TaskFailed, match="one SELECT is expected, found: DROP"):
        write(bench, "DROP TABLE x")


def test_an_engine_that_is_killed_while_it_writes_leaves_nothing_and_the_next_try_writes_all(bench, monkeypatch):
    converse = bench.parts.engines.converse

    @contextlib.contextmanager
    def killed(*asked, **words):
        with converse(*asked, **words) as talk:
            yield Killed(talk)

    with monkeypatch.context() as patched, bench.open(fingerprint="same") as ctx:
        patched.setattr(bench.parts.engines, "converse", killed)
        with pytest.raises(TaskFailed) as caught:
            ctx.write_query(TableWrite(TOTALS, "append"), "SELECT range AS a FROM range(5)", tables={})
    assert caught.value.figures["code"] == "crashed"
    with pytest.raises(NotFound):
        bench.rows(TOTALS, run=True)
    bench.ctx(fingerprint="same").write_query(
        TableWrite(TOTALS, "append"), "SELECT range AS a FROM range(5)", tables={}
    )
    bench.publish()
    assert len(bench.rows(TOTALS)) == 5


class Killed:
    """An engine that the kernel ends when it is about to write."""

    def __init__(self, talk):
        self._talk = talk

    def ask(self, question):
        if question["act"] == "write":
            os.kill(self._talk._child._process.pid, signal.SIGKILL)
        return self._talk.ask(question)


def test_the_same_work_again_is_not_written_again(bench):
    order = TableWrite(TOTALS, "append")
    first = bench.ctx(fingerprint="same").write_query(order, "SELECT 1 AS a", tables={})
    again = bench.ctx(fingerprint="same").write_query(order, "SELECT 1 AS a", tables={})
    assert again.repeated
    assert (again.snapshot, again.rows) == (first.snapshot, 1)
    other = bench.ctx(fingerprint="same").write_query(
        TableWrite(TOTALS, "append", part="two"), "SELECT 2 AS a", tables={}
    )
    assert not other.repeated
    bench.publish()
    assert bench.rows(TOTALS) == [(1,), (2,)]


def test_a_task_reads_of_its_own_table_what_is_published(tmp_path, sandbox):
    project = {
        "penstock.yml": "name: shop\n",
        "pipelines/main.yml": "tasks: {grow: {kind: grow}}\n",
    }
    with pipeline_context(tmp_path, strict=sandbox, files=project, kinds={"grow": Grow()}) as bench:
        write(bench, "SELECT 1 AS a")
        bench.publish()
        bench.next_run()
        for fingerprint in ("f1", "f2"):
            ctx = bench.ctx("task", fingerprint=fingerprint)
            ctx.occurrence = bench.open("grow", fingerprint=fingerprint).occurrence
            sql = "SELECT a + 1 AS a FROM t"
            reading = ctx.read(TOTALS)
            ctx.occurrence = bench.open("task", fingerprint=fingerprint).occurrence
            ctx.write_query(TableWrite(TOTALS, "replace_table", depends_on_table=True), sql, tables={"t": reading})
        bench.publish()
        assert bench.rows(TOTALS) == [(2,)]


class Grow:
    """A kind whose task reads the table that it writes."""

    class Spec(BaseModel):
        """It needs nothing."""

    def reads(self, _spec):
        return [TOTALS]

    def writes(self, _spec):
        return [TOTALS]

    def problems(self, _task, _project):
        return []


def test_cursors_count_with_the_rows_and_not_before(bench):
    order = TableWrite(TOTALS, "append", with_cursors=True)
    killed = bench.ctx(fingerprint="same")
    killed.cursors.set("updated_at", "2026-01-02")
    killed.cursors.take([("orders-1.csv", "m1")])
    killed.write_query(order, "SELECT 1 AS a", tables={})
    again = bench.ctx(fingerprint="same")
    assert again.cursors.get("updated_at") is None
    assert again.cursors.seen([("orders-1.csv", "m1")]) == frozenset()
    again.cursors.set("updated_at", "2026-01-03")  # what came since: its rows are not written, so it does not count
    assert again.write_query(order, "SELECT 1 AS a UNION ALL SELECT 2", tables={}).rows == 1
    again.publish()
    assert bench.rows(TOTALS) == [(1,)]
    bench.next_run()
    cursors = bench.ctx().cursors
    assert cursors.get("updated_at") == "2026-01-02"
    assert cursors.seen([("orders-1.csv", "m1"), ("x", "m1")]) == {"orders-1.csv"}
    assert cursors.seen([("orders-1.csv", "m2")]) == frozenset(), "it has changed since"
    with bench.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM cursors").scalar() == 1, "nothing is left aside"


def test_things_of_a_for_each_publish_their_own_rows_with_their_own_cursors(bench):
    order = TableWrite(TOTALS, "append", with_cursors=True)
    one, two = bench.ctx(part="one", fingerprint="f"), bench.ctx(part="two", fingerprint="f")
    for number, ctx in enumerate([one, two]):
        ctx.piece = ctx.occurrence.part
        ctx.cursors.set(f"cursor_{number}", number + 1)
        ctx.write_query(order, f"SELECT {number} AS a", tables={})
    one.publish()
    assert bench.rows(TOTALS) == [(0,)]
    two.publish()
    assert bench.rows(TOTALS) == [(0,), (1,)]
    history = bench.lake.history(WORKSPACE, TOTALS)
    assert {(each.author.run, each.author.piece) for each in history} == {(bench.run_id, "one"), (bench.run_id, "two")}
    assert [bench.ctx().cursors.get(f"cursor_{number}") for number in range(2)] == [1, 2]


def test_a_query_without_end_is_stopped_when_the_run_is_cancelled(bench):
    ctx = bench.ctx()
    threading.Timer(0.7, ctx.stop.ask).start()
    began_s = time.monotonic()
    with pytest.raises(Stopped, match="the run was cancelled"):
        ctx.query(
            "SELECT count(*) FROM range(90_000) a, range(90_000) b WHERE hash(a.range + b.range) = 7",
            tables={},
            rows_max=1,
        )
    assert time.monotonic() - began_s < 10


def test_nothing_is_written_and_published_by_an_attempt_whose_work_may_be_another_s(bench):
    ctx = bench.ctx()
    ctx.stop.held_until_s = 0.0
    with pytest.raises(LeaseExpired):
        ctx.write_query(TableWrite(TOTALS, "replace_table"), "SELECT 1 AS a", tables={})
    with pytest.raises(LeaseExpired):
        ctx.publish()
    assert ctx.columns(TOTALS) == ()


def test_an_attempt_ends_when_its_time_is_up(bench):
    ctx = bench.ctx(timeout_s=0.2)
    with pytest.raises(Stopped, match=r"it took longer than its timeout of 0.2 s"):
        ctx.wait(30)
    with pytest.raises(Stopped):
        ctx.progress(1)


def test_progress_and_logs_are_told_in_the_end_whatever_happened(bench):
    with bench.open("clean") as ctx:
        for number in range(2_000):
            ctx.progress(number, total=5_000)
            ctx.log("a page has come", rows=number)
    with bench.database.read() as tx:
        assert tx.exec_driver_sql("SELECT done, total, unit FROM task_progress").all() == [(1999, 5000, "rows")]
    logs = bench.logs()
    assert len(logs) == 1_001
    assert logs[-1] == "and 1,000 lines more"


def test_nothing_is_left_of_an_attempt(bench):
    with bench.open("clean") as ctx:
        (ctx.staging / "landed.ndjson").write_text("{}\n")
        assert ctx.query("SELECT * FROM read_json('landed.ndjson')", tables={}, rows_max=1)
        folder = ctx.folder
    assert not folder.exists()


def test_several_selects_have_one_child_and_a_bad_one_harms_no_other(bench):
    with bench.ctx().engine(tables={}) as rows:
        assert rows("SELECT 1, 1.5::DECIMAL(4, 2), 'nan'::DOUBLE = 'nan'::DOUBLE")[0][0] == 1
        with pytest.raises(TaskFailed, match="nope"):
            rows("SELECT nope")
        assert rows("SELECT 2") == [[2]]


def test_secrets_come_into_settings_and_into_no_error(tmp_path, sandbox):
    class Inner(BaseModel):
        token: str

    class Shop(BaseModel):
        url: str
        auth: Inner
        headers: dict[str, list[str]]

    class Kind:
        Spec = Shop

    manifest = """
name: shop
connections:
  shop: {kind: rest, url: "http://x", auth: {token: "${secret:TOKEN}"}, headers: {x: ["Bearer ${secret:TOKEN}!"]}}
"""
    with pipeline_context(
        tmp_path, strict=sandbox, files={"penstock.yml": manifest}, kinds={}, connection_kinds={"rest": Kind()}
    ) as bench:
        with pytest.raises(NotFound, match="there is no secret TOKEN"):
            bench.ctx().connection("shop")
        bench.secrets["TOKEN"] = "s3cr3t"
        found = bench.ctx().connection("shop")
        assert (found.auth.token, found.headers) == ("s3cr3t", {"x": ["Bearer s3cr3t!"]})
        assert "s3cr3t" not in repr(bench.project)
        with pytest.raises(NotFound, match="no connection 'shops'") as caught:
            bench.ctx().connection("shops")
        assert "Did you mean 'shop'" in caught.value.hint
