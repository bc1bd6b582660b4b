"""Jobs that `usecases.jobs.submit` has made durable from 32 threads on SQLite, each with all that belongs to it.

That is: permission, script version, quota, idempotency key, run, task, job, its small input, queue entry and the audit
event, in one transaction that many share. Beside the bare port of the queue in turn (an entry alone) and huey (its 32
clients), on the same disk; three rounds of 3 s each way, medians.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from benchmarks import queues
from benchmarks.environments import PeerMissing
from benchmarks.figures import Figure, number
from benchmarks.timing import elapsed_s, median
from penstock.base.ids import new_id
from penstock.core.access import PERMISSIONS, Actor, MemberId
from penstock.core.jobs import JobInput, JobOptions, JobRequest, small_blob
from penstock.core.scripts import ScriptLimits
from penstock.usecases.versions import Content
from penstock.wiring.server import Server, open_server
from penstock.wiring.settings import read_settings

NUMBER: Final = 23
TITLE: Final = "durable submits through the use case"
_CLIENTS: Final = 32
_CODE: Final = b"def process(data):\n    return data\n"
_INPUT: Final = b'{"id": 21}\n'


def measure(*, quick: bool) -> list[Figure]:
    """Return submits a second, and their share of what the bare port does."""
    rounds, duration_s = (1, 0.3) if quick else (3, 3.0)
    with queues.folder() as place, open_server(read_settings({"PENSTOCK_HOME": str(place)}), create=True) as server:
        submit = _submit(server)
        bare = _bare(server)
        ours, port = [], []
        for _ in range(rounds):
            ours.append(_rate(submit, duration_s))
            port.append(_rate(bare, duration_s))
    through, alone = median(ours), median(port)
    figures = [
        Figure(f"{_CLIENTS} threads", through, "/s", queues.disk()),
        Figure("of the bare port", through / alone, "x", f"{number(through)} / {number(alone)}", at_least=0.3),
    ]
    return figures if quick else figures + _beside_huey(through, duration_s)


def _submit(server: Server) -> Callable[[], None]:
    """Return what submits one job, in a workspace with a script, whose quotas do not end the measurement."""
    server.workspaces.ensure_first()
    server.workspaces.change_locally("default", quotas={"queued_jobs_max": 10_000_000})
    workspace = server.workspaces.list()[0].id
    actor = Actor(workspace, MemberId("mem_bench"), "bench", "admin", PERMISSIONS["admin"])
    server.scripts.create("keep", language="python", actor=actor)
    version = server.scripts.add_version("keep", Content(_CODE, limits=ScriptLimits()), actor=actor)
    server.scripts.publish("keep", version.number, actor=actor)
    server.scripts.activate("keep", version.number, actor=actor)

    def submit() -> None:
        blob = small_blob(f"{workspace}/inputs/{new_id('inp')}", _INPUT)
        request = JobRequest(
            script="keep",
            version="active",
            input=JobInput(blob),
            options=JobOptions(),
            body_sha256=blob.sha256,
            idempotency_key=new_id("idem"),
            small=_INPUT,
        )
        server.jobs.submit(request, actor=actor)

    return submit


def _bare(server: Server) -> Callable[[], None]:
    def submit() -> None:
        entry = queues.entry()
        server.database.write(lambda tx: server.queue.enqueue(tx, [entry]))

    return submit


def _rate(submit: Callable[[], None], duration_s: float) -> float:
    counts: list[int] = []
    until_s = time.perf_counter() + duration_s

    def work() -> None:
        count = 0
        while time.perf_counter() < until_s:
            submit()
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(_CLIENTS)]
    taken_s = elapsed_s(lambda: [thread.start() for thread in threads] + [thread.join() for thread in threads])
    return sum(counts) / taken_s


def _beside_huey(through: float, duration_s: float) -> list[Figure]:
    try:
        with queues.folder() as place:
            found = queues.ask_peer("huey", place / "huey.db", "submit", duration_s, _CLIENTS)
    except PeerMissing as missing:
        return [Figure("faster than huey", 0.0, "x", str(missing))]
    theirs = found["count"] / found["elapsed_s"]
    return [Figure("faster than huey", through / theirs, "x", f"{number(through)} / {number(theirs)}", at_least=5)]
