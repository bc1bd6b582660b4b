"""`penstock secrets`: values that go in and never come out."""

from __future__ import annotations

import sys

import click

from penstock.cli.connection import open_client
from penstock.cli.rows import print_json, print_rows

json_option = click.option("--json", "as_json", is_flag=True, help="Print what the server said as JSON.")


@click.group(name="secrets")
def command() -> None:
    """Secrets of the workspace, such as the key that signs webhooks. Their values never come out again.

    \b
    Examples:
      penstock secrets put HOOK_KEY
      openssl rand -hex 32 | penstock secrets put HOOK_KEY
      penstock secrets list
    """


@command.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List names and dates.

    \b
    Examples:
      penstock secrets list
    """
    with open_client() as client:
        rows = list(client.workspace.secrets())
    print_rows(rows, ["name", "updated_at", "updated_by_name"], as_json=as_json, empty="there are no secrets")


@command.command()
@click.argument("name")
@json_option
def put(*, name: str, as_json: bool) -> None:
    """Store the secret NAME: asked for on a terminal, else read from standard input without its last line end.

    A value is no argument, for arguments are seen by everybody on the machine and stay in the shell's history.

    \b
    Examples:
      penstock secrets put HOOK_KEY
      penstock secrets put HOOK_KEY < key.txt
    """
    if sys.stdin.isatty():
        value = str(click.prompt("value", hide_input=True, err=True))
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    with open_client() as client:
        client.workspace.put_secret(name, value)
    if as_json:
        print_json({"stored": name})
    else:
        click.echo(f"stored {name}")


@command.command()
@click.argument("name")
@json_option
def remove(*, name: str, as_json: bool) -> None:
    """Remove the secret NAME.

    \b
    Examples:
      penstock secrets remove HOOK_KEY
    """
    with open_client() as client:
        client.workspace.remove_secret(name)
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"removed {name}")


@command.command()
@json_option
def rotate(*, as_json: bool) -> None:
    """Encrypt every secret anew, by a new data key of the workspace.

    \b
    Examples:
      penstock secrets rotate
    """
    with open_client() as client:
        count = client.workspace.rotate_secrets()
    if as_json:
        print_json({"secrets": count})
    else:
        click.echo(f"encrypted {count:,} anew")
