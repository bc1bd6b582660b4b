"""Twins for worker tests: runners that are threads of this process, and a use case whose queue is a list."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.core.access import Policy, WorkspaceId
from penstock.core.errors import DatabaseUnavailable, SandboxUnavailable
from penstock.core.jobs import Entry, EntryId, JobInput, Lane, Lease, small_blob
from penstock.core.plan import RunId
from penstock.core.scripts import Chunk, ScriptVersion
from penstock.core.work import Assignment, Ended, Held, Message, Round, Told, WorkerState
from penstock.storage.blobs.memory import MemoryBlobs
from penstock.storage.job_files import JobFiles
from penstock.worker.runner import Runner as Inside
from penstock.worker.runners import Runner as Outside
from tests.twins import TwinReader, TwinRunner, TwinSandbox, chunk_of

SCRIPT = ScriptVersion("s.py", b"", "python", "std")
_NOTHING_TOLD = Told()
STATE = WorkerState("wrk_1", "host", 1, "active", 2, 0, "none", 0.0)


class PatientRunner(TwinRunner):
    """A script whose record `wait` goes on until it is stopped or let go, and whose record `boom` is a bug."""

    def __init__(self) -> None:
        super().__init__()
        self.going = threading.Event()
        self.stopped_ = threading.Event()
        self.begun = threading.Semaphore(0)
        self.done = [0]  # shared by all that wait

    def run(self, chunk: Chunk, **options: Any) -> Any:
        """Return what the fates say, once nothing holds it up."""
        if b"boom" in chunk.payload:
            raise ZeroDivisionError
        if b"wait" in chunk.payload:
            self.begun.release()
            while not self.going.wait(0.005):
                if self.stopped_.is_set():
                    raise SandboxUnavailable("the work was stopped", hint="Run it again.")
        return super().run(chunk, **options)


class PatientSandbox(TwinSandbox):
    """A Sandbox for one part: every line of the input is a record."""

    def __init__(self, runner: PatientRunner) -> None:
        super().__init__(runner)

    def open_input(self, file: Any, *, chunk_records: int, as_arrow: bool) -> Any:
        """Give the lines of the input."""
        lines = os.pread(file.fd, 2**20, 0).splitlines()
        return contextlib.nullcontext(TwinReader([chunk_of(*lines, name=file.name)]))

    def records_done(self) -> int:
        """Say what was put there."""
        assert isinstance(self.runner, PatientRunner)
        return self.runner.done[0]

    def take_cpu_s(self) -> float:
        """Say that it was a moment."""
        return 0.125

    def stop(self) -> None:
        """Stop the script."""
        assert isinstance(self.runner, PatientRunner)
        self.runner.stopped_.set()


MESSAGE = Message("msg_1", "https://example.org/hook", b"{}", b"secret", Policy())


class TwinEgress:
    """A way out that leads to a list."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def check(self, url: str, *, policy: Policy) -> Any:
        """Let everything through."""

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str], policy: Policy, timeout_s: float | None = None
    ) -> int:
        """Keep where it goes."""
        self.sent.append(url)
        return 200


@dataclass
class TwinParts:
    """What a runner reaches, all in memory."""

    script: PatientRunner = field(default_factory=PatientRunner)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    egress: TwinEgress = field(default_factory=TwinEgress)
    late: dict[WorkspaceId, float] = field(default_factory=dict)

    def report(self) -> Any:
        """Say that all is well."""
        return TwinSandbox().report()

    def sandbox(self, _workspace: WorkspaceId) -> PatientSandbox:
        """Return the sandbox of a part; each has a script of its own to stop."""
        runner = PatientRunner()
        runner.going, runner.begun, runner.done = self.script.going, self.script.begun, self.script.done
        return PatientSandbox(runner)

    def take_late(self) -> Mapping[WorkspaceId, float]:
        """Return what was put here."""
        late, self.late = self.late, {}
        return late

    def files(self, assignment: Assignment) -> JobFiles:
        """Return the files of a part."""
        return JobFiles(self.blobs, assignment)


@dataclass(slots=True)
class ThreadRunner(Outside):
    """A runner whose process is a thread; `die` cuts its channel as a kill would."""

    parts: TwinParts = field(default_factory=TwinParts)
    starts: int = 0

    def start(self) -> None:
        """Start the thread."""
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(5)
        self.started_s = self.heard_s = time.monotonic()
        self.starts += 1
        self.process = _Thread(theirs)  # type: ignore[assignment]  # what of a process is used
        self._scripts.clear()
        self._frames = type(self._frames)()
        inside = Inside(theirs, self.parts, threads=self.threads)

        def serve() -> None:
            with theirs:
                inside.serve()

        threading.Thread(target=serve, daemon=True).start()

    def die(self) -> None:
        """End it amid its work."""
        assert self.process is not None
        self.process.kill()


class _Thread:
    """What stands for a process."""

    pid = -1

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def poll(self) -> int | None:
        return None

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # it has ended by itself
            self._channel.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout: float | None = None) -> int:
        return -9


