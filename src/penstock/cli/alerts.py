"""`penstock alerts`."""

from __future__ import annotations

import click

from penstock.cli.connection import open_client
from penstock.cli.incident_texts import incident_lines
from penstock.cli.place import json_option, project_folder
from penstock.cli.rows import print_json


@click.group(name="alerts")
def command() -> None:
    """Show what is wrong with pipelines and whom it was told; try out whether alerts arrive.

    Workers of a server send alerts; runs without a server send none.

    \b
    Examples:
      penstock alerts list --open
      penstock alerts test data-team
    """


@command.command("list")
@click.option("--open", "open_only", is_flag=True, help="Only what is not over.")
@click.option("--project", metavar="PROJECT", help="Only of one project.")
@click.option("--pipeline", metavar="NAME", help="Only of pipelines of this name.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many, the newest."
)
@json_option
def list_(*, open_only: bool, project: str | None, pipeline: str | None, limit: int, as_json: bool) -> None:
    """Show incidents of the server that you are logged in to: what, since when, until when, and who was told.

    An incident is a pipeline that fails, is late or fails a check, from the first run that shows it to the first that
    shows the opposite.

    \b
    Examples:
      penstock alerts list
      penstock alerts list --open --project shop
      penstock alerts list --json | jq '.[] | select(.telling == "failed")'
    """
    wanted = {"project": project, "pipeline": pipeline, "state": "open" if open_only else None}
    with open_client() as client:
        found = client.incidents.list(limit=limit, **wanted)
    if as_json:
        print_json(found)
    elif not found:
        click.echo("nothing is wrong" if open_only else "there was no incident", err=True)
    else:
        for line in incident_lines(found):
            click.echo(line)


@command.command()
@click.argument("name")
@json_option
def test(*, name: str, as_json: bool) -> None:
    """Send a test to NAME, one of those under `alerts` in penstock.yml; secrets come from the environment.

    \b
    Examples:
      penstock alerts test data-team
      SLACK=T1/B2/C3 penstock alerts test data-team
    """
    from penstock.wiring.alerts import try_out
    from penstock.wiring.folder import check_files, read_files

    project = check_files(read_files(project_folder()))
    try_out(project, name)
    if as_json:
        print_json({"project": project.name, "name": name, "sent": True})
    else:
        click.echo(f"sent to {name}; look whether it has arrived")
