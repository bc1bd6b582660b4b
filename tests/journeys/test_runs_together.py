"""Runs of one pipeline beside each other: what is published in the end is what one after the other would have."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading

import click
import pytest

from penstock.cli.run_texts import plan_lines
from penstock.core.errors import SnapshotGone
from penstock.core.jobs import ENDED
from penstock.core.runs import RunFilter
from penstock.core.tables import TableName
from penstock.planning.pipelines import Occasion
from penstock.planning.plan_views import show_plan
from penstock.wiring.local import open_local
from penstock.worker.local import working
from tests.pipelines import DAYS_AND_TOTAL

DAYS = range(1, 5)


def serially():
    rows = [day * 100 + number for day in DAYS for number in range(day)]
    return [[len(rows), len(DAYS), sum(rows)]]


@pytest.fixture
def local(tmp_path):
    with open_local(tmp_path) as opened:
        opened.use(DAYS_AND_TOTAL)
        yield opened


def total(local):
    return local.tables.query("SELECT rows, days, amount FROM marts.total", actor=local.actor).rows


def carry_on_all(local, work):
    while any(run.state not in ENDED for run in local.runs.list(RunFilter(), actor=local.actor)):
        work.worker.turn()


def test_overlapping_back_fills_end_as_one_after_the_other(local):
    spans = (("2026-01-01", "2026-01-03"), ("2026-01-02", "2026-01-04"))
    with working(local) as work:
        for first, last in spans:
            local.runs.backfill("shop", None, date_from=first, date_to=last, parallel=2, actor=local.actor)
        carry_on_all(local, work)
    runs = local.runs.list(RunFilter(), actor=local.actor)
    assert [(run.date, run.error) for run in runs if run.state != "succeeded"] == []
    assert total(local) == serially()
    history = local.tables.history("marts.total", actor=local.actor)
    assert len({each.author.run for each in history}) > 1


def test_what_workers_leave_half_done_is_gone_on_with(local):
    with working(local):
        local.runs.backfill("shop", None, date_from="2026-01-01", date_to="2026-01-04", parallel=2, actor=local.actor)
    times = 0
    while any(run.state not in ENDED for run in local.runs.list(RunFilter(), actor=local.actor)):
        with working(local) as work:
            for backfill in work.interrupted:
                work.resume_backfill(backfill)
            times += bool(work.interrupted)
            for _ in range(times * 3):
                work.worker.turn()
    assert times > 1
    assert total(local) == serially()


def test_a_roll_back_and_a_publication_at_once_leave_what_one_after_the_other_would(local):
    with working(local) as work:
        first = work.carry_on(run_of(local, "2026-01-01"), watch=lambda *_: None)
        work.carry_on(run_of(local, "2026-01-02"), watch=lambda *_: None)
        before = first.published[TableName("marts.total")]
        raised = []

        def roll_back():
            try:
                local.tables.rollback("marts.total", before, actor=local.actor)
            except SnapshotGone as error:
                raised.append(error)

        thread = threading.Thread(target=roll_back)
        run = run_of(local, "2026-01-03")
        thread.start()
        third = work.carry_on(run, watch=lambda *_: None)
        thread.join()
    assert raised == []
    assert third.state == "succeeded"
    assert total(local) in ([[1, 1, 100]], [[6, 3, 100 + 200 + 201 + 300 + 301 + 302]])


def run_of(local, date):
    return local.runs.start("shop", None, Occasion(date), actor=local.actor).id


def test_two_runs_at_once_take_a_file_once(tmp_path):
    files = {
        "penstock.yml": b"name: shop\nconnections: {here: {kind: files, path: incoming}}\n",
        "pipelines/sales.yml": b"""
tasks:
  land: {kind: ingest, from: {connection: here, path: "*.csv"}, to: raw.sales}
  total: {kind: sql, sql: SELECT count(*) AS rows FROM sales, from: {sales: raw.sales}, to: marts.total}
