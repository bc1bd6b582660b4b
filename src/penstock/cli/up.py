"""`penstock up`: the whole server with one command, the API and a worker as processes of their own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import click

from penstock.base.ids import new_id
from penstock.base.parents import die_with
from penstock.core import limits

_DOORS: Final = ("api", "worker")
_LOOK_S: Final = 0.1
_STEADY_S: Final = 5.0  # a process that lived so long starts again at once


@dataclass(slots=True)
class Door:
    """One process of the server, started again when it dies.

    Attributes:
        worker: its id, if it is a worker: the one that comes after it is told, and takes over at once.
    """

    name: str
    worker: str = ""
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    pause_s: float = 0.0
    again_s: float = field(default=0.0)

    def start(self) -> None:
        """Start the process; it gets a signal when this one dies, however that happens."""
        parent = os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penstock", self.name, *self._who()],
            start_new_session=True,  # Ctrl-C reaches this process, which then asks the others to drain
            preexec_fn=lambda: die_with(parent, by=signal.SIGTERM),
        )
        self.started_s = time.monotonic()

    def _who(self) -> list[str]:
        if self.name != "worker":
            return []
        dead, self.worker = self.worker, new_id("wrk")
        return ["--name", self.worker, *(["--after", dead] if dead else [])]

    def look(self) -> int | None:
        """Start the process again if it has died; return its exit code when that would not help."""
        now_s = time.monotonic()
        if self.process is None:
            if now_s >= self.again_s:
                self.start()
            return None
        code = self.process.poll()
        if code is None:
            return None
        if code == 2:
            return code
        self.pause_s = 0.0 if now_s - self.started_s > _STEADY_S else min(30.0, max(0.5, 2 * self.pause_s))
        when = f"in {self.pause_s:g} s" if self.pause_s else "at once"
        click.echo(f"{self.name} ended ({code}); it starts again {when}", err=True)
        self.process, self.again_s = None, now_s + self.pause_s
        if not self.pause_s:
            self.start()
        return None

    def ask_to_end(self) -> None:
        """Ask the process to finish what it does and end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self, *, deadline_s: float) -> None:
        """Wait for the end of the process; past the deadline it is not asked any more."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@click.command(name="up")
@click.option("--host", envvar="PENSTOCK_HOST", help="Where the API listens.  [127.0.0.1]")
@click.option(
    "--port", envvar="PENSTOCK_PORT", type=click.IntRange(0, 65535), help="Its port; 0 takes a free one.  [8400]"
)
def command(*, host: str | None, port: int | None) -> None:
    """Start everything: the HTTP API and a worker, with all state in ./.penstock.

    The first start prints a token for `penstock login`. Ctrl-C finishes what runs, within half a minute, and puts the
    rest back into the queue.

    \b
    Examples:
      penstock up
      penstock up --port 8500
      PENSTOCK_DATABASE_URL=postgresql+psycopg://penstock@db/penstock penstock up
    """
    if host:
        os.environ["PENSTOCK_HOST"] = host
    if port is not None:
        os.environ["PENSTOCK_PORT"] = str(port)
    _prepare()
    doors = [Door(name) for name in _DOORS]
    with _stopping() as stop:
        try:
            sys.exit(_watch(doors, stop))
        finally:
            _drain(doors, stop)


def _prepare() -> None:
    """Create what is not there yet, and say where everything is."""
    from penstock.cli.api import listen
    from penstock.cli.connection import login_command
    from penstock.wiring.server import open_server
    from penstock.wiring.settings import read_settings

    settings = read_settings(os.environ)
    # Before anything is said: a port that another server has would make all of it wrong.
    with listen(settings.host, settings.port) as probe:
        os.environ["PENSTOCK_PORT"] = str(probe.getsockname()[1])
    settings = read_settings(os.environ)
    with open_server(settings, create=True) as server:
        token = server.workspaces.ensure_first()
    url = settings.url
    click.echo(f"{click.style('Penstock', bold=True)} at {click.style(url, fg='cyan')}  (API: {url}/api/v1)")
    click.echo(f"state in {settings.home}" if settings.embedded else f"blobs in {settings.blobs}")
    if token:
        login = login_command(url, token)
        click.echo(f"first start: you are the admin of the workspace `default`. Within a day, once:\n  {login}")
    click.echo("Ctrl-C finishes what runs and ends.")


def _watch(doors: list[Door], stop: list[int]) -> int:
    for door in doors:
        door.start()
    while not stop:
        for door in doors:
            if (code := door.look()) is not None:
                return code
        _sleep(doors)
    return 0


def _sleep(doors: list[Door]) -> None:
    """Return after a moment; at once when a process ends."""
    with contextlib.ExitStack() as stack:
        ends = []
        for door in doors:
            with contextlib.suppress(OSError):  # it is no more, or the kernel has no such thing
                if door.process is not None:
                    ends.append(stack.enter_context(open(os.pidfd_open(door.process.pid), closefd=True)).fileno())
        select.select(ends, [], [], _LOOK_S)


def _drain(doors: list[Door], stop: list[int]) -> None:
    if stop:
        click.echo("\nfinishing what runs; Ctrl-C once more ends at once", err=True)
    for door in doors:
        door.ask_to_end()
    deadline_s = time.monotonic() + limits.DRAIN.value + 5
    for door in doors:
        while door.process is not None and door.process.poll() is None and len(stop) < 2:
            if time.monotonic() > deadline_s:
                break
            time.sleep(_LOOK_S)
        door.end(deadline_s=time.monotonic())


@contextlib.contextmanager
def _stopping() -> Iterator[list[int]]:
    """Collect the signals that ask this process to end."""
    caught: list[int] = []
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda number, _frame: caught.append(number)) for number in asked]
    try:
        yield caught
    finally:
        for number, handler in zip(asked, before, strict=True):
            signal.signal(number, handler)
