"""A supervisor's side of its runners: starting them, what each has at hand, and what they say."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from penstock.core import limits
from penstock.core.errors import Bug
from penstock.core.jobs import EntryId, Lease
from penstock.core.settings import Settings
from penstock.core.work import Assignment
from penstock.worker import messages
from penstock.worker.messages import Frame

_KEPT_BACK: Final = ("PENSTOCK_API_KEY",)  # a runner has no business with it
_BACK_OFF_FIRST_S: Final = 0.2
_BACK_OFF_MOST_S: Final = 30.0
_STEADY_S: Final = 30.0  # one that lived so long starts again at once
_RECEIVE_BYTES: Final = 2**18
_SEND_TIMEOUT_S: Final = 5.0
_END_S: Final = 3.0


class RunnerLost(Exception):
    """A runner has ended, or does not listen any more."""


@dataclass(slots=True)
class Runner:
    """One runner process, started again when it dies.

    Attributes:
        threads: how many attempts it runs at once.
        level: what its sandbox reached; None before it is ready.
        at_hand: its attempts by entry and token, in the order in which they were sent; the first `threads` of them
            have begun.
        guest: the one in its guest place, beside those; it has begun, too.
    """

    number: int
    threads: int
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    channel: socket.socket | None = None
    level: str | None = None
    at_hand: dict[tuple[EntryId, int], Lease] = field(default_factory=dict)
    guest: Lease | None = None
    started_s: float = 0.0
    heard_s: float = 0.0
    again_s: float = 0.0
    _pause_s: float = 0.0
    _scripts: set[str] = field(default_factory=set)
    _frames: messages.Frames = field(default_factory=messages.Frames)

    @property
    def ready(self) -> bool:
        """Whether it takes work."""
        return self.level is not None

    @property
    def room(self) -> int:
        """How many more attempts it takes: one waits beside those that run, so that no thread waits for the next."""
        return self.threads + 1 - len(self.at_hand) if self.ready else 0

    def start(self) -> None:
        """Start the process, exec'd: a fork of a process with threads would inherit their locks."""
        self.started_s = self.heard_s = time.monotonic()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        kept = {name: value for name, value in self.environment.items() if name not in _KEPT_BACK}
        with theirs:
            fd = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "penstock.worker.runner", str(fd), str(self.threads), str(os.getpid())],
                pass_fds=[fd],
                env=kept,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the supervisor, which drains
            )
        ours.settimeout(_SEND_TIMEOUT_S)
        self.channel = ours
        self.level = None
        self._scripts.clear()
        self._frames = messages.Frames()

    @property
    def begun(self) -> list[Lease]:
        """The attempts that run."""
        return [*list(self.at_hand.values())[: self.threads], *([self.guest] if self.guest else [])]

    @property
    def not_begun(self) -> list[Lease]:
        """The attempts that wait for those before them."""
        return list(self.at_hand.values())[self.threads :]

    @property
    def all_at_hand(self) -> list[Lease]:
        """What it has at hand, begun or not."""
        return [*self.at_hand.values(), *([self.guest] if self.guest else [])]

    def send(self, assignment: Assignment, *, guest: bool = False) -> None:
        """Give it an attempt, into the guest place if it is a guest.

        Raises:
            RunnerLost: when it does not listen.
        """
        parts = []
        key = messages.script_key(assignment)
        if assignment.script is not None and key not in self._scripts:
            if len(self._scripts) >= limits.KNOWN_SCRIPTS.value:
                self._scripts.clear()
            self._scripts.add(key)
            parts.append(messages.script_frame(assignment, assignment.script))
        parts.append(messages.run_frame(assignment, guest=guest))
        if guest:
            self.guest = assignment.lease
        else:
            self.at_hand[assignment.lease.entry.id, assignment.lease.token] = assignment.lease
        self.say(b"".join(parts))

    def forget(self, entry: EntryId, token: int) -> bool:
        """Note that it does not have an attempt at hand any more; return whether that was its guest."""
        self.at_hand.pop((entry, token), None)
        if self.guest is None or (self.guest.entry.id, self.guest.token) != (entry, token):
            return False
        self.guest = None
        return True

    def say(self, frame: bytes) -> None:
        """Tell it something.

        Raises:
            RunnerLost: when it does not listen.
        """
        assert self.channel is not None, "only a started runner is spoken to"
        try:
            self.channel.sendall(frame)
        except OSError as error:
            raise RunnerLost from error

    def receive(self) -> list[Frame]:
        """Return what it has said; to be called when its channel is readable.

        Raises:
            RunnerLost: when it has ended, or talks nonsense.
        """
        assert self.channel is not None, "only a started runner is listened to"
        try:
            data = self.channel.recv(_RECEIVE_BYTES)
            if not data:
                raise RunnerLost
            self.heard_s = time.monotonic()
            return list(self._frames.feed(data))
        except (OSError, Bug, ValueError) as error:
            raise RunnerLost from error

    def is_stuck(self) -> bool:
        """Return whether it has said nothing for too long."""
        limit = limits.RUNNER_SILENT if self.ready else limits.RUNNER_READY
        return self.process is not None and time.monotonic() - self.heard_s > limit.value

    def bury(self) -> tuple[list[Lease], list[Lease], str]:
        """End what is left of the process; return what it had begun, what it had not, and how it ended."""
        begun, not_begun = self.begun, self.not_begun
        self.at_hand.clear()
        self.guest = None
        status = self.end()
        steady = time.monotonic() - self.started_s > _STEADY_S
        self._pause_s = 0.0 if steady else min(_BACK_OFF_MOST_S, max(_BACK_OFF_FIRST_S, 2 * self._pause_s))
        self.again_s = time.monotonic() + self._pause_s
        return begun, not_begun, _words(status)

    def end(self, *, gently: bool = False) -> int | None:
        """End the process with every child of its sandbox, and return its status."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        process, self.process, self.level = self.process, None, None
        if process is None:
            return None
        if gently:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
        if process.poll() is None:
            process.kill()
        return process.wait()


@contextlib.contextmanager
def started_runners(settings: Settings, *, count: int, threads: int) -> Iterator[Sequence[Runner]]:
    """Start runners, which get ready while their supervisor does; end those that are left.

    Args:
        settings: of the server that they belong to.
        count: how many.
        threads: how many attempts each runs at once.
    """
    environment = {**os.environ, "PENSTOCK_HOME": settings.home, "PENSTOCK_BLOBS": settings.blobs}
    runners = [Runner(number, threads, environment) for number in range(count)]
    try:
        for runner in runners:
            runner.start()
        yield runners
    finally:
        for runner in runners:
            runner.end()


def _words(status: int | None) -> str:
    if status is None:
        return "it never started"
    if status >= 0:
        return f"exit code {status}"
    return next((each.name for each in signal.Signals if each == -status), f"signal {-status}")
