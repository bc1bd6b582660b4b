"""`python -m tests.shop_victim`: nights of the example's shop, and processes that are killed in the middle of them.

It has loaded everything, and forks a child for each line of JSON that it is sent: in which folder, for which date, and
at which of its steps to be killed. It answers with how the child ended and the steps that it has come to.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from penstock.core.errors import DatabaseUnavailable
from penstock.core.jobs import ENDED
from penstock.core.runs import RunFilter
from penstock.database.sqlite import SqliteDatabase
from penstock.execution.task_attempts import TaskAttempts
from penstock.planning.pipelines import Occasion
from penstock.storage.tables import lake
from penstock.storage.tables.parts import Parts
from penstock.wiring.folder import read_files
from penstock.wiring.local import open_local
from penstock.worker.local import working

Step = Callable[[str], None]


def night(folder: Path, date: str) -> None:
    """Carry out the night's run, or go on with it where somebody has begun it."""
    with open_local(folder) as local, working(local) as work:
        project = local.use(read_files(folder))
        known = local.runs.list(RunFilter(pipeline="sales"), actor=local.actor)
        begun = next((run for run in known if run.date == date), None)
        if begun is None:
            run = local.runs.start(project.name, "sales", Occasion(date), actor=local.actor)
        elif begun.state == "succeeded":
            return
        else:
            run = work.resume(begun.id) if begun.state in ENDED else begun
        ended = work.carry_on(run.id, watch=lambda _run, _progress: None)
        if ended.state != "succeeded":
            raise SystemExit(
                f"the run is {ended.state}: {[(task.name, task.error) for task in ended.tasks if task.error]}"
            )


def listen(step: Step) -> None:
    """Let steps of the lake, of tasks and of transactions be told."""

    def parts(database: Any, catalog: Any, leases: Any, clock: Any, footers: Any, _step: Step) -> Parts:
        return Parts(database, catalog, leases, clock, footers, step)

    setattr(lake, "Parts", parts)  # noqa: B010  # the lake has no other way to be told
    carry_out, write = TaskAttempts.carry_out, SqliteDatabase.write

    @wraps(carry_out)
    def carried_out(self: Any, entry: Any, **words: Any) -> Any:
        step("task.begins")
        report = carry_out(self, entry, **words)
        step("task.ends")
        return report

    @wraps(write)
    def written(self: Any, *given: Any, **words: Any) -> Any:
        step("transaction.begins")
        answer = write(self, *given, **words)
        step("transaction.done")
        return answer

    TaskAttempts.carry_out = carried_out  # type: ignore[method-assign]  # for the steps
    SqliteDatabase.write = written  # type: ignore[method-assign]  # likewise


def happen(fault: str) -> None:
    """Kill everything, or let the database or the disk fail this once.

    Raises:
        DatabaseUnavailable: for `database`.
        OSError: for `disk`, as when it is full.
    """
    if fault == "database":
        raise DatabaseUnavailable("the disk of the database is full", hint="Make room.")
    if fault == "disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _child(asked: dict[str, Any], answer: int) -> None:
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def step(name: str) -> None:
        with lock:
            counts[name] += 1
            os.write(answer, f"{name}\n".encode())
            if (name, counts[name]) == (asked["step"], asked["nth"]):
                happen(asked["fault"])

    os.setpgid(0, 0)  # what it has started goes with it, as with a machine
    listen(step)
    night(Path(asked["folder"]), asked["date"])


def main() -> None:
    """Fork a child for each line of the standard input."""
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reading)
                _child(json.loads(line), writing)
                status = 0
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading) as told:
            steps = told.read().split()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"status": os.waitstatus_to_exitcode(status), "steps": steps}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
