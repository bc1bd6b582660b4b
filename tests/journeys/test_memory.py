"""Memory stays flat whatever the input's size."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

from tests.journeys.command import PENSTOCK, Folder
from tests.processes import descendants_of

KINDS = ("RssAnon:", "RssShmem:")  # not what a child maps of the input file itself: that is the kernel's to drop


def test_twenty_times_the_records_take_no_more_memory(folder: Folder):
    """Each run has the same chunks in flight; the promise of ten percent is held by `make bench`, with patience."""
    few, many = (peak_kib(folder, records) for records in (10_000, 200_000))
    assert many < 1.4 * few


def peak_kib(folder: Folder, records: int) -> int:
    """Return the most memory that a run over so many records and all its children had at a time."""
    folder.write(in_csv="n,word\n" + "".join(f"{number},word\n" for number in range(records)))
    with subprocess.Popen(
        [PENSTOCK, "process", "keep.py", "in.csv", "-o", "out.ndjson", "--chunk", "1000"],
        cwd=folder.path,
        stderr=subprocess.DEVNULL,
    ) as run:
        peak = 0
        while run.poll() is None:
            peak = max(peak, sum(map(kib_of, [run.pid, *descendants_of(run.pid)])))
            time.sleep(0.03)
        assert run.returncode == 0
    return peak


def kib_of(pid: int) -> int:
    """Return the memory of one process, 0 when it has just gone."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(KINDS))
    return 0
