"""Whether the lake and the records belong together: half of a pair is refused before anybody builds on it.

Who deletes a folder, restores a backup, or starts before a disk is mounted, has one without the other. Without the lake
everything would seem up to date; without the records, what is published would be taken for another program's work.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, Final

from penstock.core.errors import Conflict, LakeUnavailable
from penstock.core.ports import Database
from penstock.core.tables import TableName
from penstock.database.statements import Statement

_PUBLISHED: Final = Statement("SELECT name FROM lake_tables WHERE snapshot IS NOT NULL ORDER BY name LIMIT 1")
_ANY: Final = Statement("SELECT name FROM lake_tables LIMIT 1")
_APART: Final = "the lake and the records do not belong together"
_HINT: Final = (
    "Put back what is missing: the disk that is not mounted, or a backup of both from one moment. To begin anew, move"
    " both away, the records (penstock.db) and the folder lake; sources are then read from their beginning."
)
_IN_CATALOG: Final = "SELECT table_namespace, table_name FROM iceberg_tables LIMIT 1"


def require_both(database: Database, *, catalog: Path | None, warehouse: Path | None) -> None:
    """Make sure that neither the records nor the lake is there without the other.

    Args:
        database: the records.
        catalog: the file of the catalog; None when it is in the records' own database.
        warehouse: the folder of the tables' files; None when it is none of this machine.

    Raises:
        LakeUnavailable: with what is missing.
    """
    published, known = _first_names(database)
    if published is not None:
        for path, what in ((catalog, "the catalog"), (warehouse, "the folder of their files")):
            if path is not None and not path.exists():
                raise _apart(f"the records know published tables, such as {published}, and {what} {path} is missing")
    elif known is None and catalog is not None and (found := _in_catalog(catalog)) is not None:
        words = f"the catalog {catalog} has tables, such as {found}, and the records know none"
        raise _apart(f"{words}: the records that belong to it are missing")


def not_in_catalog(name: TableName) -> LakeUnavailable:
    """Return the error of a table that the records have and the catalog has not."""
    return _apart(f"the records know the table {name}, and the catalog does not")


def not_of_records(name: TableName) -> Conflict:
    """Return the error of a table of which the catalog has rows that the records know nothing of."""
    words = f"the catalog has rows of the table {name}, and the records do not know who has published them"
    return Conflict(f"{_APART}: {words}", hint=_HINT)


def _first_names(database: Database) -> tuple[str | None, str | None]:
    """Return a table that is published, and one that is known, published or not."""
    tx: Any
    with database.read() as tx:
        published = _PUBLISHED.run(tx, {}).scalar()
        return published, published or _ANY.run(tx, {}).scalar()


def _in_catalog(path: Path) -> str | None:
    if not path.exists():
        return None
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as catalog:
        try:
            row = catalog.execute(_IN_CATALOG).fetchone()
        except sqlite3.Error:  # whoever opens it says what is wrong with it
            return None
    return None if row is None else f"{row[0].rpartition('.')[2]}.{row[1]}"


def _apart(what: str) -> LakeUnavailable:
    return LakeUnavailable(f"{_APART}: {what}", hint=_HINT)
