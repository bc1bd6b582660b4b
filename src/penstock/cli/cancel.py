"""`penstock cancel`."""

from __future__ import annotations

import click

from penstock.cli.backfill_texts import backfill_lines
from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json


@click.command(name="cancel")
@click.argument("run")
@server_option
@json_option
def command(*, run: str, server: bool, as_json: bool) -> None:
    """End RUN, or all runs of a back-fill: what waits at once, what runs soon; nothing of it is published.

    \b
    Examples:
      penstock cancel run_01J... --server
      penstock cancel bf_01J... --server
    """
    with open_place(server=server) as place:
        if run.startswith("bf_"):
            found = place.cancel_backfill(run)
            lines = list(backfill_lines(found, (), flag=place.flag))
        else:
            found = place.cancel(run)
            stopped = "is stopping" if found["state"] != "cancelled" else "is cancelled"
            lines = [f"{found['id']} {stopped}; go on with it: penstock resume {found['id']}{place.flag}"]
    if as_json:
        print_json(found)
        return
    for line in lines:
        click.echo(line)