""",
    }
    (tmp_path / "incoming").mkdir()
    lines = [f"{number},{number}" for number in range(20_000)] + ["1,2,3"]
    (tmp_path / "incoming" / "sales.csv").write_text("\n".join(["number,amount", *lines]))
    with open_local(tmp_path) as local:
        local.use(files)
        with working(local) as work:
            runs = [run_of(local, date) for date in ("2026-01-01", "2026-01-02")]
            carry_on_all(local, work)
        assert [local.runs.get(run, actor=local.actor).error for run in runs] == [None, None]
        counts = "SELECT (SELECT count(*) FROM raw.sales), (SELECT count(*) FROM raw.sales__rejected)"
        assert local.tables.query(counts, actor=local.actor).rows == [[20_000, 1]]
        assert local.tables.query("FROM marts.total", actor=local.actor).rows == [[20_000]]


NEW_YEAR = dt.datetime(2026, 1, 1, 0, 30, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(("timezone", "date"), [("America/Sao_Paulo", "2025-12-31"), ("UTC", "2026-01-01")])
@pytest.mark.parametrize(
    "task",
    [
        "{kind: sql, sql: SELECT 1 AS a, to: marts.a, window: day}",
        "{kind: sql, sql: \"SELECT '${date - 1}' AS a\", to: marts.a}",
        "{kind: sql, file: sql/a.sql, to: marts.a}",
        "{kind: sql, sql: SELECT 1 AS a, to: marts.a, when: \"weekday(date) == 'monday'\"}",
        "{kind: sql, sql: \"SELECT '${item}' AS a\", to: marts.a, for_each: {values: ['${date}']}}",
    ],
)
def test_a_run_without_a_date_is_of_today_in_the_zone_of_its_schedule(tmp_path, task, timezone, date):
    assert planned(tmp_path, task, timezone, Occasion()) == date
    assert planned(tmp_path, task, timezone, Occasion("2024-02-29")) == "2024-02-29"


def test_today_and_yesterday_are_those_of_the_zone_of_the_schedule(tmp_path):
    task = "{kind: sql, sql: SELECT 1 AS a, to: marts.a}"
    assert planned(tmp_path, task, "Pacific/Kiritimati", Occasion("yesterday")) == "2025-12-31"
    assert planned(tmp_path, task, "America/Sao_Paulo", Occasion("today")) == "2025-12-31"
    assert planned(tmp_path, task, "America/Sao_Paulo", Occasion("yesterday")) == "2025-12-30"
    with open_local(tmp_path) as local:
        runs = dataclasses.replace(local.runs, clock=lambda: NEW_YEAR)
        made = runs.backfill("shop", None, date_from="yesterday", date_to="today", actor=local.actor)
        assert (made.date_from, made.date_to) == ("2025-12-30", "2025-12-31")
        plan = runs.plan("shop", None, Occasion("today"), actor=local.actor)
    head, *_ = plan_lines(show_plan(plan, project="shop"))
    assert click.unstyle(head) == "main of shop, 2025-12-31 in America/Sao_Paulo"


def test_a_run_in_which_nothing_asks_for_a_date_has_none(tmp_path):
    assert planned(tmp_path, "{kind: sql, sql: SELECT 1 AS a, to: marts.a}", "UTC", Occasion()) is None
    dated = "{kind: sql, sql: SELECT 1 AS a, to: marts.a}\n  b: {kind: sql, file: sql/a.sql, to: marts.b}"
    assert planned(tmp_path, dated, "UTC", Occasion(), select=["task"]) is None


def planned(folder, task, timezone, occasion, **more):
    """Return the date of a run that is planned at New Year."""
    files = {
        "penstock.yml": b"name: shop\n",
        "sql/a.sql": b"SELECT '${date}' AS a",
        "pipelines/main.yml": f"schedule: {{cron: 0 2 * * *, timezone: {timezone}}}\ntasks:\n  task: {task}\n".encode(),
    }
    with open_local(folder) as local:
        local.use(files)
        runs = dataclasses.replace(local.runs, clock=lambda: NEW_YEAR)
        return runs.plan("shop", None, occasion, actor=local.actor, **more).occasion.date
