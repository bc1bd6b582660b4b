"""Everything at once on a server: overlapping back-fills, workers killed in turn, roll-backs, upkeep, and readers."""

from __future__ import annotations

import base64
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from penstock.core import limits
from penstock.core.errors import NotFound, SnapshotGone
from penstock.core.jobs import ENDED
from penstock.core.runs import PipelineRun, RunFilter
from penstock.core.tables import TableName
from tests.lakes import read_rows
from tests.pipelines import DAYS_AND_TOTAL
from tests.servers import KINDS
from tests.workers import open_site

DAYS = 9 if os.environ.get("PENSTOCK_CHAOS_EVERY") else 4  # of each back-fill; they share all but two
SALES, TOTAL, NOTE = TableName("staging.sales"), TableName("marts.total"), TableName("marts.note")
NOTES = 5
PATH = "pipelines/sales.yml"
NOTE_TASK = b"""  note: {kind: sql, sql: "SELECT '${date}' AS day FROM range(5)", to: marts.note}
"""
FILES = DAYS_AND_TOTAL | {PATH: DAYS_AND_TOTAL[PATH] + NOTE_TASK}


def expected(days):
    rows = [day * 100 + number for day in days for number in range(day)]
    return [(len(rows), len(days), sum(rows))]


@pytest.fixture(params=KINDS)
def site(request, tmp_path, fresh_database_url, monkeypatch):
    """A server with the project deployed, on each kind of database."""
    monkeypatch.setattr(limits, "COMPACT_FROM", dataclasses.replace(limits.COMPACT_FROM, value=2))
    key, url = base64.b64encode(bytes(32)).decode(), fresh_database_url(request.param)
    with open_site(tmp_path, PENSTOCK_DATABASE_URL=url, PENSTOCK_MASTER_KEY=key) as opened:
        opened.server.projects.deploy(FILES, actor=opened.actor())
        yield opened


class Readers:
    """What others do meanwhile, in threads: read, roll back, look after tables.

    Attributes:
        wrong: what was seen that never was.
        counts: how often each thing was done.
    """

    def __init__(self, site):
        self.lake, self.actor = site.server.lake, site.actor()
        self.wrong: list[object] = []
        self.counts = {"read": 0, "rolled back": 0, "looked after": 0}
        self.over = threading.Event()

    def __enter__(self):
        self.threads = [threading.Thread(target=self.repeat, args=(each,)) for each in (self.read, self.others)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def repeat(self, work: Callable[[], None]) -> None:
        while not self.over.wait(0.1):
            try:
                work()
            except (NotFound, SnapshotGone):
                continue  # nothing is published yet; or what was chosen has expired
            except Exception as error:  # noqa: BLE001  # a thread: the test tells of it
                self.wrong.append(error)

    def rows(self, name, at):
        return read_rows(self.lake.read(self.actor.workspace, name, at=at))

    def read(self) -> None:
        """Sales and their total are of one run, and so are all notes."""
        heads = self.lake.heads(self.actor.workspace, [SALES, TOTAL, NOTE])
        sales = self.rows(SALES, heads[SALES])
        found = [(len(sales), len({row[2] for row in sales}), sum(row[1] for row in sales))]
        if self.rows(TOTAL, heads[TOTAL]) != found:
            self.wrong.append((found, self.rows(TOTAL, heads[TOTAL])))
        notes = self.rows(NOTE, heads[NOTE])
        if len(notes) != NOTES or len(set(notes)) != 1:
            self.wrong.append(notes)
        self.counts["read"] += 1

    def others(self) -> None:
        """Roll the notes back to what they were, compact and expire everything."""
        seen = self.lake.history(self.actor.workspace, NOTE)
        if seen:
            self.lake.rollback(self.actor.workspace, NOTE, seen[-1].snapshot)
            self.counts["rolled back"] += 1
        for name in (SALES, TOTAL, NOTE):
            self.lake.maintain(self.actor.workspace, name)
            self.counts["looked after"] += 1


def killed_in_turn(site, runs: Callable[[], Sequence[PipelineRun]], *, every_s: float, kills_max: int) -> Iterator[int]:
    """Kill one worker, then the other, each once it works, and start a new one; again, until all runs have ended."""
    workers = [site.start_worker(runners=2, ready=False) for _ in range(2)]
    next_s, kills = time.monotonic(), 0
    while any(run.state not in ENDED for run in runs()):
        time.sleep(0.1)
        victim = workers[kills % 2]
        if "runner.started" not in victim.log.read_text():
            next_s = time.monotonic() + every_s
        elif time.monotonic() > next_s and kills < kills_max:
            victim.kill()
            workers[kills % 2] = site.start_worker(runners=2, ready=False)
            kills += 1
        yield kills


@pytest.mark.timeout(1_200)
def test_overlapping_back_fills_with_workers_killed_in_turn_end_as_one_after_the_other(site):
    actor, runs = site.actor(), site.server.runs
    for first, last in ((1, DAYS - 1), (2, DAYS)):
        span = {"date_from": f"2026-01-{first:02d}", "date_to": f"2026-01-{last:02d}"}
        runs.backfill("shop", None, parallel=2, actor=actor, **span)

    def all_runs():
        return runs.list(RunFilter(limit=100), actor=actor)

    with Readers(site) as others:
        for kills in killed_in_turn(site, all_runs, every_s=4.0, kills_max=2 * DAYS):
            assert others.wrong == [], kills
        failed = [run for run in all_runs() if run.state == "failed"]
        assert {run.error["code"] for run in failed} <= {"worker_lost"}, "a task whose workers were killed three times"
        for backfill in {run.backfill for run in failed}:
            runs.resume_backfill(backfill, actor=actor)
        for _ in killed_in_turn(site, all_runs, every_s=4.0, kills_max=0):
            assert others.wrong == [], kills
    assert others.wrong == []
    print(f"{kills} workers killed, {len(failed)} runs resumed; {others.counts}")  # noqa: T201  # figures for who runs it
    assert [(run.date, run.error) for run in all_runs() if run.state != "succeeded"] == []
    heads = site.server.lake.heads(actor.workspace, [SALES, TOTAL, NOTE])
    assert others.rows(TOTAL, heads[TOTAL]) == expected(range(1, DAYS + 1))
    others.read()
    assert others.wrong == []
    assert kills
    assert min(others.counts.values()) > 0
