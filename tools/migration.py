"""Writes the next migration: what `database/schema` has, and the last step does not lead to.

    .venv/bin/python tools/migration.py "what changes"
    .venv/bin/python tools/migration.py --again

Look at what it wrote before you commit it: Alembic sees tables, columns, indexes and constraints, but takes a renamed
column for one that went and one that came. `--again` writes the newest step anew, as long as nobody has taken it.
"""

import argparse
import ast
import contextlib
import re
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import MigrationScript

from penstock.database import migrations
from penstock.database.opening import open_database
from penstock.database.schema import metadata
from penstock.database.versioning import upgrade

VERSIONS = Path(migrations.__file__).parent / "versions"


def differs(
    _context: object, _found: object, _column: object, default: str, _wanted: object, rendered: str
) -> bool | None:
    """Return False for SQLite's `''`, which Alembic takes for no empty text; the rest is left to it."""
    return False if (default, rendered) == ("('')", "") else None


OPTIONS = {"compare_server_default": differs, "render_as_batch": True}
PAGE = '''"""{title}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}


def upgrade() -> None:
    """Take the step."""
    {code}
'''


def main() -> None:
    """Write one file and print its path."""
    parser = argparse.ArgumentParser(description="Write the next migration from database/schema.")
    parser.add_argument("title", nargs="?")
    parser.add_argument("--again", action="store_true", help="write the newest step again")
    arguments = parser.parse_args()
    newest = max(VERSIONS.glob("[0-9]*.py"))
    number = int(newest.stem.split("_")[0])
    if arguments.again:
        path, title = newest, arguments.title or (ast.get_docstring(ast.parse(newest.read_text("utf-8"))) or "")
        before = number - 1
    elif arguments.title:
        path, title, before = VERSIONS / f"{number + 1:04}_{words(arguments.title)}.py", arguments.title, number
    else:
        parser.error("say what changes")
    page = PAGE.format(
        title=title.rstrip("."),
        revision=f"{before + 1:04}",
        before=f'"{before:04}"' if before else "None",
        code=found(before),
    )
    path.write_text(page, "utf-8")
    print(path)


def found(before: int) -> str:
    """Return the code of what the schema has and the steps up to one do not lead to."""
    with contextlib.ExitStack() as afterwards:
        folder = afterwards.enter_context(tempfile.TemporaryDirectory())
        database = afterwards.enter_context(contextlib.closing(open_database(f"sqlite:///{folder}/migration.db")))
        if before:
            upgrade(database, to=f"{before:04}")
        connection = afterwards.enter_context(database.engine.connect())
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata, **OPTIONS})
        return rendered(produce_migrations(context, metadata))


def rendered(script: MigrationScript) -> str:
    """Return the body of `upgrade`."""
    assert script.upgrade_ops is not None
    code = render_python_code(script.upgrade_ops, render_as_batch=True)
    return re.sub(r"^ *# #.*\n?", "", code, flags=re.MULTILINE).strip() or "pass"


def words(title: str) -> str:
    """Return a title as the name of a file."""
    return "_".join(re.findall(r"[a-z0-9]+", title.lower()))


if __name__ == "__main__":
    main()
