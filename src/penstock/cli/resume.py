"""`penstock resume`."""

from __future__ import annotations

import click

from penstock.cli.following import follow_run
from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json


@click.command(name="resume")
@click.argument("run")
@click.option("--no-wait", is_flag=True, help="With --server: do not wait for its end.")
@server_option
@json_option
def command(*, run: str, no_wait: bool, server: bool, as_json: bool) -> None:
    """Go on with RUN, which failed or was stopped: only what did not succeed runs again, and what follows it.

    RUN is an id, or `last`.

    \b
    Examples:
      penstock resume run_01J...
      penstock resume last
    """
    if no_wait and not server:
        raise click.UsageError("--no-wait goes with --server: here, nobody else would carry it out.")
    with open_place(server=server) as place:
        begun = place.resume(run)
        if no_wait:
            print_json(begun) if as_json else click.echo(begun["id"])
            return
        follow_run(place, begun, as_json=as_json)
