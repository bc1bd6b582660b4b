"""Which schema a database has, and bringing it to the one that this version works with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy

from penstock.core.errors import DatabaseUnavailable, SchemaUnknown
from penstock.database.opening import SqlDatabase
from penstock.database.sqlite import SqliteDatabase, is_broken

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_VERSIONS: Final = "alembic_version"  # where Alembic keeps the revision
_ONE_AT_A_TIME: Final = 7_364_001  # an advisory lock of PostgreSQL: any number that nobody else takes


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands.

    Attributes:
        found: the revision that the database says it has; None when it holds no table.
        expected: the revision that this version of Penstock works with.
        missing: the steps that `penstock db upgrade` would take, oldest first.
    """

    found: str | None
    expected: str
    missing: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether the revision found is one of ours: not that of a newer version, nor of another program."""
        return self.found is None or self.found == self.expected or bool(self.missing)


def schema_status(database: SqlDatabase) -> SchemaStatus:
    """Return where a database stands.

    Raises:
        SchemaUnknown: when it holds tables of something else, or is no database at all.
        DatabaseUnavailable: when it cannot be reached.
    """
    with _telling_broken(database), database.read() as connection:
        return _status(connection)


def empty_status() -> SchemaStatus:
    """Return where a database stands that is not there yet."""
    steps = _steps()
    return SchemaStatus(None, steps[-1], steps)


def require_schema(database: SqlDatabase) -> None:
    """Make sure that the schema is the one that this version works with.

    Raises:
        SchemaUnknown: when it is not; the message names both revisions, the hint the command.
        DatabaseUnavailable: when it cannot be reached.
    """
    status = schema_status(database)
    if status.found != status.expected:
        raise _unknown(status)


def upgrade(database: SqlDatabase, *, to: str = "head") -> SchemaStatus:
    """Take every missing step in one transaction, and return where the database stood before.

    Two processes that do so at once take turns: the second finds nothing left to do.

    Args:
        database: which.
        to: the last revision to go to.

    Raises:
        SchemaUnknown: when the database is of a newer version, or of something else.
        DatabaseUnavailable: when it cannot be reached.
    """
    if isinstance(database, SqliteDatabase):
        with _telling_broken(database), database.rebuild() as connection:
            return _upgrade(connection, to)
    return database.write(lambda connection: _upgrade(connection, to))


def prepare(database: SqlDatabase) -> None:
    """Create the schema in an empty database, and require it of any other.

    Raises:
        SchemaUnknown: when the database is not empty and its schema is not ours.
        DatabaseUnavailable: when it cannot be reached.
    """
    if schema_status(database).found is None:
        upgrade(database)
    require_schema(database)


def _upgrade(connection: sqlalchemy.Connection, to: str) -> SchemaStatus:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"
        )  # a step may take long
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
    status = _status(connection)
    if not status.known:
        raise _unknown(status)
    _take_steps(connection, to)
    return status


def _take_steps(connection: sqlalchemy.Connection, to: str) -> None:
    from alembic import command  # a third of a second that only those wait for who have steps to take
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _status(connection: sqlalchemy.Connection) -> SchemaStatus:
    steps = _steps()
    found = _revision(connection)
    if found is None:
        if tables := [name for name in sqlalchemy.inspect(connection).get_table_names() if name != _VERSIONS]:
            raise SchemaUnknown(
                f"the database holds tables of something else, such as {min(tables)!r}",
                hint="Give Penstock a database of its own in PENSTOCK_DATABASE_URL.",
            )
        return empty_status()
    missing = steps[steps.index(found) + 1 :] if found in steps else ()
    return SchemaStatus(found, steps[-1], missing)


def _revision(connection: sqlalchemy.Connection) -> str | None:
    if not sqlalchemy.inspect(connection).has_table(_VERSIONS):
        return None
    found: str | None = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSIONS}").scalar()
    return found


def _steps() -> tuple[str, ...]:
    """Return the revisions in their order: the files of the steps begin with them."""
    return tuple(sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py")))


@contextlib.contextmanager
def _telling_broken(database: SqlDatabase) -> Iterator[None]:
    """Tell a file that is no database from one that cannot be used now: nobody is to try that again."""
    try:
        yield
    except DatabaseUnavailable as error:
        if isinstance(database, SqliteDatabase) and is_broken(error.__cause__):
            raise SchemaUnknown(
                f"{database.path} is damaged, or is not a records database",
                hint="Put a backup of the file in its place and keep this one to look into; or give Penstock another"
                " place, by PENSTOCK_HOME or PENSTOCK_DATABASE_URL.",
            ) from error
        raise


def _unknown(status: SchemaStatus) -> SchemaUnknown:
    found = "empty" if status.found is None else f"of revision {status.found}"
    message = f"the records database is {found}, and this version of Penstock works with revision {status.expected}"
    if status.known:
        return SchemaUnknown(message, hint="Run: penstock db upgrade")
    return SchemaUnknown(message, hint="A newer Penstock has upgraded it: install that version or a later one.")
