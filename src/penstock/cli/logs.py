"""`penstock logs`."""

from __future__ import annotations

import time
from typing import Final

import click
import orjson

from penstock.base.nearest import nearest
from penstock.cli.place import Place, json_option, open_place, server_option
from penstock.cli.run_texts import log_line
from penstock.core.errors import NotFound

_LOOK_S: Final = 0.5


@click.command(name="logs")
@click.argument("run")
@click.argument("task", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@server_option
@json_option
def command(*, run: str, task: str | None, follow: bool, server: bool, as_json: bool) -> None:
    """Print what the tasks of RUN have said, or one TASK of it; with --json a line of JSON each.

    RUN is an id, or `last`.

    \b
    Examples:
      penstock logs last
      penstock logs run_01J... clean
      penstock logs run_01J... --follow --server
    """
    with open_place(server=server) as place:
        after = _say(place, run, task, 0, as_json=as_json)
        while follow and not place.read(run)["ended"]:
            time.sleep(_LOOK_S)
            after = _say(place, run, task, after, as_json=as_json)
        if not _say(place, run, task, after, as_json=as_json):
            _require_task(place, run, task)
            if not as_json:
                click.echo("nothing was said", err=True)


def _require_task(place: Place, run: str, task: str | None) -> None:
    """Raise when the run has no such task."""
    names = [each["name"] for each in place.read(run)["tasks"]]
    if task is not None and task not in names:
        raise NotFound(f"{run} has no task {task!r}", hint=nearest(task, names))


def _say(place: Place, run: str, task: str | None, after: int, *, as_json: bool) -> int:
    """Print what was said after a line, and return the number of the last one."""
    for line in place.logs(run, task=task, after=after):
        click.echo(orjson.dumps(line).decode() if as_json else log_line(line))
        after = line["cursor"]
    return after
