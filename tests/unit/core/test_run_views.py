"""Runs, checks and tables as JSON."""

import math

import orjson

from penstock.core.access import WorkspaceId
from penstock.core.projects import Schedule
from penstock.core.run_views import plain, show_run, show_schedule
from penstock.core.runs import ScheduleState
from tests.running import CHECK, NOW, REVISION, SNAPSHOT, failed_run, running_run


def test_a_run_is_json_with_all_that_tells_whose_it_is():
    shown = orjson.loads(orjson.dumps(show_run(failed_run(), checks=[CHECK], revision=REVISION)))
    assert (shown["created_by"], shown["revision"]["deployed_by"]) == ("ada", "bob")
    assert shown["task_counts"] == {"succeeded": 1, "skipped": 1, "failed": 2, "blocked": 1}
    assert shown["started_at"] == "2026-09-21T14:13:20.000Z"
    assert shown["ended"] is True


def test_snapshots_are_text_because_they_have_more_digits_than_a_number_of_javascript():
    shown = show_run(failed_run(), checks=[CHECK])
    assert shown["tasks"][0]["wrote"] == {"raw.orders": str(SNAPSHOT)}
    assert shown["checks"][0]["snapshot"] == "9007199254740993"


def test_progress_stands_beside_the_tasks():
    run, progress = running_run()
    assert show_run(run, progress=progress)["progress"][0] | {"at": ""} == {
        "task": "clean",
        "number": 0,
        "done": 600,
        "total": 1200,
        "unit": "rows",
        "at": "",
    }


def test_what_json_cannot_say_becomes_null_or_text():
    assert plain({"a": math.nan, 1: (math.inf, 2), "b": {3}, "c": WorkspaceId}) | {"c": None} == {
        "a": None,
        "1": [None, 2],
        "b": [3],
        "c": None,
    }


def test_a_schedule_says_when_it_runs_next():
    state = ScheduleState(WorkspaceId("ws"), "shop", "sales", Schedule("0 2 * * *"), next_at=NOW)
    assert show_schedule(state)["next_at"] == "2026-09-21T14:13:20.000Z"
