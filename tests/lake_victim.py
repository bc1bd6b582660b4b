"""`python -m tests.lake_victim FOLDER`: a night of work on a lake, and processes that are killed in the middle of it.

A kill needs a process of its own, and starting one takes a second; so this one has loaded everything and forks a child
for each line that it is sent: at which of its steps to be killed. It answers with how many steps the child has come.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.core.plan import RunId
from penstock.core.tables import TableName
from penstock.database.opening import open_database
from tests.lakes import ORDERS, WORKSPACE, Clock, Harness, open_lake

DAILY = TableName("marts.daily")
D1, D2 = dt.date(2024, 1, 1), dt.date(2024, 1, 2)


def prepare(lake: Harness) -> None:
    """The evening: something is published, and a run has begun whose table another has published since."""
    lake.write("run_0", [{"id": 1, "day": D1}, {"id": 2, "day": D2}], days=[D1, D2])
    lake.write("run_0", [{"day": D1, "count": 1}], table=DAILY)
    lake.lake.publish(WORKSPACE, RunId("run_0"))
    lake.write("run_n", [{"id": 11, "day": D1}], days=[D1], part="first")
    lake.write("run_other", [{"id": 22, "day": D2}], days=[D2], publish=True)


def night(lake: Harness) -> None:
    """What is killed, and done again from the start: nothing of it harms when it has been done before."""
    lake.lake.recover()
    lake.write("run_n", [{"id": 12, "day": D2, "note": "new"}], days=[D2], part="second")
    lake.write("run_n", [{"day": D1, "count": 2}], table=DAILY)
    lake.lake.publish(WORKSPACE, RunId("run_n"))
    lake.write("run_failed", [{"id": 99, "day": D1}], days=[D1])
    lake.lake.discard(WORKSPACE, RunId("run_failed"))
    if len(lake.lake.history(WORKSPACE, DAILY)) < 3:
        lake.write("run_wrong", [{"day": D1, "count": 3}], table=DAILY, mode="replace_table", publish=True)
    good = next(seen for seen in lake.lake.history(WORKSPACE, DAILY) if seen.author.run == "run_n")
    lake.lake.rollback(WORKSPACE, DAILY, good.snapshot)
    lake.lake.maintain(WORKSPACE, ORDERS)


def seen(lake: Harness) -> tuple[object, ...]:
    """What readers see of both tables, of one moment."""
    heads = lake.lake.heads(WORKSPACE, [ORDERS, DAILY])
    return tuple(lake.rows(name, at=snapshot) for name, snapshot in heads.items())


@contextlib.contextmanager
def opened(folder: Path, *, now: float, step: Callable[[str], None] = lambda _step: None) -> Iterator[Harness]:
    """Open the lake of a folder."""
    with (
        contextlib.closing(open_database(f"sqlite:///{folder / 'penstock.db'}")) as database,
        open_lake(database, folder / "lake", clock=Clock(now), step=step) as lake,
    ):
        yield lake


def _child(folder: Path, last: int, answer: int) -> None:
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        os.write(answer, f"{name}\n".encode())
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    with opened(folder, now=1_700_000_000.0, step=step) as lake:
        night(lake)
    os._exit(0)


def main() -> None:
    """Fork a child for each line of the standard input."""
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _child(folder, int(line), writing)
            finally:
                os._exit(70)
        os.close(writing)
        with os.fdopen(reading) as steps:
            names = steps.read().split()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {' '.join(names)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
