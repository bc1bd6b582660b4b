"""`penstock status`."""

from __future__ import annotations

import click

from penstock.cli.backfill_texts import backfill_lines, counts_words
from penstock.cli.place import Place, json_option, open_place, server_option
from penstock.cli.rejected import rejected_records
from penstock.cli.rows import print_json
from penstock.cli.run_texts import run_lines, run_list_lines

_RUNS: int = 20


@click.command(name="status")
@click.argument("run", required=False)
@click.option("--limit", type=click.IntRange(1, 1_000), default=_RUNS, show_default=True, help="How many runs to list.")
@server_option
@json_option
def command(*, run: str | None, limit: int, server: bool, as_json: bool) -> None:
    """List runs, or say all that is known of RUN: its tasks and, when it failed, what failed, where, and whose it is.

    RUN is an id of a run or of a back-fill, or `last`. Without it, --json prints an object with two lists: `runs` and
    `backfills`.

    \b
    Examples:
      penstock status
      penstock status last
      penstock status run_01J... --server
      penstock status --json | jq -r '.runs[].id'
      penstock status run_01J... --json | jq '.tasks[] | select(.state == "failed")'
    """
    with open_place(server=server) as place:
        if run is None:
            _list(place, limit=limit, as_json=as_json)
        elif run.startswith("bf_"):
            found = place.read_backfill(run)
            failed = place.runs(limit=limit, backfill=run, state="failed")
            _print({**found, "failed": list(failed)}, backfill_lines(found, failed, flag=place.flag), as_json=as_json)
        else:
            found = place.read(run)
            rejected = {} if as_json else rejected_records(place, found)
            _print(found, run_lines(found, flag=place.flag, rejected=rejected), as_json=as_json)


def _list(place: Place, *, limit: int, as_json: bool) -> None:
    runs, backfills = place.runs(limit=limit), place.backfills(limit=limit)
    if as_json:
        print_json({"runs": list(runs), "backfills": list(backfills)})
        return
    for backfill in backfills:
        if backfill["counts"].get("running") or backfill["counts"].get("queued"):
            click.echo(f"back-fill {backfill['id']}  {backfill['pipeline']}  {counts_words(backfill['counts'])}")
    for line in run_list_lines(runs) if runs else ():
        click.echo(line)
    if not runs:
        click.echo(f"there is no run yet; begin one: penstock run{place.flag}", err=True)


def _print(found: object, lines: object, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for line in lines:  # type: ignore[attr-defined]  # lines of text
        click.echo(line)
