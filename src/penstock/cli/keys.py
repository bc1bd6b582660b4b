"""`penstock keys`: API keys for programs and for oneself."""

from __future__ import annotations

import datetime as dt
import re
from typing import cast

import click

from penstock.cli.connection import open_client
from penstock.cli.rows import print_json, print_rows
from penstock.core.access import PERMISSIONS, Permission

json_option = click.option("--json", "as_json", is_flag=True, help="Print what the server said as JSON.")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([hd])")
_UNITS = {"h": "hours", "d": "days"}


class Duration(click.ParamType[dt.timedelta]):
    """A number of hours or days."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.timedelta:
        """Return the duration that a word stands for."""
        found = _DURATION.fullmatch(str(value))
        if found is None:
            return self.fail(f"{value!r} is not a duration such as 12h or 90d.", param, ctx)
        return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.group(name="keys")
def command() -> None:
    """API keys: shown once, stored by their hash, limited by scopes, ended by time or by hand.

    \b
    Examples:
      penstock keys create nightly --scope jobs:write --scope data:read --expires-in 90d
      penstock keys list
      penstock keys revoke key_01J...
    """


@command.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List your keys; an admin sees everybody's.

    \b
    Examples:
      penstock keys list
      penstock keys list --json | jq '.[] | select(.last_used_at == null)'
    """
    with open_client() as client:
        rows = list(client.workspace.keys())
    columns = ["id", "name", "member_name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"]
    print_rows(rows, columns, as_json=as_json, empty="there are no keys")


@command.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(sorted(PERMISSIONS["admin"])), help="Limit it; may repeat."
)
@click.option("--expires-in", type=Duration(), help="It ends by itself after that: 12h, 90d.  [never]")
@click.option("--member", help="Whose key it is, by id or name.  [yours]")
@json_option
def create(
    *, name: str, scopes: tuple[str, ...], expires_in: dt.timedelta | None, member: str | None, as_json: bool
) -> None:
    """Make a key called NAME and print it, this once.

    Without --scope it may do all that its member's role allows.

    \b
    Examples:
      penstock keys create laptop --expires-in 90d
      penstock keys create nightly --member ci --scope jobs:write --scope scripts:read
      PENSTOCK_API_KEY=$(penstock keys create one-off --expires-in 1h --json | jq -r .api_key)
    """
    with open_client() as client:
        key = client.workspace.create_key(
            name,
            member=member,
            scopes=[cast("Permission", scope) for scope in scopes] or None,
            expires_at=None if expires_in is None else dt.datetime.now(dt.UTC) + expires_in,
        )
    if as_json:
        print_json(key)
        return
    click.echo(key["api_key"])
    click.echo(f"{key['id']}: keep it safe, it is not shown again", err=True)


@command.command()
@click.argument("key")
@json_option
def revoke(*, key: str, as_json: bool) -> None:
    """End KEY, by its id, at once.

    \b
    Examples:
      penstock keys revoke key_01J...
    """
    with open_client() as client:
        ended = client.workspace.revoke_key(key)
    if as_json:
        print_json(ended)
    else:
        click.echo(f"{ended['name']} ({ended['id']}) is ended")
