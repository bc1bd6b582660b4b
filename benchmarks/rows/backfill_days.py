"""A back-fill of 305 days by `penstock backfill --parallel 1`: three tasks a day, land a file, type it, count it.

Each day's file has 80 orders, some 1,800 rows, as the retail generator makes them. How long each run took is what the
records say; the median of the last 30 beside that of the first 30. One at a time: runs do not wait for each other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, number
from benchmarks.timing import median

NUMBER: Final = 48
TITLE: Final = "a back-fill of 305 days"
_ROOT: Final = Path(__file__).parents[2]
_PENSTOCK: Final = Path(sys.executable).with_name("penstock")
_A_DAY: Final = 80


def measure(*, quick: bool) -> list[Figure]:
    """Return whether the last days cost more than the first."""
    days, window = (2, 1) if quick else (305, 30)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        dates = _project(folder, days)
        before = os.times()
        _penstock(folder, "backfill", "retail", "--from", str(dates[0]), "--to", str(dates[-1]))
        after = os.times()
        runs = json.loads(_penstock(folder, "status", "--limit", "500", "--json"))["runs"]
    took_s = {run["date"]: _moment(run["finished_at"]) - _moment(run["started_at"]) for run in runs}
    of_days = [took_s[str(day)] for day in dates]
    first, last = median(of_days[:window]), median(of_days[-window:])
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    how = f"{number(last * 1e3)} ms / {number(first * 1e3)} ms"
    return [
        Figure(f"{days} days: median of the last {window} / the first {window}", last / first, "x", how, at_most=1.5),
        Figure("CPU of a day", cpu_s / len(took_s) * 1e3, "ms", "all processes"),
    ]


def _project(folder: Path, days: int) -> list[date]:
    """Put the project and the days' files into a folder, and return the days."""
    shutil.copytree(_ROOT / "tests" / "projects" / "retail", folder, dirs_exist_ok=True)
    archive = folder / "by-day.tar.gz"
    generator = [sys.executable, str(_ROOT / "examples" / "retail" / "generate.py"), "--orders", str(days * _A_DAY)]
    subprocess.run([*generator, "--seed", "7", "-o", str(archive)], check=True, capture_output=True, timeout=300)
    (folder / "by-day").mkdir()
    with tarfile.open(archive) as found:
        for member in found:
            content = found.extractfile(member)
            if content is not None:
                (folder / "by-day" / Path(member.name).name).write_bytes(content.read())
    return sorted(date.fromisoformat(path.stem) for path in (folder / "by-day").iterdir())


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _penstock(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run([_PENSTOCK, *arguments], cwd=folder, check=True, capture_output=True, timeout=3_600)
    return done.stdout
