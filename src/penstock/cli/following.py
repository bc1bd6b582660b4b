"""Following a run on a terminal until it has ended, and what Ctrl-C does meanwhile."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli.live import RunView
from penstock.cli.rejected import rejected_records
from penstock.cli.rows import print_json
from penstock.cli.run_texts import run_lines
from penstock.cli.stopped import Stopped

if TYPE_CHECKING:
    from penstock.cli.place import Place, View

FAILED: Final = 2
_INTERRUPTED: Final = 130


def follow_run(place: Place, run: View, *, as_json: bool) -> None:
    """Show a run until it has ended, then what became of it; the exit code says whether it succeeded.

    Here, Ctrl-C asks the run to stop. A run on a server goes on without whoever watches it.
    """
    run_id = run["id"]
    with RunView(drawn=False if as_json else None) as view:
        ended, interrupted = _until_end(
            lambda: place.follow(run_id, view.tell if not as_json else _nothing),
            lambda: _ask_to_stop(place, run_id, view),
            resume=_later(place, run_id),
        )
    if ended is None:
        click.echo(f"the run goes on; see: penstock status {run_id}{place.flag}", err=True)
        sys.exit(_INTERRUPTED)
    if as_json:
        print_json(ended)
    else:
        for line in run_lines(ended, flag=place.flag, rejected=rejected_records(place, ended)):
            click.echo(line)
    if ended["state"] != "succeeded":
        sys.exit(_INTERRUPTED if interrupted else FAILED)


def follow_backfill(place: Place, backfill: View, *, as_json: bool) -> None:
    """Show a back-fill until all of its runs have ended; the exit code says whether all of them succeeded."""
    from penstock.cli.backfill_texts import BackfillView, backfill_lines

    name = backfill["id"]
    with BackfillView(drawn=False if as_json else None) as view:
        ended, interrupted = _until_end(
            lambda: place.follow_backfill(name, view.tell if not as_json else _nothing),
            lambda: _ask_all_to_stop(place, name, view),
            resume=_later(place, name),
        )
    if ended is None:
        click.echo(f"the back-fill goes on; see: penstock status {name}{place.flag}", err=True)
        sys.exit(_INTERRUPTED)
    failed = place.runs(limit=20, backfill=name, state="failed")
    if as_json:
        print_json({**ended, "failed": list(failed)})
    else:
        for line in backfill_lines(ended, failed, flag=place.flag):
            click.echo(line)
    if set(ended["counts"]) - {"succeeded"}:
        sys.exit(_INTERRUPTED if interrupted else FAILED)


def _until_end(follow: Callable[[], View], stop: Callable[[], bool], *, resume: str) -> tuple[View | None, bool]:
    """Return what has ended, and whether Ctrl-C was pressed; None when it goes on elsewhere.

    Raises:
        Stopped: with the words `resume`, when this process has to end at once.
    """
    try:
        return follow(), False
    except Stopped as stopped:
        raise Stopped(resume) from stopped
    except KeyboardInterrupt:
        return (follow() if stop() else None), True


def _later(place: Place, name: str) -> str:
    if place.flag:
        return f"it goes on; see: penstock status {name}{place.flag}"
    return f"go on later with: penstock resume {name}"


def _ask_to_stop(place: Place, run: str, view: RunView) -> bool:
    from penstock.core.errors import Conflict

    if place.flag:
        return False
    view.say(f"stopping; go on later with: penstock resume {run}   (Ctrl-C again leaves at once)")
    with contextlib.suppress(Conflict):  # it has ended meanwhile
        place.cancel(run)
    return True


def _ask_all_to_stop(place: Place, backfill: str, view: Any) -> bool:
    if place.flag:
        return False
    view.say("stopping; dates that are done stay done   (Ctrl-C again leaves at once)")
    place.cancel_backfill(backfill)
    return True


def _nothing(_thing: View) -> None:
    """Show nothing: the answer will be JSON."""
