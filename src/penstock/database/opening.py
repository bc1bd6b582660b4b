"""Opening the records database that a URL names, and making sure that its schema is ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from penstock.core.errors import SettingInvalid
from penstock.database.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from penstock.database.postgresql import PostgresDatabase

SqlDatabase: TypeAlias = "SqliteDatabase | PostgresDatabase"


def open_database(url: str) -> SqlDatabase:
    """Return the database under a URL: `sqlite:///path` or `postgresql+psycopg://...`.

    Raises:
        SettingInvalid: when the URL is neither.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return SqliteDatabase(Path(rest.removeprefix("/")))
    if scheme in ("postgresql", "postgresql+psycopg", "postgres"):
        from penstock.database.postgresql import PostgresDatabase  # and its driver, which SQLite does without

        return PostgresDatabase(f"postgresql+psycopg://{rest}")
    raise SettingInvalid(
        f"PENSTOCK_DATABASE_URL begins with {scheme!r}",
        hint="Valid: sqlite:///path/to/file.db, or postgresql+psycopg://user:password@host/name",
    )
