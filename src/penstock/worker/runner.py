"""A runner: carries out what its supervisor assigns. For jobs it opens no database; a task of a pipeline needs it.

It is started as `python -m penstock.worker.runner FD THREADS PID`, with FD a socket to its supervisor and PID its
supervisor's number. It is a process of its own because it holds tenants' bytes: when it dies, or one of its parsers
hangs, the supervisor goes on keeping leases alive. When the supervisor dies, the kernel kills it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from penstock.base.parents import die_with
from penstock.core import limits
from penstock.core.access import WorkspaceId
from penstock.core.errors import PenstockError, TransientError
from penstock.core.jobs import AttemptReport, EntryId
from penstock.core.ports import PartFiles, Sandbox
from penstock.core.ports.access import Egress
from penstock.core.runs import TASK_PARTS
from penstock.core.scripts import SandboxReport, ScriptVersion
from penstock.core.work import Assignment
from penstock.execution.parts import as_error, run_part
from penstock.execution.stopping import StopSign
from penstock.worker import messages
from penstock.worker.bugs import as_bug

if TYPE_CHECKING:
    from penstock.execution.task_attempts import TaskAttempts

EXIT_SANDBOX_GONE: Final = 75
_ALIVE_MS: Final = 1_000
_RECEIVE_BYTES: Final = 2**18
_IDLE_S: Final = 2.0  # then a runner that was started has most likely nothing to do
_SANDBOX_FAILURES_MAX: Final = 3  # in a row; then a fresh process has better chances


class PartSandbox(Sandbox, Protocol):
    """A Sandbox that can be stopped."""

    def take_cpu_s(self) -> float:
        """Return the CPU time that was used, once, at the end."""

    def records_done(self) -> int:
        """Return how many records scripts have done."""

    def stop(self) -> None:
        """End what runs, and let nothing more begin."""


class Parts(Protocol):
    """What a runner reaches."""

    egress: Egress

    def report(self) -> SandboxReport:
        """Return what the self-test of the sandbox shows."""

    def sandbox(self, workspace: WorkspaceId, /) -> PartSandbox:
        """Return the sandbox of one part."""

    def take_late(self) -> Mapping[WorkspaceId, float]:
        """Return the CPU seconds of workspaces that were found after their parts had ended, since this was asked."""

    def files(self, assignment: Assignment, /) -> PartFiles:
        """Return the files of one part."""

    def tasks(self) -> TaskAttempts:
        """Return what carries out tasks of pipelines; the first time it takes a while."""

    def load(self) -> Iterator[None]:
        """Load what tasks of pipelines need, piece by piece."""


class Runner:
    """Reads assignments from a channel and writes how they ended.

    Args:
        channel: to the supervisor.
        parts: what attempts need.
        threads: how many attempts run at once.
        clock: gives seconds since 1970.
    """

    def __init__(
        self, channel: socket.socket, parts: Any, *, threads: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._channel = channel
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(channel, select.POLLIN)
        self._writable.register(channel, select.POLLOUT)
        self._parts: Parts = parts
        self._clock = clock
        self._sending = threading.Lock()
        self._waiting: queue.SimpleQueue[Assignment | None] = queue.SimpleQueue()
        self._guests: queue.SimpleQueue[Assignment | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running: dict[tuple[EntryId, int], StopSign] = {}
        self._sandboxes: dict[tuple[EntryId, int], PartSandbox] = {}  # of parts of jobs
        self._stopped: set[tuple[EntryId, int]] = set()
        self._held: dict[tuple[EntryId, int], float] = {}
        self._to_begin: set[tuple[EntryId, int]] = set()
        self._scripts: dict[str, ScriptVersion] = {}
        self._sandbox_failures = 0
        self._alive_s = time.monotonic()
        self._threads = [
            threading.Thread(target=self._work, args=(of,), name=f"runner-{number}", daemon=True)
            for number, of in enumerate([self._waiting] * threads + [self._guests])
        ]

    def serve(self) -> None:
        """Say that the sandbox is ready, and carry out assignments until the supervisor is gone."""
        if not self._get_ready():
            return
        for thread in self._threads:
            thread.start()
        threading.Thread(target=self._load, name="loading", daemon=True).start()
        frames = messages.Frames()
        while (data := self._receive()) is not None:
            for header, tail in frames.feed(data):
                self._heed(header, tail)

    def _get_ready(self) -> bool:
        try:
            report = self._parts.report()
        except PenstockError as error:
            self._say(messages.ready_frame(level="none", error=as_error(error)))
            return False
        self._say(messages.ready_frame(level=report.level if report.safe else "none"))
        return report.safe

    def _load(self) -> None:
        """Get ready for tasks of pipelines while there is nothing else to do."""
        time.sleep(_IDLE_S)
        with contextlib.suppress(Exception):  # whoever needs it meets the same, and says so
            for _ in self._parts.load():
                while self._running:
                    time.sleep(_ALIVE_MS / 1000)

    def _receive(self) -> bytes | None:
        """Return what has arrived; None when the supervisor is gone."""
        while not self._readable.poll(_ALIVE_MS):
            self._say_alive()
        if time.monotonic() - self._alive_s >= _ALIVE_MS / 1000:  # who is spoken to all the time has to say so, too
            self._say_alive()
        try:
            return self._channel.recv(_RECEIVE_BYTES) or None
        except OSError:
            return None

    def _heed(self, header: Mapping[str, Any], tail: bytes) -> None:
        if header["say"] == "run":
            assignment = messages.read_assignment(header, tail, self._scripts.get(header["script"]))
            self._to_begin.add((assignment.lease.entry.id, assignment.lease.token))
            (self._guests if header["guest"] else self._waiting).put(assignment)
        elif header["say"] == "script":
            if len(self._scripts) >= limits.KNOWN_SCRIPTS.value:
                self._scripts.clear()  # the supervisor counts as well, and makes known anew what it needs
            self._scripts[header["key"]] = messages.read_script(header, tail)
        elif header["say"] == "stop":
            self._stop(EntryId(header["id"]), header["token"])
        elif header["say"] == "recall":
            self._give_back(EntryId(header["id"]), header["token"])
        elif header["say"] == "held":
            self._hold({(EntryId(entry), token): until_s for entry, token, until_s in header["leases"]})

    def _hold(self, held: dict[tuple[EntryId, int], float]) -> None:
        with self._lock:
            self._held = held  # of all that is here: what begins later finds it
            for key, until_s in held.items():
                if (stop := self._running.get(key)) is not None:
                    stop.held_until_s = until_s

    def _stop(self, entry: EntryId, token: int) -> None:
        with self._lock:
            self._stopped.add((entry, token))
            stop = self._running.get((entry, token))
        if stop is not None:
            stop.ask()

    def _give_back(self, entry: EntryId, token: int) -> None:
        with self._lock:
            if (entry, token) not in self._to_begin:
                return  # a thread has it: its end will be told
            self._to_begin.discard((entry, token))
        self._say(messages.back_frame(entry, token))

    def _begins(self, assignment: Assignment) -> bool:
        """Return whether an attempt was not given back meanwhile; from now on it cannot be."""
        key = assignment.lease.entry.id, assignment.lease.token
        with self._lock:
            is_here = key in self._to_begin
            self._to_begin.discard(key)
        return is_here

    def _work(self, waiting: queue.SimpleQueue[Assignment | None]) -> None:
        while (assignment := waiting.get()) is not None:
            if not self._begins(assignment):
                continue
            started_at = self._clock()
            report = self._attempt(assignment)
            self._say(messages.end_frame(assignment.lease, report, started_at=started_at, finished_at=self._clock()))
            self._look_at_sandbox(report)

    def _attempt(self, assignment: Assignment) -> AttemptReport:
        lease = assignment.lease
        key = lease.entry.id, lease.token
        sandbox, files = self._parts.sandbox(lease.entry.workspace), self._parts.files(assignment)
        with self._lock:
            stop = StopSign(held_until_s=self._held.get(key, lease.expires_at), clock=self._clock)
            self._running[key] = stop
            if lease.entry.part not in TASK_PARTS:  # those say themselves how far they are
                self._sandboxes[key] = sandbox
            stopped = key in self._stopped
        try:
            if stopped:
                return _cancelled(0.0)
            with stop.watched(sandbox.stop):
                if lease.entry.part in TASK_PARTS:
                    report = self._parts.tasks().carry_out(lease.entry, sandbox=sandbox, stop=stop)
                else:
                    egress = self._parts.egress
                    report = run_part(assignment, sandbox=sandbox, files=files, egress=egress, stop=stop)
        except Exception as error:  # noqa: BLE001  # the door of an attempt: whatever it was, the others go on
            report = AttemptReport("crashed", error=as_bug(error))
        finally:
            with self._lock:
                del self._running[key]
                self._sandboxes.pop(key, None)
                stopped = key in self._stopped
                self._stopped.discard(key)
        if not stopped:
            return dataclasses.replace(report, cpu_s=sandbox.take_cpu_s())
        with contextlib.suppress(TransientError):  # the store is away: the sweep will find what is left
            files.drop_all_but(None)
        return _cancelled(sandbox.take_cpu_s())

    def _look_at_sandbox(self, report: AttemptReport) -> None:
        """End this process when its sandbox does not come back by itself."""
        gone = report.outcome == "transient" and (report.error or {}).get("code") == "sandbox_unavailable"
        self._sandbox_failures = self._sandbox_failures + 1 if gone else 0
        if self._sandbox_failures >= _SANDBOX_FAILURES_MAX:
            os._exit(EXIT_SANDBOX_GONE)

    def _say_alive(self) -> None:
        """Say it unless that would have to wait: whoever reads must not, or both sides could wait for each other."""
        self._alive_s = time.monotonic()
        if self._sending.acquire(blocking=False):
            try:
                if self._writable.poll(0):
                    self._channel.sendall(messages.alive_frame(self._parts.take_late(), self._done()))
            except OSError:  # the supervisor is gone, which is found next
                pass
            finally:
                self._sending.release()

    def _done(self) -> list[tuple[EntryId, int, int]]:
        with self._lock:
            at_work = list(self._sandboxes.items())
        told = [(entry, token, sandbox.records_done()) for (entry, token), sandbox in at_work]
        return [each for each in told if each[2]]

    def _say(self, frame: bytes) -> None:
        with self._sending, contextlib.suppress(OSError):  # when the supervisor is gone, serve() ends
            self._channel.sendall(frame)


def _cancelled(cpu_s: float) -> AttemptReport:
    error = {"code": "cancelled", "message": "it was cancelled while it ran", "hint": "Submit it again."}
    return AttemptReport("cancelled", error=error, cpu_s=cpu_s)


def main() -> None:
    """Serve the supervisor whose channel is the first argument."""
    from penstock.wiring.runner import open_runner
    from penstock.wiring.settings import read_settings

    fd, threads, supervisor = (int(argument) for argument in sys.argv[1:])
    die_with(supervisor, by=signal.SIGKILL)  # its leases will be somebody else's; what is below ends when this does
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=fd) as channel, open_runner(read_settings(os.environ), threads=threads) as parts:
        Runner(channel, parts, threads=threads).serve()
    os._exit(0)  # threads may still be at work for nobody


if __name__ == "__main__":
    main()
