"""Progress of long work: a bar on a terminal, a line now and then in a log. Always on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import click

from penstock.base.text import count, duration, harmless
from penstock.core import limits
from penstock.core.ports import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_LOG_EVERY_S: Final = 10.0


def choose_progress() -> Progress:
    """Return a bar where somebody watches, and lines where a log is kept."""
    return TerminalProgress() if sys.stderr.isatty() else LogProgress()


class Printing:
    """Shows what scripts print, up to a bound: for trying a script out."""

    def __init__(self) -> None:
        self._lines_left = limits.PRINTED_LINES.value

    def show(self, text: str) -> None:
        """Print the first lines, without their control characters, then say that there are more."""
        for line in text.splitlines():
            if self._lines_left == 0:
                click.echo("script: (more is printed, and not shown)", err=True)
            self._lines_left -= 1
            if self._lines_left >= 0:
                click.echo(f"script: {harmless(line)}", err=True)


class LogProgress:
    """One line every ten seconds."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._records = 0
        self._total_bytes: int | None = None
        self._started_s = self._said_s = clock_s()
        self._printing = Printing()

    def begin(self, total_bytes: int | None) -> None:
        """Start counting."""
        self._total_bytes = total_bytes

    def advance(self, *, records: int, read_bytes: int) -> None:
        """Count, and say where the work stands when it is time."""
        self._records += records
        now_s = self._clock_s()
        if now_s - self._said_s < _LOG_EVERY_S:
            return
        self._said_s = now_s
        elapsed_s = now_s - self._started_s
        line = f"{count(self._records, 'record')}, {self._records / elapsed_s:,.0f}/s"
        if self._total_bytes and read_bytes:
            left_s = elapsed_s * max(0, self._total_bytes - read_bytes) / read_bytes
            line += f", {min(1.0, read_bytes / self._total_bytes):.0%} read, about {duration(left_s)} left"
        click.echo(line, err=True)

    def printed(self, text: str) -> None:
        """Show what a script printed."""
        self._printing.show(text)

    def end(self) -> None:
        """Do nothing: the account follows."""


class TerminalProgress:
    """A bar: how much of the input has been read, records, rate, time left."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._printing = Printing()
        self._records = 0

    def begin(self, total_bytes: int | None) -> None:
        """Show the bar, which moves by itself when the size of the input is not known."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = [
            SpinnerColumn(),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
        ]
        if total_bytes:
            columns += [TextColumn("left"), TimeRemainingColumn()]
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._bar.add_task("", total=total_bytes, words="")
        self._started_s = time.monotonic()

    def advance(self, *, records: int, read_bytes: int) -> None:
        """Move the bar."""
        self._records += records
        rate = self._records / max(time.monotonic() - self._started_s, 1e-3)
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0], completed=read_bytes, words=f"{count(self._records, 'record')} {rate:,.0f}/s"
            )

    def printed(self, text: str) -> None:
        """Show what a script printed, above the bar."""
        self._printing.show(text)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextlib.contextmanager
def transfer_progress(verb: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """Give what shows how much of a file has been sent or fetched; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = [TextColumn(verb), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class JobProgress:
    """What becomes of a job: a bar on a terminal, a line for each change of state in a log."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._state = ""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = [SpinnerColumn(), BarColumn(), TextColumn("{task.fields[words]}"), TimeElapsedColumn()]
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task("", total=None, words="")

    def tell(self, *, state: str, counts: Mapping[str, int | None], waiting: str | None) -> None:
        """Show where a job stands."""
        records = count(counts["records"] or 0, "record")
        words = f"{state}: {harmless(waiting)}" if waiting else f"{state}, {records}"
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0], completed=counts["chunks_done"] or 0, total=counts["chunks"], words=words
            )
        elif state != self._state:
            click.echo(words, err=True)
        self._state = state

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
