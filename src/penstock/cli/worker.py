"""`penstock worker`."""

from __future__ import annotations

import os
from typing import Final

import click

_THREADS: Final = 2  # in each runner: while one waits for its child, the other reads or writes


@click.command(name="worker")
@click.option(
    "--runners", type=click.IntRange(1, 1024), help="Processes that carry out jobs.  [one for each core it may use]"
)
@click.option("--name", hidden=True, help="Its id.")
@click.option("--after", hidden=True, help="The id of a worker that is dead, as whoever started both has seen.")
def command(*, runners: int | None, name: str | None, after: str | None) -> None:
    """Carry out jobs, with as many runner processes as the machine has cores.

    Any number of workers on any number of hosts share the work of one database. SIGTERM and Ctrl-C let what runs
    finish, within half a minute, and put the rest back into the queue; a second one ends at once.

    \b
    Examples:
      penstock worker
      PENSTOCK_DATABASE_URL=postgresql+psycopg://penstock@db/penstock PENSTOCK_BLOBS=s3://bucket/penstock \\
        penstock worker --runners 8
    """
    from penstock.base.logs import configure_logs
    from penstock.wiring.settings import read_settings
    from penstock.worker.runners import started_runners

    configure_logs()
    settings, count = read_settings(os.environ), runners or len(os.sched_getaffinity(0))
    with started_runners(settings, count=count, threads=_THREADS) as started:
        from penstock.worker.serving import serve  # it takes as long as a runner takes to be ready

        serve(settings, started, name=name or "", after=after or "")
