"""`penstock login`: a one-time token becomes a key that other commands show."""

from __future__ import annotations

import os
import sys

import click

from penstock.base.text import harmless
from penstock.cli.connection import DEFAULT_URL
from penstock.core.errors import UsageError


@click.command(name="login")
@click.option("--url", help=f"The server.  [PENSTOCK_URL, or {DEFAULT_URL}]")
@click.option("--token", help="The one-time token; asked for when not given.")
@click.option("--key", help="An API key instead of a token; `-` asks for it.")
@click.option("--json", "as_json", is_flag=True, help="Print who has logged in as JSON.")
def command(*, url: str | None, token: str | None, key: str | None, as_json: bool) -> None:
    """Log in to a server, and keep a key for other commands.

    The first `penstock up` prints a token; an admin makes one with `penstock members add` or `penstock members token`.
    A token works once, within a day. The key that it becomes is good for 90 days and is kept in
    ~/.config/penstock/credentials.json, which only you can read.

    \b
    Examples:
      penstock login --token pt_...
      penstock login --url https://penstock.example.com
      penstock login --url https://penstock.example.com --key -
    """
    from penstock.cli.connection import Credentials, keep_credentials
    from penstock.cli.rows import print_json
    from penstock.client import Client
    from penstock.client.workspace import log_in

    url = (url or os.environ.get("PENSTOCK_URL") or DEFAULT_URL).rstrip("/")
    if key is None:
        key = log_in(url, token or _asked("token", option="--token pt_..."))["api_key"]
    elif key == "-":
        key = _asked("API key", option="--key pk_...")
    with Client(url, str(key)) as client:
        me = client.workspace.me()
    path = keep_credentials(Credentials(url, str(key)))
    if as_json:
        print_json({"url": url, "credentials": str(path), **me})
        return
    name, workspace = harmless(me["name"]), harmless(me["workspace"]["name"])
    click.echo(f"{click.style('logged in', fg='green')} at {url} as {name}, {me['role']} of {workspace}")
    click.echo(f"the key is in {path}")


def _asked(what: str, *, option: str) -> str:
    """Return what a person types, or the first line of standard input where there is no terminal."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    if line := sys.stdin.readline().strip():
        return line
    raise UsageError(f"there is no {what}, and no terminal to ask for it", hint=f"Run: penstock login {option}")
