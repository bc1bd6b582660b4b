"""Runs and plans in words."""

from __future__ import annotations

import dataclasses
import datetime as dt

import click

from penstock.cli import run_texts
from penstock.core.plan import TaskName
from penstock.core.run_views import show_log_line, show_run, show_run_line
from penstock.core.runs import LogLine
from penstock.core.tables import TableName
from penstock.planning.pipelines import Decision, Occasion, PipelinePlan
from penstock.planning.plan_views import show_plan
from tests.running import CHECK, NOW, REVISION, failed_run, running_run

FAILED = """\
run        run_01J0000000000000000000000A  failed
pipeline   sales of shop, 2026-01-31
started    by ada, 2026-09-21 14:13:20Z
revision   3f2a9c1e55aa, deployed by bob, 2026-09-21 13:13:20Z: fix totals
took       12 s
published  raw.orders@9007199254740993
           readers see what they saw before of all others

task     kind          state                               took
shopify  ingest        succeeded  12,400 rows, 2 rejected  3.1 s
daily    sql           skipped                                    up to date: same code, settings and inputs
totals   sql           failed                                     there is no column nope
check    expectations  failed                                     1 of 12 expectations not met
export   export        blocked                                    check did not succeed

totals failed after 2 attempts
  there is no column nope [task_failed]
  hint: Correct it.
  code     sql/totals.sql, line 3

check failed
  1 of 12 expectations not met [check_failed]
  hint: Look at the rows.
  code     expectations/daily.json
  expectations/daily.json on marts.daily@9007199254740993: 1 of 12 not met
    not met  expect_column_values_to_be_between total (min_value 0); 3 of 400 rows; such as -4.2, -1.0
    rows     penstock query 'FROM marts.daily WHERE "total" < 0' --at marts.daily=9007199254740993

next       penstock logs run_01J0000000000000000000000A totals
           penstock resume run_01J0000000000000000000000A   (the same revision again: what failed, and what follows)
           penstock run sales   (with what you have changed)"""


def said(lines) -> str:
    return click.unstyle("\n".join(lines))


def test_a_failed_run_says_on_one_screen_what_failed_where_and_whose_it_is():
    shown = show_run(failed_run(), checks=[CHECK], revision=REVISION)
    assert said(run_texts.run_lines(shown)) == FAILED
    assert len(FAILED.splitlines()) < 40


def test_a_run_that_was_resumed_took_what_it_was_carried_out():
    resumed = dataclasses.replace(failed_run(), resumes=1, resumed_at=NOW + 18_000, finished_at=NOW + 18_003)
    shown = show_run(resumed)
    assert "took       12 s, resumed 1 time, 5 h 00 min from start to end" in said(run_texts.run_lines(shown))
    assert said(run_texts.run_list_lines([show_run_line(resumed)])).endswith("  12 s")
    goes_on = show_run(dataclasses.replace(resumed, state="running", finished_at=None))
    assert run_texts.run_took(goes_on, now=dt.datetime.fromtimestamp(NOW + 18_010, dt.UTC)) == "22 s"
    assert run_texts.run_took(goes_on) == "running"


def test_a_check_that_only_warned_is_said_too():
    warning = dataclasses.replace(CHECK, task=TaskName("other"), blocks=False)
    again = dataclasses.replace(warning, at=warning.at + 60)
    text = said(run_texts.run_lines(show_run(failed_run(), checks=[again, warning])))
    assert text.count(f"on {warning.table}@") == 1, "of a task that was tried again the last result"
    assert "1 of 12 not met (only warns)" in text


def test_causes_of_records_that_failed_name_the_line_of_the_script():
    causes = [{"code": "script_error", "type": "KeyError", "script_line": 7, "records": 1200, "first": "line 3"}]
    run = failed_run()
    error = {**(run.tasks[2].error or {}), "figures": {"file": "scripts/clean.py", "line": 3}}
    tasks = (dataclasses.replace(run.tasks[2], spec={"script": "clean"}, report={"causes": causes}, error=error),)
    text = said(run_texts.run_lines(show_run(dataclasses.replace(run, tasks=tasks))))
    assert "code     scripts/clean.py, line 3" in text
    assert "record   1,200 failed: KeyError at line 7 of the script, the first: line 3" in text


def test_tenant_text_cannot_steer_the_terminal():
    run = failed_run()
    nasty = dataclasses.replace(run.tasks[2], error={"code": "x", "message": "a\x1b[2Jb", "hint": "c\x07"})
    text = "\n".join(run_texts.run_lines(show_run(dataclasses.replace(run, tasks=(nasty,)))))
    assert "\x1b[2J" not in text
    assert "\x07" not in text


def test_a_list_of_runs_has_a_line_each():
    running, _ = running_run()
    lines = said(run_texts.run_list_lines([show_run_line(running), show_run_line(failed_run())])).splitlines()
    assert lines[1].split()[:2] == ["run_01J0000000000000000000000A", "running"]
    assert lines[2].endswith("2026-01-31  manual  ada  12 s")


def test_a_plan_says_what_runs_and_why():
    land = Decision(TaskName("land"), "ingest", "run", "it is new", (), {}, (TableName("raw.orders"),), None)
    clean = Decision(
        TaskName("clean"),
        "sql",
        "skip",
        "up to date",
        (),
        {TableName("raw.orders"): None},
        (TableName("marts.x"),),
        "f",
    )
    plan = PipelinePlan("sales", "abc", Occasion("2026-01-31"), (land, clean))
    assert said(run_texts.plan_lines(show_plan(plan, project="shop"))).splitlines() == [
        "sales of shop, 2026-01-31",
        "  run   land   ingest  -> raw.orders          it is new",
        "  skip  clean  sql     raw.orders -> marts.x  up to date",
        "2 tasks: 1 to run, 1 up to date",
    ]


def test_a_line_of_a_log_has_its_time_its_task_and_its_figures():
    line = LogLine(TaskName("clean"), 0, 1, NOW, "warning", "some were rejected", {"rejected": 2})
    assert (
        click.unstyle(run_texts.log_line(show_log_line(line)))
        == "14:13:20  clean          some were rejected rejected=2"
    )
