"""`penstock checks`."""

from __future__ import annotations

import click

from penstock.cli.place import Place, json_option, open_place, server_option
from penstock.cli.rows import print_json
from penstock.cli.run_texts import check_lines


@click.command(name="checks")
@click.option("--run", help="Of one run: an id, or `last`.")
@click.option("--table", help="Of one table.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many.")
@server_option
@json_option
def command(*, run: str | None, table: str | None, limit: int, server: bool, as_json: bool) -> None:
    """Show what became of expectation suites, the newest first: each expectation that was not met, with its figures.

    Samples of rows are masked. With --json they have the shape of Great Expectations' validation results.

    \b
    Examples:
      penstock checks
      penstock checks --run last
      penstock checks --table marts.daily_sales --json
    """
    with open_place(server=server) as place:
        found = place.checks(run=run, table=table, limit=limit)
        empty = "" if found else _why_none(place, run=run, table=table)
    if as_json:
        print_json(list(found))
        return
    for check in found:
        for line in check_lines(check, flag=place.flag):
            click.echo(line)
    if not found:
        click.echo(empty, err=True)


def _why_none(place: Place, *, run: str | None, table: str | None) -> str:
    """Return why there is no result; raise when there is no such run."""
    if run is None:
        return f"no suite has looked at {table} yet" if table else "no suite was run yet"
    asked = place.read(run)
    of_table = f" of {table}" if table else ""
    suites = [task for task in asked["tasks"] if task["kind"] == "expectations"]
    why = "; ".join(f"{task['name']} {task['state']}: {task['reason']}".removesuffix(": ") for task in suites)
    return f"{asked['id']} has no result{of_table}{f': {why}' if why else ', and no task of the kind expectations'}"
