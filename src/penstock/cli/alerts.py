"""`penstock alerts`."""

from __future__ import annotations

import click

from penstock.cli.place import json_option, project_folder
from penstock.cli.rows import print_json


@click.group(name="alerts")
def command() -> None:
    """Try out whether alerts arrive. Workers of a server send them; runs without a server send none.

    \b
    Examples:
      penstock alerts test data-team
    """


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
