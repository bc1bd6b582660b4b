"""`penstock deploy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from penstock.base.text import count, harmless
from penstock.cli.connection import open_client
from penstock.cli.place import json_option, project_folder
from penstock.cli.rows import print_json

_NAMED: Final = 10
_SHORT: Final = 12
_SIGNS: Final = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}


@click.command(name="deploy")
@click.option("--note", default="", help="Why, in a sentence; it stands beside the revision.")
@json_option
def command(*, note: str, as_json: bool) -> None:
    """Send the project that one is in to the server that one is logged in to; its schedules run there from now on.

    In a git repository these are the files that git tracks; elsewhere all that are neither hidden nor listed in
    .gitignore. They become a revision, named by their hash, which never changes. What is wrong with them is said here,
    before anything is sent.

    \b
    Examples:
      penstock deploy
      penstock deploy --note "totals without cancelled orders"
    """
    from penstock.wiring.folder import check_files, read_files, untracked_files

    folder = project_folder()
    files = read_files(folder, tracked=True)
    check_files(files)
    left_out = untracked_files(folder)
    with open_client() as client:
        deployed = dict(client.projects.deploy(files, note=note).shown)
    if as_json:
        print_json({**deployed, "untracked": list(left_out)})
        return
    _say(deployed)
    if left_out:
        names = ", ".join(harmless(name) for name in left_out[:_NAMED])
        click.echo(f"not deployed, for git does not track them: {names}", err=True)


def _say(deployed: Mapping[str, Any]) -> None:
    revision = deployed["revision"][:_SHORT]
    if deployed["before"] == deployed["revision"]:
        click.echo(f"{deployed['project']}: nothing has changed; {revision} is active already")
    else:
        before = f", before it was {deployed['before'][:_SHORT]}" if deployed["before"] else ""
        files = count(deployed["files"], "file")
        click.echo(f"{deployed['project']}: revision {click.style(revision, bold=True)} of {files} is active{before}")
    for kind, (sign, colour) in _SIGNS.items():
        names = deployed["changes"][kind]
        for name in names[:_NAMED]:
            click.echo(f"  {click.style(sign, fg=colour)} {harmless(name)}")
        if len(names) > _NAMED:
            click.echo(f"  {click.style(sign, fg=colour)} and {len(names) - _NAMED} more {kind}")
    for state in deployed["schedules"]:
        when = "paused" if state["paused"] else f"next at {state['next_at']}"
        click.echo(f"  runs {state['pipeline']}: {state['cron']} ({state['timezone']}), {when}")
