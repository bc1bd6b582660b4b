"""Schedules become runs: each date once, as many at once as they may, none while they are paused."""

from __future__ import annotations

import datetime as dt

import pytest

from penstock.core.access import WorkspaceId, local_actor
from penstock.core.jobs import ENDED, AttemptReport
from penstock.core.runs import RunFilter
from penstock.core.settings import HOME
from penstock.core.work import Ended
from penstock.wiring.server import open_server
from penstock.wiring.settings import read_settings
from tests.service import FakeClock

ACTOR = local_actor(WorkspaceId("ws_1"))
SCRIPT = b"def process(data):\n    return data\n"
NIGHTLY = '{ cron: "0 2 * * *", timezone: America/Sao_Paulo }'


def at(text):
    return dt.datetime.fromisoformat(text).timestamp()


class Nights:
    """A server on a clock that the test turns."""

    def __init__(self, server, clock):
        self.server, self.clock = server, clock

    def deploy(self, schedule=NIGHTLY, task="kind: call, script: nothing"):
        pipeline = f"schedule: {schedule}\ntasks: {{one: {{{task}}}}}\n"
        files = {
            "penstock.yml": b"name: shop\n",
            "scripts/nothing.py": SCRIPT,
            "pipelines/sales.yml": pipeline.encode(),
        }
        return self.server.projects.deploy(files, actor=ACTOR)

    def tick(self, when):
        self.clock.now = at(when)
        return self.server.schedules.tick()

    def dates(self, **wanted):
        return [run.date for run in reversed(self.server.runs.list(RunFilter(**wanted), actor=ACTOR))]

    def end(self):
        """Let everything that waits succeed."""
        ended: list[Ended] = []
        while True:
            made = self.server.work.round("wrk_1", ended, count=10)
            if not made.assignments:
                return
            now = self.clock()
            report = AttemptReport("succeeded", report={"fingerprint": "day-f", "report": {}})
            ended = [Ended(each.lease, report, now, now) for each in made.assignments]


@pytest.fixture
def nights(tmp_path):
    clock = FakeClock(at("2026-01-01T00:00:00-03:00"))
    with open_server(read_settings({HOME.name: str(tmp_path)}), clock=clock, create=True) as server:
        yield Nights(server, clock)


def test_a_run_begins_when_its_time_has_come_for_the_date_in_its_zone(nights):
    nights.deploy()
    assert nights.tick("2026-01-01T01:59:59-03:00") == 0
    assert nights.tick("2026-01-01T02:00:00-03:00") == 1
    assert nights.tick("2026-01-01T02:00:01-03:00") == 0
    (run,) = nights.server.runs.list(RunFilter(), actor=ACTOR)
    assert (run.date, run.timezone, run.trigger, run.state, run.created_by) == (
        "2026-01-01",
        "America/Sao_Paulo",
        "schedule",
        "running",
        "schedule",
    )


def test_dates_that_passed_while_nothing_ran_are_left_out_unless_it_catches_up(nights):
    nights.deploy()
    assert nights.tick("2026-01-04T12:00:00-03:00") == 1
    assert nights.dates() == ["2026-01-04"]
    nights.end()
    nights.deploy('{ cron: "0 3 * * *", timezone: America/Sao_Paulo, catch_up: true, runs_max: 2 }')
    assert nights.tick("2026-01-08T12:00:00-03:00") == 2
    assert nights.dates(state="running") == ["2026-01-05", "2026-01-06"]
    assert nights.tick("2026-01-08T12:00:01-03:00") == 0
    nights.end()
    assert nights.tick("2026-01-08T12:00:02-03:00") == 2
    assert nights.dates() == ["2026-01-04", "2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"]


def test_a_paused_schedule_makes_no_runs_and_goes_on_when_it_is_let(nights):
    nights.deploy()
    nights.server.projects.pause("shop", "sales", actor=ACTOR, paused=True)
    assert nights.tick("2026-01-02T12:00:00-03:00") == 0
    nights.deploy(task="kind: call, script: nothing, with: {a: 1}")
    assert nights.tick("2026-01-02T12:00:01-03:00") == 0
    nights.server.projects.pause("shop", "sales", actor=ACTOR, paused=False)
    assert nights.tick("2026-01-02T12:00:02-03:00") == 1
    assert nights.dates() == ["2026-01-02"]


def test_a_run_uses_the_revision_that_is_active_then(nights):
    first = nights.deploy()
    nights.tick("2026-01-01T02:00:00-03:00")
    nights.end()
    second = nights.deploy(task="kind: call, script: nothing, with: {a: 1}")
    nights.tick("2026-01-02T02:00:00-03:00")
    runs = nights.server.runs.list(RunFilter(), actor=ACTOR)
    assert [run.revision for run in reversed(runs)] == [first.revision, second.revision]
    assert runs[1].state in ENDED
    (state,) = nights.server.projects.schedules(actor=ACTOR)
    assert (state.last_date, state.next_at) == ("2026-01-02", at("2026-01-03T02:00:00-03:00"))


def test_a_pipeline_that_lost_its_schedule_makes_no_more_runs(nights):
    nights.deploy()
    files = {"penstock.yml": b"name: shop\n", "scripts/nothing.py": SCRIPT}
    files["pipelines/sales.yml"] = b"tasks: {one: {kind: call, script: nothing}}\n"
    nights.server.projects.deploy(files, actor=ACTOR)
    assert nights.tick("2026-01-05T12:00:00-03:00") == 0
    assert nights.server.projects.schedules(actor=ACTOR) == []
