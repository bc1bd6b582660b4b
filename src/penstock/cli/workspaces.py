"""`penstock workspaces`: tenants of a server, for who runs it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from penstock.cli.connection import login_command
from penstock.cli.rows import print_json, print_rows
from penstock.core.access import Quotas, Workspace

if TYPE_CHECKING:
    from penstock.wiring.server import Server

json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
_QUOTAS = ", ".join(field.name for field in dataclasses.fields(Quotas))


@click.group(name="workspaces")
def command() -> None:
    """Make workspaces and set what they may use, on the server's own machine.

    These commands go to the database itself: the one that PENSTOCK_DATABASE_URL names, or the one in PENSTOCK_HOME.
    They need no login, and may do what no member may.

    \b
    Examples:
      penstock workspaces create data-team --admin ann
      penstock workspaces set data-team --quota running_jobs_max=8 --egress hooks.internal:8443
    """


@command.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the workspaces.

    \b
    Examples:
      penstock workspaces list
    """
    with _server() as server:
        rows = [_shown(workspace) for workspace in server.workspaces.list()]
    columns = ["id", "name", "stored_bytes", "egress"]
    print_rows(rows, columns, as_json=as_json, empty="there are no workspaces yet: penstock up makes the first")


@command.command()
@click.argument("name")
@click.option("--admin", default="admin", show_default=True, help="The name of its first member.")
@json_option
def create(*, name: str, admin: str, as_json: bool) -> None:
    """Make a workspace called NAME, and print the token for the first login of its admin.

    \b
    Examples:
      penstock workspaces create data-team --admin ann
    """
    with _server() as server:
        workspace, token = server.workspaces.create(name, admin=admin)
    if as_json:
        print_json({**_shown(workspace), "admin": admin, "token": token})
    else:
        click.echo(f"made {workspace.name} ({workspace.id}); {admin} is its admin")
        click.echo(f"  within a day, once: {login_command(server.settings.url, token)}")


@command.command()
@click.argument("name")
@click.option("--member", default="admin", show_default=True, help="Who is to log in, by id or name.")
@json_option
def token(*, name: str, member: str, as_json: bool) -> None:
    """Print a new token for a login of a member of the workspace NAME, when nobody in it can make one.

    \b
    Examples:
      penstock workspaces token default
    """
    with _server() as server:
        text = server.workspaces.issue_token(name, member=member)
    if as_json:
        print_json({"token": text})
    else:
        click.echo(f"  within a day, once: {login_command(server.settings.url, text)}")


@command.command(name="set")
@click.argument("name")
@click.option("--quota", "quotas", multiple=True, metavar="NAME=N", help=f"May repeat. Quotas: {_QUOTAS}.")
@click.option(
    "--egress",
    "egress",
    multiple=True,
    metavar="ENTRY",
    help="A host, host:port or network that may be reached though it is not public; all of them, may repeat.",
)
@click.option("--no-egress", is_flag=True, help="Take every entry out of the egress policy.")
@json_option
def set_(*, name: str, quotas: tuple[str, ...], egress: tuple[str, ...], no_egress: bool, as_json: bool) -> None:
    """Set quotas and the egress policy of the workspace NAME.

    The entries that are given take the place of those there are.

    \b
    Examples:
      penstock workspaces set data-team --quota queued_jobs_max=20000 --quota running_jobs_max=8
      penstock workspaces set data-team --egress hooks.internal:8443 --egress 10.1.0.0/16
    """
    wanted = dict(_quota(text) for text in quotas)
    entries = () if no_egress else (egress or None)
    with _server() as server:
        changed = server.workspaces.change_locally(name, quotas=wanted, egress=entries)
    if as_json:
        print_json(_shown(changed))
        return
    for quota, value in dataclasses.asdict(changed.quotas).items():
        click.echo(f"{quota:<20} {value:,}")
    click.echo(f"{'egress':<20} {', '.join(changed.policy.egress) or 'public addresses only'}")


def _quota(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{text!r} is not NAME=N, such as running_jobs_max=8.", param_hint="--quota")
    return name, int(value)


def _shown(workspace: Workspace) -> dict[str, object]:
    return {
        "id": workspace.id,
        "name": workspace.name,
        "created_at": workspace.created_at,
        "quotas": dataclasses.asdict(workspace.quotas),
        "egress": list(workspace.policy.egress),
        "stored_bytes": workspace.stored_bytes,
    }


@contextlib.contextmanager
def _server() -> Iterator[Server]:
    from penstock.wiring.server import open_server
    from penstock.wiring.settings import read_settings

    with open_server(read_settings(os.environ)) as server:
        yield server
