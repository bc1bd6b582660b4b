"""The example's shop for tests: its storefronts, its project in a folder, nights that are killed, what readers see."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from penstock.core.tables import TableName
from penstock.wiring.local import LOCAL, open_local
from tests.lakes import read_rows

ROOT = Path(__file__).parents[1]
SHOP = ROOT / "examples" / "shop"
EVENING, NIGHT = date(2024, 3, 2), date(2024, 3, 3)  # between them Shopify's customer changes its shape
A_DAY = 4
AUDIT = ("_run", "_landed_at")  # what differs from run to run
Seen = Mapping[str, Sequence[Any]]


def example(name: str) -> Any:
    """Return a module of the example."""
    import importlib

    if str(SHOP) not in sys.path:
        sys.path.append(str(SHOP))
    return importlib.import_module(name)


@dataclass(slots=True)
class Nights:
    """A project's folder and the storefronts that it asks."""

    folder: Path
    storefronts: Any
    victim: subprocess.Popen[str]

    def night(self, day: date, *, step: str = "", nth: int = 0, fault: str = "kill") -> tuple[int, list[str]]:
        """Carry out a night, or go on with it; return how that ended, and the steps that it has come to.

        Args:
            day: of the run.
            step: at which something happens; nothing does when none is named.
            nth: time that it comes to that step.
            fault: `kill`; or `database` or `disk`, which fails once.
        """
        self.storefronts.today = day
        example("demo").drop_returns(self.folder / "returns", day, self.storefronts.calendar)
        asked = {"folder": str(self.folder), "date": str(day), "step": step, "nth": nth, "fault": fault}
        assert self.victim.stdin is not None
        assert self.victim.stdout is not None
        self.victim.stdin.write(json.dumps(asked) + "\n")
        self.victim.stdin.flush()
        answer = json.loads(self.victim.stdout.readline())
        return answer["status"], answer["steps"]

    def put_back(self, kept: Path) -> None:
        """Let the folder be as it was when it was kept."""
        shutil.rmtree(self.folder)
        shutil.copytree(kept, self.folder)

    def seen(self) -> Seen:
        """Return what readers see of every table, sorted, without what differs from run to run; and the report."""
        with open_local(self.folder) as local:
            states = local.tables.list(actor=local.actor)
            found = {
                str(state.name): self._rows(local.server.lake, state.name)
                for state in states
                if state.snapshot is not None
            }
        report = self.folder / "reports" / "daily_totals.csv"
        return {**found, "report": sorted(report.read_text().splitlines()) if report.exists() else []}

    def _rows(self, lake: Any, name: TableName) -> Sequence[Any]:
        reading = lake.read(LOCAL, name)
        kept = [index for index, column in enumerate(reading.columns) if column.name not in AUDIT]
        return sorted((tuple(row[index] for index in kept) for row in read_rows(reading)), key=repr)


def published(seen: Seen) -> Seen:
    """Return what is published at the end of a run: raw tables and the report have moments of their own."""
    return {name: rows for name, rows in seen.items() if not name.startswith("raw.") and name != "report"}


@contextlib.contextmanager
def shop_nights(folder: Path, *, faulty: bool = False) -> Iterator[Nights]:
    """Give the shop in a folder, with its storefronts served, until the end of the block."""
    server = example("server")
    storefronts = server.Storefronts(server.Calendar(a_day=A_DAY), faulty=faulty, hangs_s=2.5)
    served = server.serve(storefronts)
    shutil.copytree(SHOP / "project", folder)
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
            yield Nights(folder, storefronts, victim)
            assert victim.stdin is not None
            victim.stdin.close()
            victim.wait(timeout=60)
    finally:
        served.shutdown()
        served.server_close()
