"""A year of a real shop as a back-fill, killed as often as one likes, by the commands that anybody would type."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.journeys.command import PENSTOCK

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "tests" / "projects" / "retail"
FIGURES = """
SELECT count(*), count(DISTINCT invoice), count(DISTINCT stock_code), count(DISTINCT customer),
    count(*) FILTER (customer IS NULL), count(DISTINCT country), sum(quantity * price),
    count(*) FILTER (starts_with(invoice, 'C')), count(*) FILTER (quantity < 0), count(*) FILTER (price <= 0),
    count(*) FILTER (description IS NULL), min(invoiced_at), max(invoiced_at)
FROM staging.lines
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A folder with the project and the days' files."""

    folder: Path

    def begin(self, first: date, last: date) -> subprocess.Popen[bytes]:
        """Begin a back-fill, in a session of its own."""
        words = ("backfill", "retail", "--from", str(first), "--to", str(last), "--parallel", "2", "--json")
        return subprocess.Popen(
            [PENSTOCK, *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def backfill(self, first: date, last: date, *, timeout_s: float) -> dict[str, Any]:
        """Do a back-fill to its end, and return what became of it."""
        begun = self.begin(first, last)
        out, err = begun.communicate(timeout=timeout_s)
        assert begun.returncode == 0, err.decode()
        ended: dict[str, Any] = orjson.loads(out)
        return ended

    def kill(self, begun: subprocess.Popen[bytes], *, when_published: int, timeout_s: float) -> None:
        """Kill a back-fill and everything it has started, once so many of its dates are published."""
        until_s = time.monotonic() + timeout_s
        while self.published() < when_published:
            assert begun.poll() is None, ((begun.stderr and begun.stderr.read()) or b"").decode()
            assert time.monotonic() < until_s, "no date was published in time"
            time.sleep(0.1)
        os.killpg(begun.pid, signal.SIGKILL)
        begun.wait(10)
        for stream in (begun.stdout, begun.stderr):
            if stream is not None:
                stream.close()

    def published(self) -> int:
        """Return how many runs have published something, as the records database has it."""
        import sqlite3

        path = self.folder / ".penstock" / "local" / "penstock.db"
        if not path.exists():
            return 0
        records = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            ((count,),) = records.execute("SELECT count(*) FROM pipeline_runs WHERE published_at IS NOT NULL")
        except sqlite3.OperationalError:  # its tables are being made
            return 0
        finally:
            records.close()
        return int(count)

    def query(self, sql: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a query over what is published."""
        done = subprocess.run(
            [PENSTOCK, "query", sql, "--json"], cwd=self.folder, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        rows: Sequence[Sequence[Any]] = orjson.loads(done.stdout)["rows"]
        return rows


def real_shop(folder: Path, *, days: int | None = None) -> tuple[Shop, list[date]]:
    """Return the shop with its first days, or all of them, and the dates that have a file."""
    data = Path(os.environ.get("PENSTOCK_DATA") or ROOT.parent / "shared" / "data")
    given = data / "uci-online-retail" / "by-day.tar.gz"
    if not given.is_file():
        pytest.skip("uci-online-retail/by-day.tar.gz is not in $PENSTOCK_DATA")
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    target = folder / "by-day"
    target.mkdir()
    dates: list[date] = []
    with tarfile.open(given) as archive:
        for member in archive:
            if days is not None and len(dates) == days:
                break
            content = archive.extractfile(member)
            assert content is not None
            (target / Path(member.name).name).write_bytes(content.read())
            dates.append(date.fromisoformat(Path(member.name).stem))
    return Shop(folder), dates
