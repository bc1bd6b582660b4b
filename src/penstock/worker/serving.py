"""A worker from its settings to its end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from penstock.base.ids import new_id
from penstock.base.logs import get_log
from penstock.core import limits
from penstock.core.settings import Settings
from penstock.core.work import WorkerState
from penstock.usecases.health import is_apart
from penstock.wiring.server import Server, open_server
from penstock.worker.chores import Chore, Chores, Patient
from penstock.worker.runners import Runner
from penstock.worker.supervisor import Supervisor

_SAY_SO_S: Final = 3.0 * limits.LEASE.value  # so long after an outage nobody is given up: all reconnect at once


def serve(settings: Settings, runners: Sequence[Runner], *, name: str = "", after: str = "") -> None:
    """Carry out jobs until somebody asks this process to end; a second time it ends at once.

    Args:
        settings: of the server that it belongs to.
        runners: the processes that carry out attempts.
        name: the worker's id; a new one when not given.
        after: the id of a worker that is dead: whoever started it has seen that.

    Raises:
        SandboxUnsafe: when scripts cannot run safely here.
        SchemaUnknown: when the database is of another version.
        SettingInvalid: when this machine's clock is not the database's.
    """
    with open_server(settings) as server:
        server.health.require_same_time()
        state = WorkerState(
            id=name or new_id("wrk"),
            host=socket.gethostname(),
            pid=os.getpid(),
            state="active",
            slots=sum(runner.threads for runner in runners),
            busy=0,
            sandbox_level="none",
            started_at=time.time(),
        )
        log = get_log().bind(worker=state.id)
        if after and (left := server.work.bury(after)):
            log.info("worker.followed", dead=after, attempts=left)
        supervisor = Supervisor(state, server.work, runners, server.queue.wait, log)
        clock = Chore("clock", limits.CLOCK_LOOK.value, lambda: compare_clocks(server.health.clock_ahead_s, supervisor))
        with Chores([*_chores(server, state.id), clock], log=log), _draining(supervisor):
            log.info("worker.started", runners=len(runners), places=state.slots)
            supervisor.run()
            log.info("worker.ended")


def compare_clocks(look: Callable[[], float], supervisor: Supervisor) -> None:
    """Let the log and `/health` know how far this machine's clock is from the database's."""
    before_s, supervisor.clock_ahead_s = supervisor.clock_ahead_s, look()
    if is_apart(supervisor.clock_ahead_s):
        ahead_s = round(supervisor.clock_ahead_s, 1)
        supervisor.log.warning("clock.apart", ahead_s=ahead_s, tolerated_s=limits.CLOCK_APART.value)
    elif is_apart(before_s):
        supervisor.log.info("clock.agreed")


def _chores(server: Server, worker: str) -> list[Chore]:
    def reach() -> None:
        with server.database.read():
            pass

    return [
        # What nobody could keep alive while the database was away is not lost yet.
        Chore("tick", limits.REAP.value / 1000, Patient(server.work.tick, reach=reach, pause_s=_SAY_SO_S)),
        Chore("reconcile", limits.RECONCILE.value, server.work.reconcile),
        Chore("seal", limits.SEAL.value, server.audit_log.seal),
        Chore("schedules", limits.SCHEDULE_TICK.value, server.schedules.tick),
        Chore("late", limits.LATE_TICK.value, server.incidents.look_for_late),
        Chore("alerts", limits.ALERT_TICK.value, server.alerts.send_due),
        Chore("incidents", limits.RECONCILE.value, server.incidents.forget),
        Chore("upkeep", limits.UPKEEP_TICK.value, server.upkeep.tick),
        Chore("retention", limits.RETENTION_TICK.value, lambda: server.retention.tick(worker)),
    ]


@contextlib.contextmanager
def _draining(supervisor: Supervisor) -> Iterator[None]:
    """Drain on the first signal, and end at once on the second."""
    asked = (signal.SIGINT, signal.SIGTERM)
    signals = 0

    def heed(*_: object) -> None:
        nonlocal signals
        signals += 1
        supervisor.drain(seconds=limits.DRAIN.value if signals == 1 else 0)

    before = [signal.signal(number, heed) for number in asked]
    try:
        yield
    finally:
        for number, handler in zip(asked, before, strict=True):
            signal.signal(number, handler)
