"""`penstock members`: who may work in the workspace, and as what."""

from __future__ import annotations

from typing import cast

import click

from penstock.cli.connection import login_command, open_client
from penstock.cli.rows import print_json, print_rows
from penstock.core.access import PERMISSIONS, Role

_ROLES = click.Choice(list(PERMISSIONS))
json_option = click.option("--json", "as_json", is_flag=True, help="Print what the server said as JSON.")
_ONCE = "  within a day, once:"


@click.group(name="members")
def command() -> None:
    """Members of the workspace: viewers look, editors submit, operators publish, admins decide who may.

    \b
    Examples:
      penstock members add ann --role editor
      penstock members role ann operator
      penstock members remove ann
    """


@command.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the members.

    \b
    Examples:
      penstock members list
    """
    with open_client() as client:
        rows = list(client.workspace.members())
    print_rows(rows, ["id", "name", "role", "created_at"], as_json=as_json, empty="there are no members")


@command.command()
@click.argument("name")
@click.option("--role", type=_ROLES, default="viewer", show_default=True, help="What they may do.")
@json_option
def add(*, name: str, role: str, as_json: bool) -> None:
    """Add a member called NAME, and print the token for their first login.

    \b
    Examples:
      penstock members add ann --role editor
      penstock members add ann --role editor --json | jq -r .token
    """
    with open_client() as client:
        member = client.workspace.add_member(name, role=cast("Role", role))
    if as_json:
        print_json(member)
    else:
        click.echo(f"added {member['name']}, {member['role']} ({member['id']})")
        click.echo(f"{_ONCE} {login_command(client.transport.url, member['token'])}")


@command.command()
@click.argument("member")
@click.argument("role", type=_ROLES)
@json_option
def role(*, member: str, role: str, as_json: bool) -> None:
    """Give MEMBER, an id or a name, another ROLE; it takes effect at once.

    \b
    Examples:
      penstock members role ann operator
    """
    with open_client() as client:
        changed = client.workspace.change_role(member, cast("Role", role))
    if as_json:
        print_json(changed)
    else:
        click.echo(f"{changed['name']} is {changed['role']} now")


@command.command()
@click.argument("member")
@json_option
def remove(*, member: str, as_json: bool) -> None:
    """Remove MEMBER, an id or a name, and end every key of theirs; the last admin stays.

    \b
    Examples:
      penstock members remove ann
    """
    with open_client() as client:
        client.workspace.remove_member(member)
    if as_json:
        print_json({"removed": member})
    else:
        click.echo(f"removed {member}; every key of theirs is ended")


@command.command()
@click.argument("member")
@json_option
def token(*, member: str, as_json: bool) -> None:
    """Print a new token for a login of MEMBER, an id or a name; earlier ones end.

    \b
    Examples:
      penstock members token ann
    """
    with open_client() as client:
        text = client.workspace.issue_token(member)
    if as_json:
        print_json({"token": text})
    else:
        click.echo(f"{_ONCE} {login_command(client.transport.url, text)}")
