"""`penstock logout`: end the key that `penstock login` kept, and forget it."""

from __future__ import annotations

import click


@click.command(name="logout")
def command() -> None:
    """End the key that `penstock login` has kept, and remove it from this machine.

    \b
    Examples:
      penstock logout
    """
    from penstock.cli.connection import credentials_path, open_client
    from penstock.core.errors import NotLoggedIn, TransientError

    path = credentials_path()
    if not path.exists():
        click.echo(f"there is no {path}: nobody is logged in", err=True)
        return
    ended = "it is ended"
    try:
        with open_client() as client:
            me = client.workspace.me()
            if me["key"] is not None:
                client.workspace.revoke_key(me["key"])
    except NotLoggedIn:
        ended = "it had ended already"
    except TransientError as error:
        ended = f"it could not be ended on the server: {error.message}"
    path.unlink()
    click.echo(f"removed the key from {path}; {ended}")
