"""The example's shop for tests: its storefronts, its project in a folder, disturbed nights, and what readers see."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy

from penstock.core.errors import TransientError
from penstock.core.tables import TableName
from penstock.database.opening import open_database
from penstock.database.schema import cursors, taken_files
from penstock.storage.tables.catalog import Catalog
from penstock.storage.tables.lake import IcebergLake
from penstock.wiring.local import FOLDER, LOCAL
from tests.lakes import read_rows

ROOT = Path(__file__).parents[1]
SHOP = ROOT / "examples" / "shop"
EVENING, NIGHT = date(2024, 3, 2), date(2024, 3, 3)  # between them Shopify's customer changes its shape
A_DAY = 4
AUDIT = ("_run", "_landed_at")  # what differs from run to run
Seen = Mapping[str, str]  # from a table to a hash of its rows, sorted


def example(name: str) -> Any:
    """Return a module of the example."""
    import importlib

    if str(SHOP) not in sys.path:
        sys.path.append(str(SHOP))
    return importlib.import_module(name)


@dataclass(frozen=True, slots=True)
class Night:
    """How a process that carried out a night, or a piece of one, has ended.

    Attributes:
        status: its exit code, or the negative number of a signal.
        marks: that it has come to.
        struck: those of them at which something has happened.
        said: what it wrote to its standard output and error.
    """

    status: int
    marks: Sequence[str]
    struck: Sequence[str]
    said: str = ""


@dataclass(slots=True)
class Nights:
    """A project's folder and the storefronts that it asks.

    Attributes:
        database_url: of its records, where they are not in the folder.
    """

    folder: Path
    storefronts: Any
    victim: subprocess.Popen[str]
    database_url: str = ""
    _hashes: dict[tuple[str, int], str] = field(default_factory=dict)

    def night(
        self,
        day: date,
        *,
        fault: str = "",
        done: Collection[str] = (),
        at: Mapping[str, str] | None = None,
        most: int = 1,
        share: tuple[int, int] = (0, 1),
    ) -> Night:
        """Carry out a night, or go on with it; return how that ended.

        Args:
            day: of the run.
            fault: what happens at marks, of `FAULTS` in `tests/shop_victim.py`; nothing when none is named.
            done: marks at which it does not.
            at: marks at which alone something happens, with what it is.
            most: so many times.
            share: (one of, so many), of all marks.
        """
        self.storefronts.today = day
        example("demo").drop_returns(self.folder / "returns", day, self.storefronts.calendar)
        asked = {"folder": str(self.folder), "date": str(day), "fault": fault, "done": [*done], "most": most}
        assert self.victim.stdin is not None
        assert self.victim.stdout is not None
        self.victim.stdin.write(
            json.dumps({**asked, "share": share, "at": dict(at or {}), "database_url": self.database_url}) + "\n"
        )
        self.victim.stdin.flush()
        answer = json.loads(self.victim.stdout.readline())
        marks = [mark[1:] for mark in answer["marks"]]
        return Night(answer["status"], marks, [mark[1:] for mark in answer["marks"] if mark[0] == "!"], answer["said"])

    def put_back(self, kept: Path) -> None:
        """Let the folder be as it was when it was kept."""
        shutil.rmtree(self.folder)
        shutil.copytree(kept, self.folder)
        self._hashes.clear()

    def report(self) -> list[str]:
        """Return the lines of what was exported."""
        path = self.folder / "reports" / "daily_totals.csv"
        return path.read_text().splitlines() if path.exists() else []

    def seen(self) -> Seen:
        """Return what readers see of every table at this moment, without what differs from run to run."""
        with self._lake() as (_, lake):
            states = {state.name: state.snapshot for state in lake.tables(LOCAL) if state.snapshot is not None}
            return {str(name): self._hash(lake, name, snapshot) for name, snapshot in states.items()}

    def left(self) -> Seen:
        """Return that, what was exported, and what tasks remember for the next night."""
        with self._lake() as (database, _), database.read() as tx:
            known = tx.execute(sqlalchemy.select(cursors.c.task, cursors.c.name, cursors.c.value)).all()
            taken = tx.execute(sqlalchemy.select(taken_files.c.task, taken_files.c.path)).all()
        return {
            **self.seen(),
            "the report": _hashed(self.report()),
            "cursors": repr(sorted(map(tuple, known))),
            "taken files": repr(sorted(map(tuple, taken))),
        }

    @contextlib.contextmanager
    def _lake(self) -> Iterator[tuple[Any, IcebergLake]]:
        home = self.folder / FOLDER
        lake = home / "lake"
        url = self.database_url or f"sqlite:///{home / 'penstock.db'}"
        catalog_url = self.database_url or f"sqlite:///{lake / 'catalog.db'}"
        with (
            contextlib.closing(open_database(url)) as database,
            contextlib.closing(Catalog(catalog_url, str(lake / "warehouse"))) as catalog,
        ):
            yield database, IcebergLake(database, catalog, time.time)

    def _hash(self, lake: IcebergLake, name: TableName, snapshot: Any) -> str:
        if (name, snapshot) not in self._hashes:
            reading = lake.read(LOCAL, name, at=snapshot)
            kept = [index for index, column in enumerate(reading.columns) if column.name not in AUDIT]
            self._hashes[name, snapshot] = _hashed([tuple(row[index] for index in kept) for row in read_rows(reading)])
        return self._hashes[name, snapshot]


def _hashed(rows: Sequence[Any]) -> str:
    return f"{len(rows)} rows {hashlib.sha256(repr(sorted(rows, key=repr)).encode()).hexdigest()[:16]}"


def half(seen: Seen, before: Seen, after: Seen) -> str:
    """Return what of it is neither the evening nor the morning; empty when nothing is.

    What is published at the end of a run is one of them as a whole; raw tables have moments of their own.
    """
    whole = [{name: rows for name, rows in state.items() if not name.startswith("raw.")} for state in (before, after)]
    published = {name: rows for name, rows in seen.items() if not name.startswith("raw.")}
    wrong = [] if published in whole else [f"together: {published}"]
    raw = sorted(seen.keys() - published.keys())
    wrong += [f"{name}: {seen[name]}" for name in raw if seen[name] not in (before.get(name), after.get(name))]
    return "; ".join(wrong)


@contextlib.contextmanager
def polled(look: Callable[[], str], *, every_s: float = 0.2) -> Iterator[list[str]]:
    """Look again and again during the block; give what was found wrong."""
    over, wrong = threading.Event(), list[str]()

    def poll() -> None:
        while not over.wait(every_s):
            with contextlib.suppress(
                TransientError
            ):  # on a full disk nobody can open a database; that shows nothing half
                if found := look():
                    wrong.append(found)

    reader = threading.Thread(target=poll, daemon=True)
    reader.start()
    try:
        yield wrong
    finally:
        over.set()
        reader.join(30)


@contextlib.contextmanager
def shop_nights(
    folder: Path, *, faulty: bool = False, database_url: str = "", serve: Callable[[Any], Any] | None = None
) -> Iterator[Nights]:
    """Give the shop in a folder, with its storefronts served, until the end of the block.

    Args:
        folder: of the project.
        faulty: whether the storefronts misbehave.
        database_url: of the records, when they are not to be in the folder.
        serve: serves the storefronts in place of the example's own server.
    """
    server = example("server")
    storefronts = server.Storefronts(server.Calendar(a_day=A_DAY), faulty=faulty, hangs_s=2.5)
    served = (serve or server.serve)(storefronts)
    shutil.copytree(SHOP / "project", folder, dirs_exist_ok=True)
    key, secret = server.TOKENS["woocommerce"].split(":")
    secrets = {
        "SHOP_URL": f"http://127.0.0.1:{served.server_address[1]}",
        "SHOPIFY_TOKEN": server.TOKENS["shopify"],
        "WOOCOMMERCE_KEY": key,
        "WOOCOMMERCE_SECRET": secret,
        "MAGENTO_TOKEN": server.TOKENS["magento"],
    }
    command = [sys.executable, "-m", "tests.shop_victim"]
    try:
        with subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **secrets}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as victim:
            yield Nights(folder, storefronts, victim, database_url)
            assert victim.stdin is not None
            victim.stdin.close()
            victim.wait(timeout=60)
    finally:
        served.shutdown()
        served.server_close()
