"""Back-fills on a terminal: how many dates are done, while they are, and afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import click

from penstock.base.text import count, harmless
from penstock.cli.live import watches
from penstock.cli.run_texts import COLOURS

if TYPE_CHECKING:
    from rich.progress import Progress

View = Mapping[str, Any]
_ENDED: Final = ("succeeded", "failed", "cancelled")


class BackfillView:
    """Shows a back-fill: a bar on a terminal, a line for what changes in a log. On standard error."""

    def __init__(self, *, drawn: bool | None = None) -> None:
        self._drawn = watches() if drawn is None else drawn
        self._bar: Progress | None = None
        self._said = ""

    def __enter__(self) -> Self:
        if self._drawn:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
            from rich.progress import TimeRemainingColumn as Left

            columns = [BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"), TimeElapsedColumn()]
            self._bar = Progress(*columns, TextColumn("left"), Left(), console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task("", total=None, words="")
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, backfill: View) -> None:
        """Show where a back-fill stands."""
        words = counts_words(backfill["counts"])
        if self._bar is not None:
            done = sum(backfill["counts"].get(state, 0) for state in _ENDED)
            total = sum(backfill["counts"].values())
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, words=click.unstyle(words))
        elif words != self._said:
            click.echo(f"{backfill['id']}: {words}", err=True)
        self._said = words

    def say(self, text: str) -> None:
        """Say something besides, above what is drawn."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)


def backfill_lines(backfill: View, failed: Sequence[View], *, flag: str = "") -> Iterator[str]:
    """Yield a back-fill: what it is for, how many of its dates are in each state, and the runs that failed."""
    yield f"back-fill  {backfill['id']}  {counts_words(backfill['counts'])}"
    days = f"{backfill['date_from']} to {backfill['date_to']}, at most {backfill['parallel']} at once"
    yield f"pipeline   {harmless(backfill['pipeline'])} of {harmless(backfill['project'])}, {days}"
    for run in failed:
        error = run["error"] or {}
        why = f": {harmless(str(error['message']))[:120]}" if error.get("message") else ""
        yield f"{click.style('failed', fg='red')}     {run['date']}  {run['id']}{why}"
    if failed:
        yield f"next       penstock status {failed[0]['id']}{flag}   penstock resume {failed[0]['id']}{flag}"


def counts_words(counts: Mapping[str, int]) -> str:
    """Return how many runs are in each state."""
    order = ("succeeded", "running", "queued", "failed", "cancelled")
    words = [click.style(f"{counts[state]:,} {state}", fg=COLOURS[state]) for state in order if counts.get(state)]
    return f"{count(sum(counts.values()), 'date')}: {', '.join(words) or 'nothing yet'}"
