"""A run while it is carried out."""

from __future__ import annotations

import dataclasses
import datetime as dt

import click
import pytest

from penstock.cli.live import RunView, live_lines, watches
from penstock.core.run_views import show_run
from tests.running import NOW, failed_run, running_run, task

AT = dt.datetime.fromtimestamp(NOW + 4, dt.UTC)


def shown():
    run, progress = running_run()
    return show_run(run, progress=progress)


def lines(run, lines_max=20):
    return [click.unstyle(line) for line in live_lines(run, now=AT, lines_max=lines_max, turn=0)]


def test_a_task_that_runs_shows_how_far_it_has_come_and_how_fast():
    assert lines(shown()) == [
        "sales  run_01J0000000000000000000000A  running  4.0 s",
        " ✓ land   ingest  10 rows                                1.0 s",
        " ⠋ clean  script  ██████░░░░░░ 600 rows of 1,200  200/s  3.0 s",
        " · daily  sql     waits for clean",
    ]


def test_when_there_are_more_tasks_than_lines_those_that_matter_are_shown():
    run, progress = running_run()
    many = tuple(task(f"done{number}") for number in range(30))
    text = lines(show_run(dataclasses.replace(run, tasks=many + run.tasks), progress=progress), lines_max=4)
    assert len(text) == 5
    assert text[1].startswith(" ✓ done0")
    assert "clean" in text[2]
    assert text[-1] == "   and 30 more: 30 succeeded"


def test_a_log_gets_a_line_for_each_change(capsys):
    with RunView(drawn=False, now=lambda: AT) as view:
        view.tell(shown())
        view.tell(shown())
        view.tell(show_run(failed_run()))
    said = click.unstyle(capsys.readouterr().err).splitlines()
    assert said[:2] == ["14:13:24 land succeeded: 10 rows in 1.0 s", "14:13:24 clean running"]
    assert "14:13:24 totals failed: there is no column nope" in said
    assert "14:13:24 daily skipped: up to date: same code, settings and inputs" in said
    assert len(said) == 7


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not watches()
