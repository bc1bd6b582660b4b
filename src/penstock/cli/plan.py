"""`penstock plan`."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli.occasions import date_option, occasion_options, pipeline_argument
from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json
from penstock.cli.run_texts import plan_lines


@click.command(name="plan")
@pipeline_argument
@date_option
@occasion_options
@server_option
@json_option
def command(*, pipeline: str | None, date: str | None, asked: dict[str, Any], server: bool, as_json: bool) -> None:
    """Say what a run of PIPELINE would do now, task by task, and why; nothing is done.

    PIPELINE may be left out when the project has only one; on a server it may be PROJECT/PIPELINE.

    \b
    Examples:
      penstock plan
      penstock plan sales --date 2026-01-31
      penstock plan sales --select clean+ --json
    """
    with open_place(server=server) as place:
        found = place.plan(pipeline, {"date": date, **asked})
    if as_json:
        print_json(found)
        return
    for line in plan_lines(found):
        click.echo(line)
