"""Many jobs, one after the other: `make soak [JOBS=200000]`. Memory and tables must not grow with what has been done.

Every tenth of the jobs, what has ended is removed as retention does it after a month (a clock that is 40 days ahead),
and the memory of all processes, the rows and the size of the database are written down. With --hogs one process takes a
core and another syncs a file without end, so that heartbeats have to hold their own: no lease may expire.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import service
from benchmarks.service import Served
from penstock.wiring.server import open_server
from penstock.wiring.settings import read_settings

BODY: Final = b'{"script": "twice", "input": [{"id": 21}]}'
CONNECTIONS: Final = 8
STEPS: Final = 10
AHEAD_S: Final = 40 * 86_400.0
GROWTH_MAX: Final = 1.1
_CPU_HOG: Final = "while True: pass"
_DISK_HOG: Final = """
import os, sys
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
while True:
    os.pwrite(file, bytes(4096), 0)
    os.fsync(file)
"""


def main() -> None:
    """Soak a server, and exit with 1 when something grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--hogs", action="store_true", help="Take a core and the disk meanwhile.")
    asked = parser.parse_args()
    with service.served() as server, contextlib.ExitStack() as stack:
        server.publish("twice", service.TRIVIAL)
        if asked.hogs:
            stack.enter_context(_hogs(server.folder))
        seen = list(_steps(server, asked.jobs // STEPS))
        lost = _lost(server)
    wrong = [f"attempts lost to expired leases: {lost}"] if lost else []
    for name in ("resident MiB", "rows", "KiB left by 1,000 jobs"):
        early, late = (sum(step[name] for step in part) / len(part) for part in (seen[1:4], seen[-3:]))
        print(f"{name}: {early:,.1f} early, {late:,.1f} late")
        if late > early * GROWTH_MAX:
            wrong.append(f"{name} grew from {early:,.1f} to {late:,.1f}")
    sys.exit("\n".join(wrong) or 0)


def _steps(server: Served, jobs: int) -> Iterator[dict[str, float]]:
    """Yield what is seen after each tenth; what 1,000 jobs leave is their audit events, which are never removed."""
    before_mib = 0.0
    for _ in range(STEPS):
        found = _step(server, jobs)
        found["KiB left by 1,000 jobs"] = (found["database MiB"] - before_mib) * 1024 * 1000 / jobs
        before_mib = found["database MiB"]
        print(", ".join(f"{name} {value:,.1f}" for name, value in found.items()), flush=True)
        yield found


def _step(server: Served, jobs: int) -> dict[str, float]:
    began_s = time.monotonic()
    counted = iter(range(jobs))
    lock = threading.Lock()

    def work() -> None:
        with contextlib.closing(service.Connection(server)) as connection:
            while True:
                with lock:
                    if next(counted, None) is None:
                        return
                connection.run(BODY)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_s = time.monotonic() - began_s
    _retain(server)
    return {"jobs a second": jobs / elapsed_s, **_measured(server)}


def _retain(server: Served) -> None:
    settings = read_settings({"PENSTOCK_HOME": str(server.folder / ".penstock")})
    with open_server(settings, clock=lambda: time.time() + AHEAD_S) as ahead:
        ahead.database.write(
            lambda tx: tx.exec_driver_sql(
                "INSERT INTO workers (id, host, pid, state, slots, sandbox_level, started_at, heartbeat_at)"
                f" VALUES ('0', 'soak', 0, 'active', 0, 'none', 0, {time.time() + 2 * AHEAD_S})"
            )
        )
        while ahead.retention.tick("0").more:
            pass
        ahead.database.write(lambda tx: tx.exec_driver_sql("DELETE FROM workers WHERE id = '0'"))


def _measured(server: Served) -> dict[str, float]:
    path = server.folder / ".penstock" / "penstock.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = [name for name in names if name not in ("audit_events", "sqlite_sequence", "usage", "idempotency")]
        rows = sum(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in kept)
        audit = connection.execute("SELECT count(*) FROM audit_events").fetchone()[0]
        page, pages, free = (
            connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("page_size", "page_count", "freelist_count")
        )
    resident = sum(_resident_bytes(pid) for pid in _tree(server.pid)) / 2**20
    return {"resident MiB": resident, "database MiB": page * (pages - free) / 2**20, "rows": rows, "audit rows": audit}


def _lost(server: Served) -> int:
    """Return how many attempts were not a job's first: nothing here fails by itself, so their leases had expired."""
    with contextlib.closing(sqlite3.connect(server.folder / ".penstock" / "penstock.db", timeout=30)) as connection:
        return int(connection.execute("SELECT count(*) FROM attempts WHERE attempt > 1").fetchone()[0])


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError):
            yield from _tree(int(child))


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def _hogs(folder: Path) -> Iterator[None]:
    commands = [[sys.executable, "-c", _CPU_HOG], [sys.executable, "-c", _DISK_HOG, str(folder / "hog")]]
    hogs = [subprocess.Popen(command) for command in commands]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


if __name__ == "__main__":
    os.environ.pop("PENSTOCK_HOME", None)
    main()
