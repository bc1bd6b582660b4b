"""`penstock query`."""

from __future__ import annotations

import re
import sys

import click

from penstock.base.text import count
from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json
from penstock.cli.table_texts import csv_text, is_cut, row_lines
from penstock.core import limits
from penstock.core.errors import UsageError


@click.command(name="query")
@click.argument("sql")
@click.option("--at", multiple=True, metavar="TABLE=SNAPSHOT", help="Read a table as of a snapshot; may be repeated.")
@click.option(
    "--rows",
    "rows_max",
    type=click.IntRange(1, limits.QUERY_ROWS.value),
    default=100,
    show_default=True,
    help="At most so many rows.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@server_option
@json_option
def command(*, sql: str, at: tuple[str, ...], rows_max: int, as_csv: bool, server: bool, as_json: bool) -> None:
    """Run one SELECT over published tables, all read at one moment; SQL is - to read it from standard input.

    It runs on DuckDB, locked: it sees the tables it names, nothing else of the machine, and changes nothing. Ctrl-C
    ends it, also on a server.

    \b
    Examples:
      penstock query "SELECT shop, sum(total) FROM marts.daily_sales GROUP BY ALL"
      penstock query "FROM marts.daily_sales" --at marts.daily_sales=4731269 --csv --rows 10000
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of one answer", hint="Choose one.")
    text = sys.stdin.read() if sql == "-" else sql
    with open_place(server=server) as place:
        found = place.query(text, at=pinned(at), rows_max=rows_max)
    if as_json:
        print_json(found)
    elif as_csv:
        click.echo(csv_text(found["columns"], found["rows"]), nl=False)
    else:
        for line in row_lines(found["columns"], found["rows"]):
            click.echo(line)
        if is_cut(found["columns"], found["rows"]):
            click.echo("long values are cut; --csv and --json have all of them", err=True)
    if found["truncated"]:
        more = "" if rows_max == limits.QUERY_ROWS.value else "; more with --rows"
        click.echo(f"only the first {count(len(found['rows']), 'row')}{more}", err=True)


def pinned(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the snapshots by table that --at names."""
    found = {}
    for text in texts:
        table, equals, snapshot = text.partition("=")
        if not equals or not re.fullmatch(r"-?[0-9]{1,19}", snapshot):
            raise UsageError(
                f"--at {text!r} is not TABLE=SNAPSHOT", hint="See a table's snapshots: penstock tables NAME"
            )
        found[table] = snapshot
    return found
