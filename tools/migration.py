"""Writes the next migration: what `database/schema` has, and the last step does not lead to.

    .venv/bin/python tools/migration.py "what changes"

Look at what it wrote before you commit it: Alembic sees tables, columns, indexes and constraints, but takes a renamed
column for one that went and one that came. `--first` writes the first step again, as long as nobody has it.
"""

import argparse
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
from penstock.database.versioning import schema_status, upgrade

VERSIONS = Path(migrations.__file__).parent / "versions"
FIRST = VERSIONS / "0001_job_service.py"
OPTIONS = {"compare_server_default": True, "render_as_batch": True}
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
    parser.add_argument("title", nargs="?", default="The tables of the job service")
    parser.add_argument("--first", action="store_true", help="write the first step again")
    arguments = parser.parse_args()
    code, revision, before = found(first=arguments.first)
    path = FIRST if arguments.first else VERSIONS / f"{revision}_{words(arguments.title)}.py"
    path.write_text(PAGE.format(title=arguments.title, revision=revision, before=before, code=code), "utf-8")
    print(path)


def found(*, first: bool) -> tuple[str, str, str]:
    """Return the code of the step, its revision, and the one before it as Python."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/migration.db"
        with contextlib.closing(open_database(url)) as database:
            last = 0 if first else int(schema_status(database).expected)
            if not first:
                upgrade(database)
            with database.engine.connect() as connection:
                context = MigrationContext.configure(connection, opts={"target_metadata": metadata, **OPTIONS})
                code = rendered(produce_migrations(context, metadata))
    return code, f"{last + 1:04}", repr(f"{last:04}").replace("'", '"') if last else "None"


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
