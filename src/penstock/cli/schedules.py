"""`penstock schedules`."""

from __future__ import annotations

import click

from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json, print_rows
from penstock.cli.run_texts import moment

_COLUMNS = ["project", "pipeline", "cron", "timezone", "state", "last_date", "next_at"]


@click.group(name="schedules", invoke_without_command=True)
@server_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, server: bool, as_json: bool) -> None:
    """Show when pipelines run by themselves; pause a schedule, or let it go on.

    Schedules run where a server runs: `penstock up`. A revision's schedules begin with its deploy.

    \b
    Examples:
      penstock schedules --server
      penstock schedules pause sales --server
      penstock schedules resume shop/sales --server
    """
    if ctx.invoked_subcommand is not None:
        return
    with open_place(server=server) as place:
        found, here = place.schedules(), not place.flag
    rows = [{**each, "state": "paused" if each["paused"] else "active"} for each in found]
    if not as_json:  # a paused one does not come at that time
        rows = [{**each, "next_at": "" if each["paused"] else moment(each["next_at"])} for each in rows]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="no pipeline has a schedule")
    if here and rows:
        click.echo("nothing runs by itself in this folder; schedules run on a server: penstock deploy", err=True)


@command.command()
@click.argument("pipeline")
@server_option
@json_option
def pause(*, pipeline: str, server: bool, as_json: bool) -> None:
    """Keep the schedule of PIPELINE from running it, until somebody resumes it.

    \b
    Examples:
      penstock schedules pause sales --server
    """
    _set(pipeline, paused=True, server=server, as_json=as_json)


@command.command()
@click.argument("pipeline")
@server_option
@json_option
def resume(*, pipeline: str, server: bool, as_json: bool) -> None:
    """Let the schedule of PIPELINE run it again.

    \b
    Examples:
      penstock schedules resume sales --server
    """
    _set(pipeline, paused=False, server=server, as_json=as_json)


def _set(pipeline: str, *, paused: bool, server: bool, as_json: bool) -> None:
    with open_place(server=server) as place:
        state, flag = place.pause(pipeline, paused=paused), place.flag
    if as_json:
        print_json(state)
        return
    name = f"{state['project']}/{state['pipeline']}"
    following = f"penstock schedules resume {name}{flag}" if state["paused"] else moment(state["next_at"])
    click.echo(f"{name}: {'it waits for:' if state['paused'] else 'it runs next at'} {following}")
