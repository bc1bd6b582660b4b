"""A run while it is carried out: tasks on a terminal, a line for what changes in a log. Always on standard error."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import click

from penstock.base.text import count, harmless, size
from penstock.cli.run_texts import COLOURS, aligned, figures, run_took, took
from penstock.core.runs import TASK_ENDED

if TYPE_CHECKING:
    from rich.live import Live

View = Mapping[str, Any]
Now = Callable[[], dt.datetime]
_SIGNS: Final = {
    "succeeded": "✓",
    "skipped": "-",
    "failed": "✗",
    "blocked": "!",
    "cancelled": "!",
    "queued": "·",
    "waiting": "·",
}
_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SPIN_S: Final = 0.1
_BAR: Final = 12
_LOG_EVERY_S: Final = 10.0
_LINES_LEFT: Final = 4  # of the terminal, for what stands around the tasks


def watches() -> bool:
    """Return whether somebody looks at a terminal that can be drawn on."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class RunView:
    """Shows a run. A context: what it has drawn is taken away at the end, since an account follows."""

    def __init__(self, *, drawn: bool | None = None, now: Now = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._drawn = watches() if drawn is None else drawn
        self._now = now
        self._live: Live | None = None
        self._states: dict[str, str] = {}
        self._said_s = time.monotonic()

    def __enter__(self) -> Self:
        if self._drawn:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, run: View) -> None:
        """Show where a run stands, with the `progress` of its tasks."""
        if self._live is not None:
            from rich.text import Text

            room = shutil.get_terminal_size().lines - _LINES_LEFT
            lines = live_lines(run, now=self._now(), lines_max=max(room, 3), turn=int(time.monotonic() / _SPIN_S))
            text = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis")
            self._live.update(text, refresh=True)
            return
        for line in self._news(run):
            click.echo(line, err=True)

    def say(self, text: str) -> None:
        """Say something besides, above what is drawn."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)

    def _news(self, run: View) -> Iterator[str]:
        clock = self._now().strftime("%H:%M:%S")
        for task in run["tasks"]:
            if self._states.get(task["name"], "waiting") != task["state"]:
                self._states[task["name"]] = task["state"]
                if task["state"] != "queued":
                    yield f"{clock} {_news_of(task)}"
        if time.monotonic() - self._said_s >= _LOG_EVERY_S:
            self._said_s = time.monotonic()
            for task in run["tasks"]:
                if task["state"] == "running" and (words := _doing(task, run["progress"], self._now(), bar=False)):
                    yield f"{clock} {task['name']} {words}"


def live_lines(run: View, *, now: dt.datetime, lines_max: int, turn: int) -> list[str]:
    """Return a run as lines: what it is, then a line for each task.

    Args:
        run: with the progress of its tasks.
        now: the time.
        lines_max: tasks that have ended, and then those that wait, are summed up when there are more.
        turn: which way the spinner looks.
    """
    day = f" {run['date']}" if run["date"] else ""
    asked = ", stopping" if run["cancel_asked_at"] else ""
    head = click.style(f"{harmless(run['pipeline'])}{day}", bold=True)
    lines = [
        f"{head}  {run['id']}  {run['state']}{asked}  {run_took(run, now=now) if run['started_at'] else ''}".rstrip()
    ]
    tasks = _fitting(run["tasks"], lines_max)
    unended = {task["name"] for task in run["tasks"] if task["state"] not in TASK_ENDED}
    cells = [[t["name"], t["kind"], _words(t, run["progress"], now, unended), took(t, now=now)] for t in tasks]
    for task, line in zip(tasks, aligned(cells) if cells else [], strict=True):
        sign = _SPINNER[turn % len(_SPINNER)] if task["state"] == "running" else _SIGNS[task["state"]]
        lines.append(f" {click.style(sign, fg=COLOURS[task['state']])} {line}")
    if len(tasks) < len(run["tasks"]):
        shown = {task["name"] for task in tasks}
        rest = [task["state"] for task in run["tasks"] if task["name"] not in shown]
        said = ", ".join(f"{rest.count(state)} {state}" for state in sorted(set(rest)))
        lines.append(f"   and {len(rest)} more: {said}")
    return lines


def _fitting(tasks: Sequence[View], lines_max: int) -> list[View]:
    """Return the tasks that are shown, in their order: those that run or failed before all others."""
    if len(tasks) <= lines_max:
        return list(tasks)
    ranks = {"running": 0, "failed": 1, "blocked": 2, "queued": 3, "waiting": 4}
    ranked = sorted(tasks, key=lambda task: ranks.get(task["state"], 5))[: lines_max - 1]
    return [task for task in tasks if task in ranked]


def _words(task: View, progress: Sequence[View], now: dt.datetime, unended: Collection[str]) -> str:
    if task["state"] == "running":
        return _doing(task, progress, now)
    if task["state"] == "failed":
        return harmless(str((task["error"] or {}).get("message", "failed")))
    if task["state"] == "succeeded":
        return figures(task)
    if task["state"] == "waiting" and (before := [name for name in task["after"] if name in unended]):
        return f"waits for {', '.join(before)}"
    return harmless(task["reason"])


def _doing(task: View, progress: Sequence[View], now: dt.datetime, *, bar: bool = True) -> str:
    """Return how far a running task has come: what is done, of how much, how fast."""
    mine = [each for each in progress if each["task"] == task["name"]]
    if not mine:
        return figures(task)
    done, unit = sum(each["done"] for each in mine), mine[0]["unit"]
    totals = [each["total"] for each in mine]
    total = None if None in totals or task["items"] else sum(totals)
    words = [_amount(done, unit)]
    if total is not None:
        drawn = f"{_bar(done, total)} " if bar else ""
        words = [f"{drawn}{words[0]} of {size(total) if unit == 'bytes' else f'{total:,}'}"]
    elapsed_s = (now - dt.datetime.fromisoformat(task["started_at"])).total_seconds() if task["started_at"] else 0
    if elapsed_s > 1 and done:
        words.append(f"{size(done / elapsed_s)}/s" if unit == "bytes" else f"{done / elapsed_s:,.0f}/s")
    if task["items"] is not None:
        words.append(f"{task['items_done']:,} of {count(task['items'], 'item')}")
    return "  ".join(words)


def _amount(done: int, unit: str) -> str:
    return size(done) if unit == "bytes" else count(done, unit.removesuffix("s"))


def _bar(done: int, total: int) -> str:
    filled = _BAR if total <= 0 else min(_BAR, _BAR * done // total)
    return "█" * filled + "░" * (_BAR - filled)


def _news_of(task: View) -> str:
    state = click.style(task["state"], fg=COLOURS[task["state"]])
    words = f"{harmless(task['name'])} {state}"
    if task["state"] == "failed" and task["error"]:
        return f"{words}: {harmless(str(task['error'].get('message', '')))}"
    if task["state"] == "succeeded":
        done, time_ = figures(task), took(task)
        return f"{words}{': ' if done else ''}{done}{f' in {time_}' if time_ else ''}"
    if task["state"] == "running" and task["attempt"] > 1:
        return f"{words}, attempt {task['attempt']}"
    return f"{words}: {harmless(task['reason'])}" if task["reason"] and task["state"] in TASK_ENDED else words
