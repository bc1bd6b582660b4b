"""`penstock resume`."""

from __future__ import annotations

import click

from penstock.cli.following import follow_backfill, follow_run
from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json


@click.command(name="resume")
@click.argument("run")
@click.option("--no-wait", is_flag=True, help="With --server: do not wait for its end.")
@server_option
@json_option
def command(*, run: str, no_wait: bool, server: bool, as_json: bool) -> None:
    """Go on with RUN, which failed or was stopped: only what did not succeed runs again, and what follows it.

    RUN is the id of a run or of a back-fill, or `last`, the newest run.

    \b
    Examples:
      penstock resume run_01J...
      penstock resume last
      penstock resume bf_01J...
    """
    if no_wait and not server:
        raise click.UsageError("--no-wait goes with --server: here, nobody else would carry it out.")
    with open_place(server=server) as place:
        is_backfill = run.startswith("bf_")
        begun = place.resume_backfill(run) if is_backfill else place.resume(run)
        if no_wait:
            print_json(begun) if as_json else click.echo(begun["id"])
            return
        follow = follow_backfill if is_backfill else follow_run
        follow(place, begun, as_json=as_json)
