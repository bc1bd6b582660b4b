"""`penstock db`: the schema of the records database, for who runs the server."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from penstock.database.opening import SqlDatabase
    from penstock.database.versioning import SchemaStatus


@click.group(name="db")
def command() -> None:
    """See and upgrade the schema of the records database.

    These commands go to the database itself: the one that PENSTOCK_DATABASE_URL names, or the one in PENSTOCK_HOME.
    """


@command.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(*, as_json: bool) -> None:
    """Say which schema the database has, and which one this version works with.

    Exit code 0 when they are the same, 2 when they are not.

    \b
    Examples:
      penstock db status
      penstock db status --json | jq .missing
    """
    from penstock.database.versioning import empty_status, schema_status

    url = _url()
    where = _shown(url)
    if url.startswith("sqlite:") and not os.path.exists(url.removeprefix("sqlite:///")):
        found = empty_status()  # to look is not to create
    else:
        with _opened(url) as database:
            found = schema_status(database)
    if as_json:
        click.echo(json.dumps({"database": where, **asdict(found), "current": found.found == found.expected}, indent=2))
    else:
        click.echo(f"database  {where}")
        click.echo(f"schema    {found.found or 'none: the database is empty'}")
        click.echo(f"works     {_verdict(found)}")
    sys.exit(0 if found.found == found.expected else 2)


@command.command(name="upgrade")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def upgrade(*, as_json: bool) -> None:
    """Bring the database to the schema that this version works with.

    All steps are taken in one transaction: when one fails, nothing has changed. Make a backup first, and stop servers
    of the older version: they do not know the new schema.

    \b
    Examples:
      penstock db upgrade
      PENSTOCK_DATABASE_URL=postgresql+psycopg://penstock@db/penstock penstock db upgrade
    """
    from penstock.database.versioning import upgrade as take_steps

    url = _url()
    where = _shown(url)
    with _opened(url) as database:
        before = take_steps(database)
    if as_json:
        taken = {"database": where, "before": before.found, "after": before.expected, "taken": before.missing}
        click.echo(json.dumps(taken, indent=2))
    elif before.missing:
        click.echo(f"{where}: {before.found or 'empty'} -> {before.expected} ({', '.join(before.missing)})")
    else:
        click.echo(f"{where}: {before.expected} already, nothing to do")


def _verdict(found: SchemaStatus) -> str:
    if found.found == found.expected:
        return "with this version"
    if found.known:
        return f"not yet: this version needs {found.expected}; run penstock db upgrade"
    return f"not with this version, which knows {found.expected}; a newer Penstock has upgraded it"


def _url() -> str:
    from penstock.wiring.settings import read_settings

    return read_settings(os.environ).database_url


def _shown(url: str) -> str:
    """Return a URL without its password."""
    import sqlalchemy

    return sqlalchemy.make_url(url).render_as_string(hide_password=True)


def _opened(url: str) -> contextlib.closing[SqlDatabase]:
    from penstock.database.opening import open_database

    return contextlib.closing(open_database(url))
