"""`penstock quota`: what the workspace may use, and uses."""

from __future__ import annotations

import click

from penstock.base.text import duration, size
from penstock.cli.connection import open_client
from penstock.cli.rows import print_json


@click.command(name="quota")
@click.option("--json", "as_json", is_flag=True, help="Print what the server said as JSON.")
def command(*, as_json: bool) -> None:
    """Show the workspace's quotas, and what is used of them.

    Whoever runs the server sets them there: penstock workspaces set NAME --quota queued_jobs_max=20000

    \b
    Examples:
      penstock quota
      penstock quota --json | jq .used
    """
    with open_client() as client:
        found = client.workspace.quota()
    if as_json:
        print_json(found)
        return
    quotas, used = found["quotas"], found["used"]
    lines = [
        ("queued", f"{used['queued_jobs']:,}", f"{quotas['queued_jobs_max']:,} jobs and chunks"),
        ("running", f"{used['running_jobs']:,}", f"{quotas['running_jobs_max']:,} jobs and chunks"),
        ("stored", size(used["stored_bytes"]), size(quotas["stored_bytes_max"])),
        ("CPU today", duration(used["cpu_s_today"]), duration(quotas["cpu_s_per_day_max"])),
        ("requests", "", f"{quotas['requests_per_s']:,} a second"),
        ("request", "", size(quotas["request_bytes_max"])),
    ]
    for name, value, most in lines:
        click.echo(f"{name:<10} {value:>12}  of {most}" if value else f"{name:<10} {'':>12}     {most} at most")
