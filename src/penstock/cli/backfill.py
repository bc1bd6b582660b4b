"""`penstock backfill`."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli.following import follow_backfill
from penstock.cli.occasions import Day, occasion_options, pipeline_argument, server_run_options
from penstock.cli.place import json_option, open_place, server_option
from penstock.cli.rows import print_json


@click.command(name="backfill")
@pipeline_argument
@click.option("--from", "date_from", type=Day(), required=True, help="The first date.")
@click.option("--to", "date_to", type=Day(), required=True, help="The last date.")
@click.option(
    "--parallel", type=click.IntRange(1, 100), default=1, show_default=True, help="At most so many dates at once."
)
@occasion_options
@server_run_options
@server_option
@json_option
def command(
    *,
    pipeline: str | None,
    date_from: str,
    date_to: str,
    parallel: int,
    asked: dict[str, Any],
    no_wait: bool,
    server: bool,
    as_json: bool,
) -> None:
    """Run PIPELINE once for each date, the oldest first; dates that are up to date cost nothing.

    \b
    Examples:
      penstock backfill sales --from 2026-01-01 --to 2026-01-31
      penstock backfill sales --from 2026-01-01 --to 2026-01-31 --parallel 4 --select clean+
      penstock backfill shop/sales --from 2026-01-01 --to yesterday --server --no-wait
    """
    with open_place(server=server) as place:
        dates = {"date_from": date_from, "date_to": date_to, "parallel": parallel}
        begun = place.backfill(pipeline, {**dates, **asked})
        if no_wait:
            print_json(begun) if as_json else click.echo(begun["id"])
            return
        follow_backfill(place, begun, as_json=as_json)
