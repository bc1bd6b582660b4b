"""`penstock run`."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli.following import follow_run
from penstock.cli.occasions import date_option, occasion_options, pipeline_argument, server_run_options
from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json


@click.command(name="run")
@pipeline_argument
@date_option
@occasion_options
@server_run_options
@server_option
@json_option
def command(
    *, pipeline: str | None, date: str | None, asked: dict[str, Any], no_wait: bool, server: bool, as_json: bool
) -> None:
    """Run PIPELINE: what is not up to date, in order, and publish its tables together once all checks have passed.

    Everything happens in this process, with its state in .penstock/local, unless --server is given. Exit code 2 when it
    failed; then readers of its tables still see what they saw before. Ctrl-C asks it to stop.

    \b
    Examples:
      penstock run
      penstock run sales --date 2026-01-31 --param region=south
      penstock run sales --select clean+ --again
      penstock run shop/sales --server
    """
    with open_place(server=server) as place:
        run = place.start(pipeline, {"date": date, **asked})
        if no_wait:
            print_json(run) if as_json else click.echo(run["id"])
            return
        follow_run(place, run, as_json=as_json)