@dataclass
class TwinWork:
    """A worker's use case over a list of attempts.

    Attributes:
        waiting: attempts to give out.
        ended: what was recorded.
        released: what was given back, with the reason.
        down: whether the database is.
        lost: entries whose lease has expired.
        cancelled: runs that are to end.
    """

    waiting: deque[Assignment] = field(default_factory=deque)
    ended: list[Ended] = field(default_factory=list)
    released: list[tuple[str, str]] = field(default_factory=list)
    rounds: list[tuple[int, int]] = field(default_factory=list)
    beats: list[tuple[WorkerState, int]] = field(default_factory=list)
    down: bool = False
    poison: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    left: bool = False
    late: list[tuple[WorkspaceId, float]] = field(default_factory=list)
    done: list[tuple[EntryId, int]] = field(default_factory=list)
    given: dict[EntryId, Assignment] = field(default_factory=dict)
    running: dict[EntryId, WorkspaceId] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _lock: Any = field(default_factory=threading.Lock)

    def add(
        self, *contents: bytes, part: Any = "whole", workspace: str = "ws_1", message: Message | None = None
    ) -> list[EntryId]:
        """Queue a job for each content, and return the ids of their entries; their leases have run out."""
        entries = []
        for content in contents:
            number = next(self._numbers)
            pointer = small_blob(f"ws_1/inputs/{number}", content)
            entry = Entry(
                EntryId(f"att_{number}"), WorkspaceId(workspace), Lane("scr_1"), RunId(f"job_{number}"), "script", part
            )
            assignment = Assignment(
                Lease(entry, 1, "wrk_1", 0.0, 2.0),
                f"ws_1/jobs/job_{number}/",
                JobInput(pointer),
                version_id="h",
                script=SCRIPT,
                small={pointer.key: content},
                errors_max="100%",
                message=message,
            )
            self.waiting.append(assignment)
            entries.append(entry.id)
        return entries

    def lend_again(self, entry: EntryId, content: bytes) -> None:
        """Queue an entry again that was given out, for a new lease, with another input."""
        taken = self.given[entry]
        lease, pointer = replace(taken.lease, token=taken.lease.token + 1), small_blob("ws_1/inputs/again", content)
        self.waiting.append(replace(taken, lease=lease, input=JobInput(pointer), small={pointer.key: content}))

    def round(self, worker: str, ended: Sequence[Ended], *, count: int, guests: bool = False) -> Round:
        """Record ends and give out attempts."""
        with self._lock:
            self._require_up()
            for each in ended:
                if each.lease.entry.id in self.poison and each.report.outcome != "crashed":
                    raise ZeroDivisionError("a report that cannot be recorded")
            self.rounds.append((len(ended), count))
            refused = tuple(each.lease.entry.id for each in ended if each.lease.entry.id in self.lost)
            self.ended += [each for each in ended if each.lease.entry.id not in refused]
            for each in ended:
                self.running.pop(each.lease.entry.id, None)
            takeable = [each for each in self.waiting if not (guests and self._runs(each))][:count]
            for taken in takeable:
                self.waiting.remove(taken)
                self.given[taken.lease.entry.id] = taken
                self.running[taken.lease.entry.id] = taken.lease.entry.workspace
            return Round(tuple(takeable), refused)

    def heartbeat(self, worker: WorkerState, leases: Sequence[Lease], *, told: Told = _NOTHING_TOLD) -> Held:
        """Say which leases are held."""
        with self._lock:
            self._require_up()
            self.late += told.late
            self.done += [(entry.id, records) for entry, records in told.done]
            self.beats.append((worker, len(leases)))
            until_s = time.time() + 60
            held = tuple(replace(lease, expires_at=until_s) for lease in leases if lease.entry.id not in self.lost)
            return Held(held, frozenset(RunId(run) for run in self.cancelled))

    def release(self, worker: str, leases: Sequence[Lease], *, reason: str) -> None:
        """Take leases back."""
        with self._lock:
            self._require_up()
            self.released += [(lease.entry.id, reason) for lease in leases]
            for lease in leases:
                self.running.pop(lease.entry.id, None)

    def leave(self, worker: str) -> None:
        """Note it."""
        self._require_up()
        self.left = True

    def wait(self, timeout_s: float) -> None:
        """Return when there is something, or the time is up."""
        deadline_s = time.monotonic() + timeout_s
        while not self.waiting and time.monotonic() < deadline_s:
            time.sleep(0.002)

    def outcomes(self) -> dict[str, str]:
        """Return how each entry ended."""
        return {each.lease.entry.id: each.report.outcome for each in self.ended}

    def _runs(self, assignment: Assignment) -> bool:
        return assignment.lease.entry.workspace in self.running.values()

    def _require_up(self) -> None:
        if self.down:
            raise DatabaseUnavailable("the database is down", hint="Start it.")
