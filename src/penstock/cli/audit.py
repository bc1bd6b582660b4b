"""`penstock audit`: who did what, and whether the log of it is whole."""

from __future__ import annotations

import sys

import click

from penstock.base.text import count
from penstock.cli.connection import open_client
from penstock.cli.rows import print_json, print_rows

json_option = click.option("--json", "as_json", is_flag=True, help="Print what the server said as JSON.")


@click.group(name="audit")
def command() -> None:
    """The audit log: who did what, who read which data, who was refused, from where.

    \b
    Examples:
      penstock audit list --outcome refused
      penstock audit verify
    """


@command.command(name="list")
@click.option("--action", help="Such as job.submit, result.read, member.add.")
@click.option("--member", help="The id of who did it.")
@click.option("--subject", help="The id of what it was done to.")
@click.option("--outcome", type=click.Choice(["done", "refused"]), help="How it ended.")
@click.option("--since", metavar="TIME", help="Such as 2026-01-31T08:00:00Z.")
@click.option("--until", metavar="TIME", help="Before that.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Events at most.")
@json_option
def list_(*, limit: int, as_json: bool, **wanted: str | None) -> None:
    """List events, the newest first.

    \b
    Examples:
      penstock audit list --action result.read --since 2026-01-31T00:00:00Z
      penstock audit list --subject job_01J... --json
    """
    with open_client() as client:
        rows = list(client.workspace.audit(limit=limit, **wanted))
    columns = ["at", "member_name", "action", "subject", "outcome", "origin"]
    print_rows(rows, columns, as_json=as_json, empty="there are no such events")


@command.command()
@click.option("--known", metavar="NUMBER:HASH", help="What an earlier check printed; it must still be there.")
@json_option
def verify(*, known: str | None, as_json: bool) -> None:
    """Check that no event was changed, removed, added or moved since it was sealed; exit code 2 when one was.

    Note the number and hash that it prints somewhere else. Given to --known later, they show even that somebody with
    the whole database in hand has made the chain anew.

    \b
    Examples:
      penstock audit verify
      penstock audit verify --known 1204:5f1c...
    """
    with open_client() as client:
        report = client.workspace.verify_audit(known=known)
    if as_json:
        print_json(report)
    else:
        for problem in report["problems"]:
            click.echo(
                f"{click.style('broken', fg='red', bold=True)}  event {problem['number']:,} {problem['message']}"
            )
        if report["whole"]:
            click.echo(f"{click.style('whole', fg='green', bold=True)}  {count(report['number'], 'event')}")
        click.echo(f"head   {report['number']}:{report['head']}")
        if report["unsealed"]:
            click.echo(f"new    {count(report['unsealed'], 'event')} not sealed yet")
    sys.exit(0 if report["whole"] else 2)
