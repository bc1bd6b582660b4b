"""`penstock lineage`."""

from __future__ import annotations

import click

from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json
from penstock.cli.snapshots import Snapshot
from penstock.cli.table_texts import lineage_lines


@click.command(name="lineage")
@click.argument("table")
@click.option("--snapshot", type=Snapshot(), help="Another one than what is published.")
@server_option
@json_option
def command(*, table: str, snapshot: str | None, server: bool, as_json: bool) -> None:
    """Show which run, task and code made what TABLE holds, from which snapshots of others, and so on.

    Code is a script version, or a file of the project with what its SHA-256 begins with: sql/daily.sql#3f2a1c9d0b7e.

    \b
    Examples:
      penstock lineage marts.daily_sales
      penstock lineage marts.daily_sales --snapshot 4731269 --json
    """
    with open_place(server=server) as place:
        tree = place.lineage(table, snapshot=snapshot)
    if as_json:
        print_json(tree)
        return
    for line in lineage_lines(tree):
        click.echo(line)
