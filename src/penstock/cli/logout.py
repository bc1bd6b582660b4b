"""`penstock logout`: end the key that `penstock login` kept, and forget it."""

from __future__ import annotations

import click


@click.command(name="logout")
@click.option("--json", "as_json", is_flag=True, help="Print what became of the key as JSON.")
def command(*, as_json: bool) -> None:
    """End the key that `penstock login` has kept, and remove it from this machine.

    \b
    Examples:
      penstock logout
      penstock logout --json
    """
    from penstock.cli.connection import credentials_path
    from penstock.cli.rows import print_json

    path = credentials_path()
    if not path.exists():
        if as_json:
            print_json({"credentials": str(path), "removed": False, "ended": False, "problem": None})
        else:
            click.echo(f"there is no {path}: nobody is logged in", err=True)
        return
    ended, problem = _end_key()
    path.unlink()
    if as_json:
        print_json({"credentials": str(path), "removed": True, "ended": ended, "problem": problem})
        return
    what = "it is ended" if problem is None else problem
    click.echo(f"removed the key from {path}; {what}")


def _end_key() -> tuple[bool, str | None]:
    """End the key on its server; return whether it is ended now, and what was in the way."""
    from penstock.cli.connection import open_client
    from penstock.core.errors import NotLoggedIn, TransientError

    try:
        with open_client() as client:
            me = client.workspace.me()
            if me["key"] is not None:
                client.workspace.revoke_key(me["key"])
    except NotLoggedIn:
        return True, "it had ended already"
    except TransientError as error:
        return False, f"it could not be ended on the server: {error.message}"
    return True, None
