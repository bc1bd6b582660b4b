"""The command `penstock`. Each subcommand's module is loaded when it is called, so that --help is instant."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Final

import click

from penstock import __version__
from penstock.cli.stopped import Stopped

_SECTIONS: Final = {
    "Scripts": {
        "process": "Run a script over files, safely.",
        "check": "Say what would keep a script from running.",
        "scripts": "Keep scripts on a server: push, try, publish, activate, roll back.",
        "jobs": "Submit records to a server, watch jobs, fetch results.",
    },
    "Projects and pipelines": {
        "init": "Make a project that runs at once.",
        "validate": "Say all that is wrong with a project.",
        "test": "Run a project's examples and its suites on samples.",
        "plan": "Say what a run would do, and why.",
        "run": "Run a pipeline.",
        "backfill": "Run a pipeline for many dates.",
        "status": "List runs; say what failed, where, and whose it is.",
        "logs": "Print what the tasks of a run have said.",
        "resume": "Go on with a run that failed or was stopped.",
        "cancel": "End a run or a back-fill.",
        "deploy": "Send a project to a server, where its schedules run.",
        "schedules": "Show when pipelines run by themselves; pause them.",
        "alerts": "Try out whether alerts arrive.",
    },
    "Tables": {
        "tables": "List what is published, its columns and snapshots; do the upkeep.",
        "query": "Run a SELECT over published tables.",
        "checks": "Show what became of expectation suites.",
        "lineage": "Show what a table was made from, and by whom.",
        "rollback": "Make readers see an earlier snapshot again.",
    },
    "Server": {
        "doctor": "Say whether scripts can run safely on this machine.",
        "up": "Start a whole server: the API and a worker.",
        "api": "Serve the HTTP API.",
        "worker": "Carry out jobs and runs.",
        "db": "See and upgrade the schema of the records database.",
        "workspaces": "Make workspaces and set what they may use, on the server's machine.",
    },
    "Access": {
        "login": "Log in to a server.",
        "logout": "End the key of this machine.",
        "quota": "Show what the workspace may use, and uses.",
        "members": "Decide who may work in the workspace, and as what.",
        "keys": "Make, list and end API keys.",
        "secrets": "Store values that never come out again.",
        "audit": "See who did what, and check that the log of it is whole.",
    },
}
_COMMANDS: Final = {name: words for section in _SECTIONS.values() for name, words in section.items()}


class Commands(click.Group):
    """Subcommands by name, imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one subcommand."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"penstock.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list for --help without loading any of them."""
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="penstock")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run code you do not fully trust on data you must answer for.

    \b
    Examples:
      penstock process clean.py orders.ndjson -o clean.ndjson
      penstock init shop && cd shop && penstock run
      penstock doctor
    """
    if os.environ.get("NO_COLOR"):  # no-color.org
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command line; every outcome has its exit code: 0 done, 2 user error, 70 bug, 75 try again, 130 Ctrl-C."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(cli.main(standalone_mode=False))
    except (click.exceptions.Abort, Stopped) as stop:
        click.echo(f"\nstopped; {stop.args[0] if stop.args else 'no output was written'}", err=True)
        sys.exit(128 + (signal.SIGTERM if isinstance(stop, Stopped) else signal.SIGINT))
    except Exception as error:  # noqa: BLE001  # the door: everything that goes wrong is told here
        from penstock.cli.errors import render

        sys.exit(render(error))


def _stop(_signal: int, _frame: object) -> None:
    raise Stopped
