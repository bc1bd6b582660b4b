"""`penstock init`."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.base.text import count
from penstock.cli.place import json_option
from penstock.cli.rows import print_json
from penstock.core.errors import Conflict, OutputFailed
from penstock.project.init_template import new_project


@click.command(name="init")
@click.argument("name")
@json_option
def command(*, name: str, as_json: bool) -> None:
    """Make the folder NAME with a project that runs at once: files that arrive, a script, SQL, a suite, an export.

    \b
    Examples:
      penstock init shop
      cd shop && penstock run
    """
    files = new_project(name)
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} is there already, and not empty", hint="Choose another name, or remove it first.")
    try:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    except OSError as error:
        raise OutputFailed(
            f"{folder} cannot be written: {error.strerror}", hint="Change into a folder that you may write to."
        ) from error
    if as_json:
        print_json({"folder": str(folder), "files": sorted(files)})
        return
    click.echo(f"{folder}: {count(len(files), 'file')}. What to do now:")
    for words in (f"cd {folder}", "penstock validate", "penstock run", 'penstock query "FROM marts.daily_sales"'):
        click.echo(f"  {words}")
