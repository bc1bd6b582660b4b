"""SQL for the paths that every job takes: written once, run by the driver itself.

SQLAlchemy's own constructs cost some 50 microseconds a statement even when cached; these cost about 10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy

_NAME: Final = re.compile(r"(?<!:):([a-z_]\w*)")


class Statement:
    """One statement with `:name` parameters, for both databases.

    Args:
        sql: as SQLite reads it.
        postgresql: as PostgreSQL reads it, where the two differ in more than parameters.
    """

    def __init__(self, sql: str, *, postgresql: str | None = None) -> None:
        self._texts = {"sqlite": sql, "postgresql": _NAME.sub(r"%(\1)s", (postgresql or sql).replace("%", "%%"))}

    def run(
        self, tx: sqlalchemy.Connection, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> sqlalchemy.CursorResult[Any]:
        """Execute it: once, or once for each of a list of values."""
        text = self._texts[tx.dialect.name]
        if values is None:
            return tx.exec_driver_sql(text)
        # The driver takes a dict or a list of dicts, as they are.
        return tx.exec_driver_sql(text, values if isinstance(values, dict) else list(values))
