"""Runs of pipelines, from being asked for to their end: by a worker in this process, and by a server.

Both have the sandbox on, the records database and the lake on a disk, and are warm: nothing is started for a run but
what every run starts. The client of the server hears of the end by its events.
"""

from __future__ import annotations

import contextlib
import csv
import io
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks import queues, service
from penstock.core import limits

PROJECT: Final = "bench"
DATA: Final = "data/"  # what a project reads, and is not of it
SCRIPT: Final = b"def process(record):\n    return record\n"


class Runs(Protocol):
    """What carries out runs."""

    def run_s(self, **asked: Any) -> float:
        """Carry out a run, with `date` or `again` as asked, and return how long that took."""


@contextlib.contextmanager
def here(files: Mapping[str, bytes]) -> Iterator[Here]:
    """Open a project's folder with a worker in this process."""
    from penstock.wiring.local import open_local
    from penstock.worker.local import working

    with queues.folder() as folder:
        write(folder, files)
        with open_local(folder) as local, working(local) as work:
            local.use({path: content for path, content in files.items() if not path.startswith(DATA)})
            yield Here(local, work, folder)


@contextlib.contextmanager
def on_a_server(files: Mapping[str, bytes]) -> Iterator[OnAServer]:
    """Run `penstock up`, and deploy a project to it."""
    with service.served() as server, server.client() as client:
        client.projects.deploy(files)
        yield OnAServer(client)


class Here:
    """Runs in this process, as `penstock run` has them."""

    def __init__(self, local: Any, work: Any, folder: Path) -> None:
        self._local, self._work = local, work
        self.folder = folder

    def run_s(self, *, date: str | None = None, again: bool = False) -> float:
        """Carry out a run of `main`, and return how long that took."""
        from penstock.planning.pipelines import Occasion

        began_s = time.perf_counter()
        actor = self._local.actor
        begun = self._local.runs.start(PROJECT, "main", Occasion(date, again=again), actor=actor)
        self._carry_on(begun.id)
        return time.perf_counter() - began_s

    def backfill_s(self, first: str, last: str) -> list[float]:
        """Carry out a run for each date, and return how long each took from its start to its end, oldest date first."""
        from penstock.core.runs import RunFilter

        runs, actor = self._local.runs, self._local.actor
        backfill = runs.backfill(PROJECT, "main", date_from=first, date_to=last, actor=actor)
        begun = runs.list(RunFilter(backfill=backfill.id, limit=limits.LISTED.value), actor=actor)
        ended = [self._carry_on(run.id) for run in sorted(begun, key=lambda run: run.date)]
        return [run.finished_at - run.started_at for run in ended]

    def rows(self, table: str) -> int:
        """Return how many rows of a table are published."""
        answer = self._local.tables.query(f"SELECT count(*) FROM {table}", actor=self._local.actor, rows_max=1)
        return int(answer.rows[0][0])

    def _carry_on(self, run: str) -> Any:
        ended = self._work.carry_on(run, watch=lambda _run, _progress: None)
        assert ended.state == "succeeded", ended
        return ended


class OnAServer:
    """Runs by a server, asked for over HTTP."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run_s(self, *, date: str | None = None, again: bool = False) -> float:
        """Carry out a run of `main`, and return how long that took."""
        began_s = time.perf_counter()
        asked = {"again": again} if date is None else {"again": again, "date": date}
        begun = self._client.runs.start(PROJECT, "main", **asked)
        ended = begun if begun.ended else list(self._client.runs.watch(begun.id))[-1]
        taken_s = time.perf_counter() - began_s
        assert ended.state == "succeeded", ended.shown
        return taken_s


def chain(count: int) -> dict[str, bytes]:
    """Return a project with so many calls of a script that does nothing, one after the other."""
    lines = ["tasks:"]
    for number in range(count):
        after = f", after: [t{number - 1}]" if number else ""
        lines.append(f"  t{number}: {{ kind: call, script: nothing{after} }}")
    return _project(lines) | {"scripts/nothing.py": SCRIPT}


def days(*, rows: int, dates: list[str]) -> dict[str, bytes]:
    """Return a project of three steps, from a day's file to totals, and the files of some days."""
    lines = [
        "tasks:",
        '  land: { kind: ingest, from: { connection: here, path: "${date}.csv" }, to: raw.orders }',
        "  orders: { kind: sql, file: orders.sql, from: { raw: raw.orders }, to: staging.orders, window: day }",
        "  daily: { kind: sql, file: daily.sql, from: { orders: staging.orders }, to: marts.daily, window: day }",
    ]
    files = _project(lines, more="connections: { here: { kind: files, path: data } }")
    files["orders.sql"] = (
        b"SELECT CAST(number AS BIGINT) AS number, sku, CAST(quantity AS INTEGER) AS quantity,\n"
        b"    CAST(price AS DECIMAL(12, 2)) AS price, CAST(ordered_at AS TIMESTAMP) AS ordered_at\nFROM raw\n"
    )
    files["daily.sql"] = (
        b"SELECT sku, count(*) AS lines, sum(quantity) AS pieces, sum(quantity * price) AS revenue\n"
        b"FROM orders\nGROUP BY sku\n"
    )
    return files | {f"{DATA}{date}.csv": _day(date, rows) for date in dates}


def paged(url: str) -> dict[str, bytes]:
    """Return a project that lands what `paged_source` has at a URL."""
    base, _, path = url.rpartition("/")
    pages = "{ kind: cursor, param: page, next_at: next_page }"
    source = f"{{ connection: shop, path: {path}, records_at: data, pages: {pages} }}"
    lines = ["tasks:", f"  land: {{ kind: ingest, from: {source}, to: raw.orders }}"]
    return _project(lines, more=f"connections: {{ shop: {{ kind: rest, url: '{base}' }} }}")


def _project(lines: list[str], *, more: str = "") -> dict[str, bytes]:
    return {
        "penstock.yml": f"name: {PROJECT}\n{more}\n".encode(),
        "pipelines/main.yml": ("\n".join(lines) + "\n").encode(),
    }


def _day(date: str, rows: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["number", "sku", "quantity", "price", "ordered_at"])
    for number in range(rows):
        at = f"{date}T{number % 24:02}:{number % 60:02}:00"
        writer.writerow([number, f"sku-{number % 97}", number % 9 + 1, f"{number % 499}.{number % 100:02}", at])
    return text.getvalue().encode()


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a project into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
