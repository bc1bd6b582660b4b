"""`penstock rollback`."""

from __future__ import annotations

import click

from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json
from penstock.cli.snapshots import Snapshot


@click.command(name="rollback")
@click.argument("table")
@click.option("--to", type=Snapshot(), required=True, help="A snapshot that was published: penstock tables NAME.")
@server_option
@json_option
def command(*, table: str, to: str, server: bool, as_json: bool) -> None:
    """Make readers of TABLE see an earlier snapshot again; what came after it is kept, and can be rolled to as well.

    \b
    Examples:
      penstock rollback marts.daily_sales --to 4731269
    """
    with open_place(server=server) as place:
        done = place.rollback(table, to)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done['table']}: readers see snapshot {done['snapshot']}, before it was {done['before']}")
